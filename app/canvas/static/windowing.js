// The window of grey values that is shown of a picture of more than 8 bits: what is black, what is white. It changes
// how the picture looks and nothing else, and each picture keeps its own.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { dom } = parts;

  const POSITIONS = 1000; // of a slider
  const SIDE = 150; // of them for what lies below the usual window, and as many for what lies above

  class Windowing {
    constructor(find, viewer, store) {
      Object.assign(this, { viewer, store });
      this.windows = new Map(); // key of a picture -> [low, high]
      this.greys = new Map(); // key -> {bits, low, high, shown}: answers of other questions leave it out
      this.busy = false;
      this.build(find("display-section"));
      store.listen((changed) => changed.has("document") && this.follow());
      // the picture as it comes is there, over what was shown before
      viewer.onphoto = () => this.windows.has(this.key) && this.load();
      this.follow();
    }

    build(section) {
      const slider = (name, title) => {
        const made = dom.element("input", { type: "range", min: "0", max: String(POSITIONS), step: "1", "data-testid": `window-${name}`, "aria-label": title, title });
        made.addEventListener("input", () => this.slide(name, Number(made.value)));
        return made;
      };
      const button = (name, text, title, act) => {
        const made = dom.element("button", { type: "button", class: "cs-text", "data-testid": `window-${name}`, title }, text);
        made.addEventListener("click", act);
        return made;
      };
      this.value = dom.element("span", { class: "cs-value cs-number", "data-testid": "window-value" });
      this.low = slider("low", "Values up to here are black");
      this.high = slider("high", "Values from here on are white");
      const auto = button("auto", "Auto", "From the 0.1 % to the 99.9 % percentile, as the model sees it", () => this.set(this.grey.shown));
      const all = button("all", "All", "From the smallest value to the largest", () => this.set([this.grey.low, this.grey.high]));
      this.said = dom.element("p", { class: "cs-quiet", role: "status", "data-testid": "window-note", hidden: true });
      this.box = dom.element("div", { class: "cs-window", role: "group", "aria-label": "Grey values that are shown", "data-testid": "windowing", hidden: true }, dom.element("div", { class: "cs-window-head" }, dom.element("span", { class: "cs-name" }, "Grey values"), this.value, auto, all), this.low, this.high, this.said);
      section.append(this.box);
    }

    get key() {
      return this.store.document?.key ?? null;
    }

    get grey() {
      return this.greys.get(this.key) ?? null;
    }

    get shown() {
      return this.windows.get(this.key) ?? this.grey.shown;
    }

    follow() {
      const { document: opened } = this.store;
      if (opened?.image.grey) this.greys.set(opened.key, opened.image.grey);
      this.box.hidden = this.grey === null || !(this.grey.high > this.grey.low);
      if (!this.box.hidden) this.draw();
    }

    get stamp() {
      return `${this.key} ${this.shown}`;
    }

    slide(which, position) {
      const [low, high] = this.shown;
      const least = (this.grey.high - this.grey.low) / 1e6;
      const value = this.valueAt(position);
      this.set(which === "low" ? [value, Math.max(high, value + least)] : [Math.min(low, value - least), value]);
    }

    set([low, high]) {
      if (!(low < high)) return;
      this.windows.set(this.key, [low, high]);
      this.draw();
      this.load();
    }

    // the usual window takes the most of a slider, whatever a few hot pixels are
    get pieces() {
      const { low, high, shown } = this.grey;
      return [[0, low], [SIDE, Math.max(low, shown[0])], [POSITIONS - SIDE, Math.min(high, shown[1])], [POSITIONS, high]];
    }

    valueAt(position) {
      const { pieces } = this;
      const at = Math.max(1, pieces.findIndex(([end]) => position <= end));
      const [[from, low], [to, high]] = [pieces[at - 1], pieces[at]];
      const value = low + ((position - from) / (to - from)) * (high - low);
      return this.grey.high - this.grey.low >= POSITIONS ? Math.round(value) : value;
    }

    positionOf(value) {
      const { pieces } = this;
      const at = Math.max(1, pieces.findIndex(([, end]) => value <= end));
      const [[from, low], [to, high]] = [pieces[at - 1], pieces[at]];
      return Math.round(from + (high > low ? (value - low) / (high - low) : 1) * (to - from));
    }

    draw() {
      const [low, high] = this.shown;
      this.value.textContent = `${words(low)} – ${words(high)}`;
      for (const [slider, value] of [[this.low, low], [this.high, high]]) {
        const position = this.positionOf(Math.min(this.grey.high, Math.max(this.grey.low, value)));
        if (Number(slider.value) !== position && document.activeElement !== slider) slider.value = position;
        slider.setAttribute("aria-valuetext", words(value));
      }
    }

    // one picture at a time, the latest window last
    async load() {
      if (this.busy) return;
      this.busy = true;
      let done = null;
      while (done !== this.stamp && this.grey !== null) {
        done = this.stamp;
        await this.fetch(this.store.document, this.shown);
      }
      this.busy = false;
    }

    async fetch(opened, [low, high]) {
      const { url } = opened.image;
      const usual = low === this.grey.shown[0] && high === this.grey.shown[1];
      try {
        const image = await this.viewer.photo.open(usual ? url : `${url}${url.includes("?") ? "&" : "?"}low=${low}&high=${high}`);
        // under the usual address, so that nobody fetches the picture again
        if (this.key === opened.key) {
          this.viewer.photo.show(image, url);
          this.viewer.redraw("photo");
        }
        this.said.hidden = true;
      } catch (error) {
        this.said.textContent = parts.api.sentence(error);
        this.said.hidden = false;
      }
    }
  }

  const words = (value) => (Number.isInteger(value) ? dom.grouped(value) : String(Number(value.toPrecision(4)))).replace("-", "−");

  parts.Windowing = Windowing;
})();
