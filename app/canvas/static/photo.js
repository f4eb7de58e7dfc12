// The photograph under the masks, with halved copies so that a huge one costs no more than the screen.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});

  class Photo {
    constructor() {
      this.levels = []; // the image itself, then each half of the one before
      this.url = null; // of the one that is shown
    }

    // resolves when the picture can be drawn; rejects with a LoadError
    async open(url) {
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
