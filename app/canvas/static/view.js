// Where the image lies on the canvas. All in CSS pixels: screen = image * scale + (x, y).
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});

  const MOST = 64; // CSS pixels for one image pixel
  const PADDING = 16;
  const KEPT = 48; // at least so much of the image stays in sight

  class View {
    constructor() {
      this.scale = 1;
      this.x = 0;
      this.y = 0;
      this.size = [0, 0]; // the canvas: width, height
      this.image = [0, 0];
      this.fitted = true; // until somebody zooms or pans, the image follows the window
      this.onchange = () => {};
    }

    open(width, height) {
      this.image = [width, height];
      this.fit();
    }

    resize(width, height) {
      const [oldWidth, oldHeight] = this.size;
      this.size = [width, height];
      if (this.fitted) return this.fit();
      return this.moveTo(this.x + (width - oldWidth) / 2, this.y + (height - oldHeight) / 2);
    }

    get fitScale() {
      const [width, height] = this.image;
      if (!width || !height) return 1;
      const wide = Math.max(1, this.size[0] - 2 * PADDING) / width;
      const high = Math.max(1, this.size[1] - 2 * PADDING) / height;
      return Math.min(wide, high, 16);
    }

    fit() {
      this.scale = this.fitScale;
      this.fitted = true;
      this.moveTo((this.size[0] - this.image[0] * this.scale) / 2, (this.size[1] - this.image[1] * this.scale) / 2);
    }

    // the point (x, y) of the canvas stays where it is
    zoomTo(scale, x = this.size[0] / 2, y = this.size[1] / 2) {
      const least = Math.min(this.fitScale / 2, 1);
      const next = Math.min(MOST, Math.max(least, scale));
      const [imageX, imageY] = this.toImage(x, y);
      this.scale = next;
      this.panTo(x - imageX * next, y - imageY * next);
    }

    zoomBy(factor, x, y) {
      this.zoomTo(this.scale * factor, x, y);
    }

    panTo(x, y) {
      this.fitted = false;
      this.moveTo(x, y);
    }

    panBy(x, y) {
      this.panTo(this.x + x, this.y + y);
    }

    centre(imageX, imageY) {
      this.panTo(this.size[0] / 2 - imageX * this.scale, this.size[1] / 2 - imageY * this.scale);
    }

    moveTo(x, y) {
      const within = (value, size, length) =>
        Math.min(size - KEPT, Math.max(KEPT - length * this.scale, value));
      this.x = Math.round(within(x, this.size[0], this.image[0]));
      this.y = Math.round(within(y, this.size[1], this.image[1]));
      this.onchange();
    }

    toImage(x, y) {
      return [(x - this.x) / this.scale, (y - this.y) / this.scale];
    }

    toScreen(x, y) {
      return [x * this.scale + this.x, y * this.scale + this.y];
    }

    // is the box (x, y, w, h) of the image in sight as a whole?
    shows([x, y, width, height]) {
      const [left, top] = this.toScreen(x, y);
      const [right, bottom] = this.toScreen(x + width, y + height);
      return left >= 0 && top >= 0 && right <= this.size[0] && bottom <= this.size[1];
    }
  }

  parts.View = View;
})();
