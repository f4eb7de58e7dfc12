// What is open, what is shown and what is picked: the one place that knows, and tells who listens.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});

  const SWITCHES = ["fill", "outline", "boxes", "labels", "scores"];
  const CROWDED = 60; // from so many instances on, these start switched off
  const THINNED = ["boxes", "labels", "scores"];
  const JUDGED_BY = ["document", "threshold", "iou", "kind"];
  const SHOWN_BY = ["document", "threshold", "layers", "off", "panel", "colouring", "showRejected"];

  class Store {
    constructor(defaults = {}) {
      this.defaults = { threshold: 0.5, opacity: 0.45, ...defaults };
      this.document = null;
      this.loading = false;
      this.error = null; // {text, retry()}
      this.threshold = this.defaults.threshold; // class scores above it are shown
      this.opacity = this.defaults.opacity; // of the fill, 0 .. 1
      this.switches = { fill: true, outline: true, boxes: true, labels: true, scores: true };
      this.touched = new Set(); // switches that somebody set: these never change by themselves
      this.layers = { prediction: true, truth: true };
      this.off = new Set(); // class names that are filtered out; by name, to outlast the image
      this.iou = 0.5; // an instance and a truth object match from here on
      this.kind = "mask"; // which IoU: "mask" or "box"
      this.colouring = "instance"; // or "verdict"
      this.panel = "both"; // one of panes.PANELS
      this.swipe = 0.5; // where the line of the panel Swipe stands, as a share of the width
      this.blink = false; // whether the panel Blink shows the truth at the moment
      this.judged = parts.judge({}); // the verdict on each instance
      this.hidden = false; // everything, while H is held
      this.showRejected = false; // labels that somebody rejected
      this.selected = null;
      this.hovered = null;
      this.shown = []; // instances that pass the filters, in rank order
      this.listeners = new Set();
    }

    listen(callback) {
      this.listeners.add(callback);
      return () => this.listeners.delete(callback);
    }

    // set some fields; listeners get the names of those that changed
    set(patch) {
      const changed = new Set(Object.keys(patch).filter((name) => this[name] !== patch[name]));
      if (changed.size === 0) return;
      Object.assign(this, patch);
      if (JUDGED_BY.some((name) => changed.has(name))) {
        this.judged = parts.judge(this);
        changed.add("judged");
      }
      const byVerdict = changed.has("judged") && this.colouring === "verdict";
      if (byVerdict || SHOWN_BY.some((name) => changed.has(name))) {
        this.shown = (this.document?.instances ?? []).filter((one) => this.passes(one));
        changed.add("shown");
      }
      for (const callback of [...this.listeners]) callback(changed);
    }

    // a new document: the filters stay, what was picked stays only if it is still there
    open(document) {
      const crowded = document.instances.length >= CROWDED;
      const switches = { ...this.switches };
      for (const name of THINNED) if (!this.touched.has(name)) switches[name] = !crowded;
      const selected = this.stays(document) ? this.selected : null;
      this.set({ document, switches, selected, hovered: null, loading: false, error: null });
    }

    // the open image's document with other labels: nothing else moves; `selected` picks another one
    replace(document, selected = this.selected) {
      const there = (id) => (document.byId.has(id) ? id : null);
      this.set({ document, selected: there(selected), hovered: there(this.hovered) });
    }

    // is what is picked still there, in the same image and with the same mask?
    stays(document) {
      if (document.labels && this.document?.labels && document.key === this.document.key) return document.byId.has(this.selected);
      const now = document.byId.get(this.selected);
      const code = this.picked?.record.rle?.counts;
      return this.document?.key === document.key && code !== undefined && now?.record.rle?.counts === code;
    }

    close() {
      this.set({ document: null, selected: null, hovered: null, loading: false, error: null });
    }

    passes(one) {
      if (this.layers[one.layer] === false || this.off.has(one.name)) return false;
      if (!parts.panes.shows(this, one)) return false;
      if (one.state === "rejected" && !this.showRejected) return false;
      if (one.state && one.state !== "proposed") return true; // the score was the model's argument, not a person's
      return one.classScore === null || Math.fround(one.classScore) > Math.fround(this.threshold);
    }

    get picked() {
      return this.document?.byId.get(this.selected) ?? null;
    }

    // can truth and prediction be compared?
    get comparable() {
      const layers = this.document?.layers ?? [];
      return layers.includes("truth") && layers.includes("prediction");
    }

    // the panel that is drawn: what has one layer only shows that one
    get panelShown() {
      if (this.comparable) return this.panel;
      return this.document?.layers.includes("truth") ? "truth" : "prediction";
    }

    // {verdict, with, iou, error}, or undefined where nothing was judged
    verdictOf(one) {
      return this.judged.byId.get(one.id);
    }

    isShown(one) {
      return one !== null && this.passes(one);
    }

    setThreshold(value) {
      // hundredths, as the slider shows them, and no dust of floating point
      this.set({ threshold: Math.min(1, Math.max(0, Math.round(value * 100) / 100)) });
    }

    setIou(value) {
      this.set({ iou: Math.min(1, Math.max(0.1, Math.round(value * 100) / 100)) });
    }

    setOpacity(value) {
      this.set({ opacity: Math.min(1, Math.max(0, value)) });
    }

    toggle(name, on = !this.switches[name]) {
      this.touched.add(name);
      this.set({ switches: { ...this.switches, [name]: on } });
    }

    toggleLayer(name, on = !this.layers[name]) {
      this.set({ layers: { ...this.layers, [name]: on } });
    }

    setClasses(names) {
      this.set({ off: new Set(names) });
    }

    // the next or previous shown instance, in rank order
    step(by) {
      if (this.shown.length === 0) return;
      const at = this.shown.findIndex((one) => one.id === this.selected);
      const from = at < 0 && by < 0 ? 0 : at;
      const next = (from + by + this.shown.length) % this.shown.length;
      this.set({ selected: this.shown[next].id });
    }
  }

  parts.state = { Store, SWITCHES };
})();
