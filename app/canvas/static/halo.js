// Rings around one mask, on a canvas of just that size: what is picked or pointed at.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { palette, raster } = parts;

  const RINGS = {
    selected: [[palette.pixel([255, 255, 255], 255), 2], [palette.pixel([0, 0, 0], 190), 1]],
    hovered: [[palette.pixel([255, 255, 255], 210), 1], [palette.pixel([0, 0, 0], 130), 1]],
  };

  class Halo {
    constructor() {
      this.canvas = document.createElement("canvas");
    }

    // frame: the view in device pixels; which: "selected" or "hovered"
    draw(context, { mask }, frame, which) {
      const [x, y, width, height] = mask.bbox;
      const edge = 6 * frame.dpr;
      const left = Math.max(0, Math.floor(x * frame.scale + frame.x - edge));
      const top = Math.max(0, Math.floor(y * frame.scale + frame.y - edge));
      const right = Math.min(frame.width, Math.ceil((x + width) * frame.scale + frame.x + edge));
      const bottom = Math.min(frame.height, Math.ceil((y + height) * frame.scale + frame.y + edge));
      if (right <= left || bottom <= top || !mask.area) return;
      const data = new ImageData(right - left, bottom - top);
      const target = { width: data.width, height: data.height, pixels: new Uint32Array(data.data.buffer) };
      const moved = { ...frame, x: frame.x - left, y: frame.y - top, width: data.width, height: data.height };
      raster.halo(target, mask, moved, RINGS[which].map(([colour, ring]) => [colour, Math.round(ring * frame.dpr)]));
      this.canvas.width = data.width;
      this.canvas.height = data.height;
      this.canvas.getContext("2d").putImageData(data, 0, 0);
      context.drawImage(this.canvas, left, top);
    }
  }

  parts.Halo = Halo;
})();
