// Where the page is: which dataset, checkpoint, image, filters. The store knows how it is looked at.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});

  const FILTERS = ["name", "category", "size", "scores", "error", "cell", "fit"];
  const START = {
    source: null, // "samples", "uploads" or "dataset"; null where no page around says so
    checkpoint: null,
    dataset: null,
    mode: "grid", // of a dataset: "grid", "viewer", "metrics" or "compare"
    page: "browse", // or "label", "inspect" or "report"
    image: null,
    sort: "file",
    name: "",
    category: "",
    size: "",
    scores: "", // "low,high", or "" for any
    error: "",
    cell: "",
    fit: "", // "object from,to,field from,to" in image pixels
    other: null, // the checkpoint to compare with
    change: "", // which kind of difference is listed, or "" for all
    film: "", // where in a film, in stages: "2.5", or "all-2.5" of all instances at once
    ...{ question: "activation", level: 2, map: "output" }, // of the page Inspect: the question, and which map is large
    ...{ how: "norm", channel: 0, measure: "share" }, // how channels become one number
    ...{ target: "cell", point: "", path: "own", norm: "frozen", frame: "image", images: 8 }, // whose receptive field; a point in image pixels
    ...{ cut: "" }, // what is switched off, as JSON
    ...{ range: "", limits: "", heat: 0.65, folded: false }, // how maps are coloured; "" is as fits the question
  };

  class Place {
    constructor() {
      Object.assign(this, START);
      this.listeners = new Set();
    }

    listen(callback) {
      this.listeners.add(callback);
    }

    set(patch) {
      const changed = new Set(Object.keys(patch).filter((name) => this[name] !== patch[name]));
      if (changed.size === 0) return;
      Object.assign(this, patch);
      for (const callback of [...this.listeners]) callback(changed);
    }

    get filters() {
      return Object.fromEntries(FILTERS.map((name) => [name, this[name]]));
    }

    get filtered() {
      return FILTERS.some((name) => this[name] !== "");
    }

    clearFilters() {
      this.set(Object.fromEntries(FILTERS.map((name) => [name, ""])));
    }

    // what is in front: a dataset's grid, metrics or comparison, the report, or the picture
    get front() {
      if (this.page !== "browse") return this.page;
      return this.source === "dataset" ? this.mode : "viewer";
    }

    // is the picture in front, with or without maps over it?
    get pictured() {
      return ["viewer", "inspect", "label"].includes(this.front);
    }
  }

  parts.place = { Place, START, FILTERS };
})();
