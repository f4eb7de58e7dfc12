// The canvas: a photograph, masks over it, boxes and labels on top, each redrawn only when it must be.
// All panes of a panel share one view, so what they show lies at the same place to the pixel.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { raster, marks, hit, panes, verdicts } = parts;

  const KEPT = 200; // paint times
  const DRAWN_BY = ["shown", "judged", "colouring", "opacity", "switches", "hidden", "blink"];

  class Viewer {
    constructor(stage, store) {
      this.stage = stage;
      this.store = store;
      this.view = new parts.View();
      this.photo = new parts.Photo();
      this.canvases = ["photo", "masks", "marks"].map((name) => stage.querySelector(`[data-layer=${name}]`));
      this.contexts = this.canvases.map((canvas) => canvas.getContext("2d"));
      this.halo = new parts.Halo();
      this.stand = null; // what is outlined in place of the instances: [{mask, colour, line, truth}]
      this.extras = []; // functions that draw more marks: (context, view, pane) => void
      this.hides = () => false; // panes whose instances something else draws
      this.panes = [];
      this.dirty = new Set();
      this.frame = 0;
      this.timing = { frames: 0, draw: [], input: [] };
      this.asked = 0; // when the oldest change that is not on screen yet was made
      this.order = []; // what is drawn, the bottom first
      this.view.onchange = () => this.redraw("photo", "masks", "marks");
      this.stop = store.listen((changed) => this.follow(changed));
      this.observer = new ResizeObserver(() => this.resize());
      this.observer.observe(stage);
      this.resize();
    }

    destroy() {
      this.stop();
      this.observer.disconnect();
      cancelAnimationFrame(this.frame);
    }

    follow(changed) {
      if (changed.has("document")) this.openDocument();
      if (changed.has("shown")) this.order = paintOrder(this.store.shown);
      if (["document", "panel", "swipe", "blink"].some((name) => changed.has(name))) this.divide();
      if (DRAWN_BY.some((name) => changed.has(name))) this.redraw("masks", "marks");
      if (changed.has("selected") || changed.has("hovered")) this.redraw("marks");
    }

    openDocument() {
      const opened = this.store.document;
      const same = opened && this.key === opened.key;
      this.key = opened?.key;
      if (!same) this.photo.show(null);
      if (opened && !same) this.view.open(opened.image.width, opened.image.height);
      this.redraw("photo", "masks", "marks");
    }

    showPhoto(image, url) {
      this.photo.show(image, url);
      this.redraw("photo");
      this.onphoto?.(url);
    }

    resize() {
      const { clientWidth: width, clientHeight: height } = this.stage;
      if (!width || !height) return;
      this.dpr = Math.min(3, Math.max(1, window.devicePixelRatio || 1));
      for (const canvas of this.canvases) {
        canvas.width = Math.round(width * this.dpr);
        canvas.height = Math.round(height * this.dpr);
      }
      this.size = [width, height];
      this.target = null;
      this.divide();
    }

    // the panes of the chosen panel; the image lies in each as if it were alone
    divide() {
      if (!this.size) return;
      const [width, height] = this.size;
      this.panes = panes.layout(this.store, width);
      const wide = this.store.panelShown === "side" ? Math.floor(width / 2) : width;
      if (wide !== this.view.size[0] || height !== this.view.size[1]) this.view.resize(wide, height);
      this.redraw("photo", "masks", "marks");
      this.onpanes?.(this.panes);
    }

    // the pane under a place of the canvas
    paneAt(x) {
      return this.panes.find(({ left, width }) => x < left + width) ?? this.panes[this.panes.length - 1];
    }

    // a place of the canvas -> the same place in the view that all panes share
    toView(x, y) {
      return [x - (this.paneAt(x)?.shift ?? 0), y];
    }

    // drawn in the next frame, however many changes come before it
    redraw(...layers) {
      for (const layer of layers) this.dirty.add(layer);
      this.asked ||= performance.now();
      this.frame ||= requestAnimationFrame(() => this.draw());
    }

    draw() {
      this.frame = 0;
      const began = performance.now();
      const { asked, dirty } = this;
      this.dirty = new Set();
      this.asked = 0;
      if (dirty.has("photo")) this.drawPhoto();
      if (dirty.has("masks")) this.drawMasks();
      if (dirty.has("marks")) this.drawMarks();
      this.timing.frames += 1;
      keep(this.timing.draw, performance.now() - began);
      // the frame after this one begins when this one's pixels have been handed over
      requestAnimationFrame(() => keep(this.timing.input, performance.now() - asked));
      this.ondraw?.();
    }

    // the view in device pixels, as raster.js wants it
    get device() {
      const { dpr, view, canvases } = this;
      const [x, y] = [Math.round(view.x * dpr), Math.round(view.y * dpr)];
      const { width, height } = canvases[0];
      return { scale: view.scale * dpr, x, y, width, height, dash: [x, y], dpr };
    }

    // a pane's place in device pixels: {left, width} of what is seen, shift of what is drawn
    place({ left, width, shift }) {
      const from = Math.round(left * this.dpr);
      const to = Math.round((left + width) * this.dpr);
      return { from, wide: to - from, shift: Math.round(shift * this.dpr) };
    }

    drawPhoto() {
      const [context] = this.contexts;
      const { width, height } = this.canvases[0];
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.clearRect(0, 0, width, height);
      const opened = this.store.document;
      if (!opened) return;
      for (const pane of this.panes) {
        const { from, wide, shift } = this.place(pane);
        within(context, from, wide, height, () => {
          context.translate(shift, 0);
          this.photo.draw(context, this.device, [opened.image.width, opened.image.height]);
          this.heat?.draw(context, this.device, [opened.image.width, opened.image.height]);
        });
      }
    }

    drawMasks() {
      const context = this.contexts[1];
      const { width, height } = this.canvases[1];
      if (!this.target) {
        const data = new ImageData(width, height);
        this.target = { data, width, height, pixels: new Uint32Array(data.data.buffer) };
      }
      const { store } = this;
      const { outline } = store.switches;
      const fill = store.switches.fill && !this.heat?.map; // it would hide the map below
      context.clearRect(0, 0, width, height);
      for (const pane of this.panes) {
        const { from, wide, shift } = this.place(pane);
        const shown = store.hidden ? [] : this.order.filter((one) => panes.admits(pane.name, one, store) && !this.hides(pane.name));
        const stands = this.stand && !store.hidden && !this.hides(pane.name);
        const painted = stands ? this.stand : shown.map(drawn, store);
        raster.paint(this.target, painted, this.device, { fill: fill && !this.stand, outline: outline || Boolean(this.stand), opacity: store.opacity });
        context.putImageData(this.target.data, shift, 0, from - shift, 0, wide, height);
      }
    }

    drawMarks() {
      const context = this.contexts[2];
      const { width, height } = this.canvases[2];
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.clearRect(0, 0, width, height);
      if (!this.store.document || this.store.hidden) return;
      for (const pane of this.panes) {
        const { from, wide, shift } = this.place(pane);
        within(context, from, wide, height, () => this.markPane(context, pane, shift));
      }
    }

    markPane(context, pane, shift) {
      const { store, view, dpr } = this;
      const visible = (one) => one !== null && !this.hides(pane.name) && store.isShown(one) && panes.admits(pane.name, one, store);
      const picked = visible(store.picked) ? store.picked : null;
      const hovered = store.document.byId.get(store.hovered) ?? null;
      const inSight = this.inSight().filter((one) => panes.admits(pane.name, one, store) && !this.hides(pane.name));
      const look = (one) => verdicts.lookOf(one, store);
      context.setTransform(dpr, 0, 0, dpr, shift, 0);
      if (store.switches.boxes) marks.boxes(context, view, inSight, look);
      else if (picked) marks.boxes(context, view, [picked], look);
      context.setTransform(1, 0, 0, 1, shift, 0);
      if (hovered !== picked && visible(hovered)) this.halo.draw(context, hovered, this.device, "hovered");
      if (picked) this.halo.draw(context, picked, this.device, "selected");
      context.setTransform(dpr, 0, 0, dpr, shift, 0);
      for (const extra of this.extras) extra(context, view, pane);
      const { labels, scores } = store.switches;
      if (labels || scores) marks.labels(context, view, inSight, { ...store.switches, first: picked, look });
    }

    inSight() {
      const [width, height] = this.view.size;
      return this.store.shown.filter(({ box }) => {
        const [left, top] = this.view.toScreen(box[0], box[1]);
        const [right, bottom] = this.view.toScreen(box[2], box[3]);
        return right >= 0 && bottom >= 0 && left <= width && top <= height;
      });
    }

    // instances under a place of the canvas, the smallest first
    under(x, y) {
      const { store } = this;
      if (!store.document || store.hidden) return [];
      const pane = this.paneAt(x);
      const [imageX, imageY] = this.view.toImage(...this.toView(x, y));
      const there = store.shown.filter((one) => panes.admits(pane.name, one, store));
      return hit.under(there, imageX, imageY, this.view.scale);
    }

    // a place of the canvas where a click picks the instance
    pointOf(one) {
      for (const pane of this.panes) {
        if (!panes.admits(pane.name, one, this.store)) continue;
        const visible = (x, y) => {
          const [left, top] = this.view.toScreen(x, y);
          const at = left + pane.shift;
          return at >= pane.left + 1 && at <= pane.left + pane.width - 1 && top >= 1 && top <= this.size[1] - 1;
        };
        const others = this.store.shown.filter((other) => panes.admits(pane.name, other, this.store));
        const found = hit.pointOf(one, others, visible);
        if (!found) continue;
        const [x, y] = this.view.toScreen(...found);
        return [x + pane.shift, y];
      }
      return null;
    }
  }

  // what raster.js needs of an instance, as the store (`this`) has it look
  function drawn(one) {
    const { colour, line } = verdicts.lookOf(one, this);
    return { mask: one.mask, colour, line, truth: one.truth };
  }

  function within(context, left, width, height, draw) {
    context.save();
    context.beginPath();
    context.rect(left, 0, width, height);
    context.clip();
    draw();
    context.restore();
  }

  // truth below prediction, labels as they lie, large below small: what is picked first lies on top
  function paintOrder(shown) {
    return [...shown].sort(
      (a, b) => b.truth - a.truth || (a.z ?? 0) - (b.z ?? 0) || b.mask.area - a.mask.area || b.index - a.index,
    );
  }

  function keep(list, value) {
    list.push(value);
    if (list.length > KEPT) list.shift();
  }

  parts.Viewer = Viewer;
})();
