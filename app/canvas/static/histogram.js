// How many instances have which class score, behind the slider that cuts them off.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});

  const BINS = 50;
  const THUMB = 16; // CSS pixels: the middle of the slider's knob travels from half of it to the width less half

  class Histogram {
    constructor(canvas, store) {
      this.canvas = canvas;
      this.store = store;
      this.counts = new Array(BINS).fill(0);
      this.frame = 0;
      new ResizeObserver(() => this.redraw()).observe(canvas);
      store.listen((changed) => {
        const other = changed.has("document") && this.count();
        if (other || changed.has("threshold")) this.redraw();
      });
    }

    // says whether anything is counted that was not
    count() {
      const before = this.counts.join();
      this.counts.fill(0);
      for (const { classScore } of this.store.document?.instances ?? []) {
        if (classScore === null) continue;
        this.counts[Math.min(BINS - 1, Math.max(0, Math.floor(classScore * BINS)))] += 1;
      }
      return this.counts.join() !== before;
    }

    redraw() {
      this.frame ||= requestAnimationFrame(() => this.draw());
    }

    draw() {
      this.frame = 0;
      const { canvas, counts, store } = this;
      const { clientWidth: width, clientHeight: height } = canvas;
      if (!width) return;
      const dpr = window.devicePixelRatio || 1;
      canvas.width = Math.round(width * dpr);
      canvas.height = Math.round(height * dpr);
      const context = canvas.getContext("2d");
      context.scale(dpr, dpr);
      const style = getComputedStyle(canvas);
      const most = Math.max(1, ...counts);
      const step = (width - THUMB) / BINS;
      counts.forEach((count, bin) => {
        if (!count) return;
        // the square root lets a few instances be seen beside hundreds
        const high = Math.max(2, Math.sqrt(count / most) * height);
        const kept = (bin + 0.5) / BINS > store.threshold;
        context.fillStyle = style.getPropertyValue(kept ? "--bar" : "--bar-off");
        context.fillRect(THUMB / 2 + bin * step, height - high, Math.max(1, step - 1), high);
      });
    }
  }

  parts.Histogram = Histogram;
})();
