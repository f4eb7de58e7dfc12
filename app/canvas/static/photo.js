// The photograph under the masks, with halved copies so that a huge one costs no more than the screen.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});

  const AHEAD = 4; // pictures

  class Photo {
    constructor() {
      this.levels = []; // the image itself, then each half of the one before
      this.url = null; // of the one that is shown
      this.ready = new Map(); // address -> a picture on its way, of what is likely wanted next
    }

    // fetched and decoded before anybody asks
    prepare(url) {
      if (url === this.url || this.ready.has(url)) return;
      const image = new Image();
      image.decoding = "async";
      image.src = url;
      this.ready.set(url, image);
      image.decode().catch(() => this.ready.delete(url));
      if (this.ready.size > AHEAD) this.ready.delete(this.ready.keys().next().value);
    }

    // resolves when the picture can be drawn; rejects with a LoadError
    async open(url) {
      const prepared = this.ready.get(url);
      this.ready.delete(url);
      if (prepared) return prepared.decode().then(() => prepared, () => this.open(url));
      const image = new Image();
      image.decoding = "async";
      image.src = url;
      try {
        await image.decode();
      } catch {
        throw new parts.document.LoadError("The photograph could not be loaded.");
      }
      return image;
    }

    show(image, url = null) {
      this.levels = image ? [image] : [];
      this.url = url;
    }

    // view: {scale, x, y} in device pixels; the image's size is the document's
    draw(context, view, [width, height]) {
      if (this.levels.length === 0) return;
      const level = Math.max(0, Math.floor(Math.log2(1 / view.scale)));
      const source = this.level(Math.min(level, 6));
      context.imageSmoothingEnabled = view.scale < 2; // close up, the pixels are the truth
      context.drawImage(source, view.x, view.y, width * view.scale, height * view.scale);
    }

    level(wanted) {
      while (this.levels.length <= wanted) {
        const source = this.levels[this.levels.length - 1];
        const width = Math.max(1, Math.round((source.naturalWidth ?? source.width) / 2));
        const height = Math.max(1, Math.round((source.naturalHeight ?? source.height) / 2));
        const half = document.createElement("canvas");
        half.width = width;
        half.height = height;
        const context = half.getContext("2d", { alpha: false });
        context.drawImage(source, 0, 0, width, height);
        this.levels.push(half);
      }
      return this.levels[wanted];
    }
  }

  parts.Photo = Photo;
})();
