// Two fingers on the canvas: they move the image, and their distance zooms it, whatever tool is in hand.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});

  class Fingers {
    constructor(viewer) {
      this.viewer = viewer;
      this.down = new Map(); // pointer id -> [x, y] on the canvas
      this.pinching = false; // from the second finger on, until all are lifted
    }

    // a finger came; says whether it is one too many for a tool or a click
    press(event, place) {
      if (event.pointerType !== "touch") return false;
      if (event.isPrimary) this.down.clear(); // what was lifted elsewhere is not here any more
      this.down.set(event.pointerId, place);
      if (this.down.size > 1) this.pinching = true;
      return this.pinching;
    }

    move(event, place) {
      if (!this.down.has(event.pointerId)) return false;
      const before = this.middle();
      this.down.set(event.pointerId, place);
      const after = this.middle();
      if (!this.pinching || this.down.size < 2) return this.pinching;
      const { view } = this.viewer;
      view.panBy(after.x - before.x, after.y - before.y);
      if (before.spread > 0 && after.spread > 0) view.zoomBy(after.spread / before.spread, ...this.viewer.toView(after.x, after.y));
      return true;
    }

    // says whether the finger was one of several
    lift(event) {
      if (!this.down.delete(event.pointerId)) return false;
      const { pinching } = this;
      if (this.down.size === 0) this.pinching = false;
      return pinching;
    }

    // of the first two
    middle() {
      const [[x1, y1], [x2, y2] = [x1, y1]] = [...this.down.values()];
      return { x: (x1 + x2) / 2, y: (y1 + y2) / 2, spread: Math.hypot(x2 - x1, y2 - y1) };
    }
  }

  parts.Fingers = Fingers;
})();
