// Fetches the document and the photograph of one image at a time, and what is still to come.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});

  const BUSY_AFTER = 150; // milliseconds until "loading" is worth a word
  const PAUSE = 1000; // milliseconds between two questions whether the model has seen an image

  class Opener {
    // onopen(url), onshow(document), onbusy(what goes on, or null for what else does)
    constructor(store, viewer, { onopen, onshow, onbusy, load = parts.document.load }) {
      Object.assign(this, { store, viewer, onopen, onshow, onbusy, load });
      this.url = null;
      this.request = null;
    }

    // the latest asked for wins: an older answer that comes late is dropped
    async open(url) {
      this.request?.abort();
      this.request = null;
      this.url = url;
      this.onopen(url);
      if (!url) {
        this.onbusy(null);
        return this.store.close();
      }
      const request = new AbortController();
      this.request = request;
      this.store.set({ loading: true, error: null });
      let opened = null;
      const late = setTimeout(() => this.onbusy({ text: "Loading the image" }), BUSY_AFTER);
      try {
        opened = await this.load(url, request.signal);
        if (this.request !== request) return undefined;
        this.onshow(opened);
        const { url: address } = opened.image;
        if (this.viewer.photo.url !== address) {
          const image = await this.viewer.photo.open(address);
          if (this.request === request) this.viewer.showPhoto(image, address);
        }
      } catch (error) {
        if (this.request !== request || error.name === "AbortError") return undefined;
        if (!opened) this.store.close(); // what was open before is not what was asked for
        this.fail(error, url);
      } finally {
        clearTimeout(late);
        if (this.request === request) this.onbusy(null);
        if (this.request === request) this.store.set({ loading: false });
      }
      return this.openLater(request);
    }

    // what is missing until the model has seen the image is fetched when it has
    async openLater(request) {
      const waits = () => this.request === request && !this.store.error && this.store.document?.pending;
      for (let rounds = 0; waits(); rounds++) {
        this.onbusy(null);
        if (rounds > 0) await new Promise((resolve) => setTimeout(resolve, PAUSE));
        try {
          const opened = await parts.document.load(this.store.document.pending.url, request.signal);
          if (this.request === request) this.onshow(opened);
        } catch (error) {
          if (this.request === request && error.name !== "AbortError") this.fail(error, this.url);
          return;
        } finally {
          if (this.request === request) this.onbusy(null);
        }
      }
    }

    fail(error, url) {
      if (!(error instanceof parts.document.LoadError)) console.error(error);
      const text = error instanceof parts.document.LoadError ? error.message : "This image could not be shown.";
      this.store.set({ loading: false, error: { text, retry: () => this.open(url) } });
    }
  }

  parts.Opener = Opener;
})();
