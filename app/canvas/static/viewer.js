// The canvas: a photograph, masks over it, boxes and labels on top, each redrawn only when it must be.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { palette, raster, marks, hit } = parts;

  const RINGS = {
    selected: [[palette.pixel([255, 255, 255], 255), 2], [palette.pixel([0, 0, 0], 190), 1]],
    hovered: [[palette.pixel([255, 255, 255], 210), 1], [palette.pixel([0, 0, 0], 130), 1]],
  };
  const KEPT = 200; // paint times

  class Viewer {
    constructor(stage, store) {
      this.stage = stage;
      this.store = store;
      this.view = new parts.View();
      this.photo = new parts.Photo();
      this.canvases = ["photo", "masks", "marks"].map((name) => stage.querySelector(`[data-layer=${name}]`));
      this.contexts = this.canvases.map((canvas) => canvas.getContext("2d"));
      this.halo = document.createElement("canvas");
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
      if (["shown", "opacity", "switches", "hidden"].some((name) => changed.has(name))) this.redraw("masks", "marks");
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
    }

    resize() {
      const { clientWidth: width, clientHeight: height } = this.stage;
      if (!width || !height) return;
      this.dpr = Math.min(3, Math.max(1, window.devicePixelRatio || 1));
      for (const canvas of this.canvases) {
        canvas.width = Math.round(width * this.dpr);
        canvas.height = Math.round(height * this.dpr);
      }
      this.view.resize(width, height);
      this.target = null;
      this.redraw("photo", "masks", "marks");
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

    drawPhoto() {
      const [context] = this.contexts;
      const { width, height } = this.canvases[0];
      context.clearRect(0, 0, width, height);
      const opened = this.store.document;
      if (!opened) return;
      this.photo.draw(context, this.device, [opened.image.width, opened.image.height]);
    }

    drawMasks() {
      const context = this.contexts[1];
      const { width, height } = this.canvases[1];
      if (!this.target) {
        const data = new ImageData(width, height);
        this.target = { data, width, height, pixels: new Uint32Array(data.data.buffer) };
      }
      const { fill, outline } = this.store.switches;
      const shown = this.store.hidden ? [] : this.order;
      raster.paint(this.target, shown, this.device, { fill, outline, opacity: this.store.opacity });
      context.putImageData(this.target.data, 0, 0);
    }

    drawMarks() {
      const context = this.contexts[2];
      const { width, height } = this.canvases[2];
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.clearRect(0, 0, width, height);
      const { store, view } = this;
      if (!store.document || store.hidden) return;
      const picked = store.isShown(store.picked) ? store.picked : null;
      const hovered = store.document.byId.get(store.hovered) ?? null;
      context.setTransform(this.dpr, 0, 0, this.dpr, 0, 0);
      if (store.switches.boxes) marks.boxes(context, view, this.inSight());
      else if (picked) marks.boxes(context, view, [picked]);
      context.setTransform(1, 0, 0, 1, 0, 0);
      if (hovered && hovered !== picked && store.isShown(hovered)) this.drawHalo(hovered, RINGS.hovered);
      if (picked) this.drawHalo(picked, RINGS.selected);
      context.setTransform(this.dpr, 0, 0, this.dpr, 0, 0);
      const { labels, scores } = store.switches;
      if (labels || scores) marks.labels(context, view, this.inSight(), store.switches, picked);
    }

    inSight() {
      const [width, height] = this.view.size;
      return this.store.shown.filter(({ box }) => {
        const [left, top] = this.view.toScreen(box[0], box[1]);
        const [right, bottom] = this.view.toScreen(box[2], box[3]);
        return right >= 0 && bottom >= 0 && left <= width && top <= height;
      });
    }

    // rings around one mask, on a canvas of just that size
    drawHalo(one, rings) {
      const frame = this.device;
      const [x, y, width, height] = one.mask.bbox;
      const edge = 6 * frame.dpr;
      const left = Math.max(0, Math.floor(x * frame.scale + frame.x - edge));
      const top = Math.max(0, Math.floor(y * frame.scale + frame.y - edge));
      const right = Math.min(frame.width, Math.ceil((x + width) * frame.scale + frame.x + edge));
      const bottom = Math.min(frame.height, Math.ceil((y + height) * frame.scale + frame.y + edge));
      if (right <= left || bottom <= top || !one.mask.area) return;
      const data = new ImageData(right - left, bottom - top);
      const target = { width: data.width, height: data.height, pixels: new Uint32Array(data.data.buffer) };
      const moved = { ...frame, x: frame.x - left, y: frame.y - top, width: data.width, height: data.height };
      const wide = rings.map(([colour, ring]) => [colour, Math.round(ring * frame.dpr)]);
      raster.halo(target, one.mask, moved, wide);
      this.halo.width = data.width;
      this.halo.height = data.height;
      this.halo.getContext("2d").putImageData(data, 0, 0);
      this.contexts[2].drawImage(this.halo, left, top);
    }

    // instances under a point of the canvas, the smallest first
    under(x, y) {
      if (!this.store.document || this.store.hidden) return [];
      const [imageX, imageY] = this.view.toImage(x, y);
      return hit.under(this.store.shown, imageX, imageY, this.view.scale);
    }

    // a point of the canvas where a click picks the instance
    pointOf(one) {
      const visible = (x, y) => {
        const [left, top] = this.view.toScreen(x, y);
        return left >= 1 && top >= 1 && left <= this.view.size[0] - 1 && top <= this.view.size[1] - 1;
      };
      const found = hit.pointOf(one, this.store.shown, visible);
      return found && this.view.toScreen(...found);
    }
  }

  // truth below prediction, large below small: what is picked first lies on top
  function paintOrder(shown) {
    return [...shown].sort(
      (a, b) => b.truth - a.truth || b.mask.area - a.mask.area || b.index - a.index,
    );
  }

  function keep(list, value) {
    list.push(value);
    if (list.length > KEPT) list.shift();
  }

  parts.Viewer = Viewer;
})();
