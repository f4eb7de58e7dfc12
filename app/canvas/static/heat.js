// A map of numbers over the photograph, each cell where it looks; and what lies under the pointer.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { colours } = parts;

  const SHARP = 14; // device pixels of a cell from which on cells are drawn as squares

  class Heat {
    constructor(viewer) {
      this.viewer = viewer;
      this.map = null; // {values, shape, first, step, how}
      this.opacity = 0.65;
    }

    // map: {values, shape}; stride: network pixels between cells; scale: network pixels an image pixel;
    // or first and step where cells lie otherwise: where cell 0 begins (x, y), and how wide cells are, in image pixels
    show(map, { stride, scale, how, first = Array(2).fill((0.5 - stride / 2) / scale), step = stride / scale }) {
      this.map = map && { ...map, first, step, how, picture: colours.paint(map, how) };
      this.viewer.redraw("photo", "masks", "marks");
    }

    set(opacity) {
      this.opacity = opacity;
      if (this.map) this.viewer.redraw("photo");
    }

    get frame() {
      const { first, step } = this.map;
      return { first, step };
    }

    draw(context, device, [width, height]) {
      if (!this.map || this.opacity === 0) return;
      const { first, step } = this.frame;
      const [high, wide] = this.map.shape;
      const { scale, x, y } = device;
      context.save();
      context.beginPath();
      context.rect(x, y, width * scale, height * scale);
      context.clip();
      context.globalAlpha = this.opacity;
      context.imageSmoothingEnabled = step * scale < SHARP;
      context.imageSmoothingQuality = "low"; // bilinear
      context.drawImage(this.map.picture, x + first[0] * scale, y + first[1] * scale, (wide + 1) * step * scale, (high + 1) * step * scale);
      context.restore();
    }

    // image pixels -> {row, column, value}, null beside the map
    at(x, y) {
      if (!this.map) return null;
      const { first, step } = this.frame;
      const [high, wide, depth = 1] = this.map.shape;
      const cell = (place, from, count) => Math.max(0, Math.min(count - 1, Math.floor((place - from) / step)));
      const [row, column] = [cell(y, first[1], high), cell(x, first[0], wide)];
      const at = (row * wide + column) * depth;
      return { row, column, values: [...this.map.values.subarray(at, at + depth)] };
    }

    // a cell's centre in image pixels
    centre(row, column) {
      const { first, step } = this.frame;
      return [first[0] + (column + 0.5) * step, first[1] + (row + 0.5) * step];
    }
  }

  parts.Heat = Heat;
})();
