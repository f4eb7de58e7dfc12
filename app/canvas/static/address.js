// The page's address holds what is open and how it is looked at: whoever opens it sees the same.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { START, FILTERS } = parts.place;

  const PAUSE = 200; // milliseconds: a slider that moves writes no more often
  const STEPS = ["source", "dataset", "mode", "page", "image", "question"]; // a change of these is a step that Back undoes
  const SWITCHES = { fill: "m", outline: "o", boxes: "b", labels: "l", scores: "s" };
  const QUESTIONS = ["activation", "contribution", "field", "ablation", "fit"];
  const INSPECTED = ["question", "level", "map", "how", "channel", "measure", "range", "limits", "heat", "folded", "cut", "target", "point", "path", "norm", "frame", "images"];
  const LAYERS = { prediction: "p", truth: "t" };
  const OURS = [
    ...["source", "dataset", "checkpoint", "mode", "tab", "image", "sort", "with", "change", "instance", "score", "iou", "kind"],
    ...["colour", "panel", "swipe", "opacity", "show", "layers", "off", "at", "film", ...FILTERS, ...INSPECTED],
  ];

  const number = (text, low, high) => {
    const value = text === null || text.trim() === "" ? NaN : Number(text);
    return value >= low && value <= high ? value : null;
  };
  const oneOf = (text, words) => (words.includes(text) ? text : null);
  const range = (text) => {
    const ends = text.split(",").map((part) => number(part, 0, 1));
    return ends.length === 2 && !ends.includes(null) && ends[0] <= ends[1] ? ends.join(",") : "";
  };
  const lengths = (text) => {
    const ends = text.split(",").map((part) => number(part, 0, 1e5));
    return ends.length === 4 && !ends.includes(null) ? ends.join(",") : "";
  };
  const film = (text) => (/^(all-)?[0-5](\.\d{1,2})?$/.test(text) ? text : "");
  const letters = (held, names) => Object.entries(names).map(([name, letter]) => (held[name] ? letter : "")).join("");
  const unlettered = (text, names) => Object.fromEntries(Object.entries(names).map(([name, letter]) => [name, text.includes(letter)]));

  // what the page Inspect asks and shows
  function inspected(said, text) {
    const limits = text("limits").split(",").map((part) => number(part, -1e12, 1e12));
    const point = text("point").split(",").map((part) => number(part, 0, 1e5));
    return {
      question: oneOf(said("question"), QUESTIONS) ?? START.question,
      level: number(said("level"), 2, 5) ?? START.level,
      map: text("map") || START.map,
      how: oneOf(said("how"), ["norm", "mean", "max", "pca", "channel"]) ?? START.how,
      channel: Math.round(number(said("channel"), 0, 4095) ?? 0),
      measure: oneOf(said("measure"), ["share", "strength"]) ?? START.measure,
      range: oneOf(said("range"), ["map", "level", "all", "held"]) ?? START.range,
      limits: limits.length === 2 && !limits.includes(null) ? limits.join(",") : "",
      heat: number(said("heat"), 0, 1) ?? START.heat,
      folded: said("folded") === "1",
      cut: text("cut"),
      target: oneOf(said("target"), ["cell", "instance", "class", "set"]) ?? START.target,
      point: point.length === 2 && !point.includes(null) ? point.join(",") : "",
      path: oneOf(said("path"), ["own", "cascade"]) ?? START.path,
      norm: oneOf(said("norm"), ["frozen", "live"]) ?? START.norm,
      images: Math.round(number(said("images"), 1, 64) ?? START.images),
      frame: oneOf(said("frame"), ["image", "level"]) ?? START.frame,
    };
  }

  // the address -> {place, look, instance, at}; what it does not say is as at the start
  function read(search, defaults) {
    const asked = new URLSearchParams(search);
    const said = (name) => asked.get(name);
    const text = (name) => (said(name) ?? "").slice(0, 300);
    const place = {
      source: oneOf(said("source"), ["samples", "uploads", "dataset"]),
      dataset: text("dataset") || null,
      checkpoint: text("checkpoint") || null,
      mode: oneOf(said("mode"), ["grid", "viewer", "metrics", "compare"]) ?? START.mode,
      page: oneOf(said("tab"), ["browse", "label", "inspect", "report"]) ?? START.page,
      image: text("image") || null,
      sort: text("sort") || START.sort,
      other: text("with") || null,
      change: text("change"),
      ...Object.fromEntries(FILTERS.map((name) => [name, text(name)])),
      scores: range(text("scores")),
      fit: lengths(text("fit")),
      film: film(text("film")),
      ...inspected(said, text),
    };
    const look = {
      threshold: number(said("score"), 0, 1) ?? defaults.threshold,
      iou: number(said("iou"), 0.1, 1) ?? 0.5,
      kind: oneOf(said("kind"), ["mask", "box"]) ?? "mask",
      colouring: oneOf(said("colour"), ["instance", "verdict"]) ?? "instance",
      panel: oneOf(said("panel"), parts.panes.PANELS.map(([name]) => name)) ?? "both",
      swipe: number(said("swipe"), 0, 1) ?? 0.5,
      opacity: number(said("opacity"), 0, 1) ?? defaults.opacity,
      off: new Set(asked.getAll("off")),
      layers: unlettered(said("layers") ?? "pt", LAYERS),
    };
    const at = (said("at") ?? "").split(",").map((part) => number(part, 0, 1e6));
    const switches = said("show") === null ? null : unlettered(said("show"), SWITCHES);
    return { place, look, switches, instance: text("instance") || null, at: at.length === 3 && !at.includes(null) ? at : null };
  }

  // the other way; `view` is the picture's, or null while none is in front, `wanted` what its image will be asked for once it is here
  function write(place, store, view, wanted = null) {
    const words = new URLSearchParams(window.location.search);
    for (const name of OURS) words.delete(name);
    const put = (name, value, usual) => value !== null && value !== "" && String(value) !== String(usual) && words.set(name, value);
    const inDataset = place.source === "dataset";
    put("tab", place.page, START.page); // "page" is a word of Gradio's own
    put("source", place.source);
    put("checkpoint", place.checkpoint);
    if (inDataset) {
      put("dataset", place.dataset);
      put("mode", place.mode, START.mode);
      put("sort", place.sort, START.sort);
      put("with", place.other);
      put("change", place.change);
      for (const name of FILTERS) put(name, place[name]);
    }
    if (place.page === "inspect") {
      for (const name of INSPECTED) put(name, place[name] === true ? 1 : place[name] === false ? "" : place[name], START[name]);
    }
    const opens = !inDataset || place.mode === "viewer" || ["inspect", "label"].includes(place.page);
    if (opens) {
      put("image", place.image);
      put("instance", wanted?.instance ?? store.selected);
      put("film", place.film);
    }
    put("score", store.threshold.toFixed(2), store.defaults.threshold.toFixed(2));
    put("iou", store.iou.toFixed(2), "0.50");
    put("kind", store.kind, "mask");
    put("colour", store.colouring, "instance");
    put("panel", store.panel, "both");
    if (store.panel === "swipe") put("swipe", store.swipe, 0.5);
    put("opacity", store.opacity, store.defaults.opacity);
    put("layers", letters(store.layers, LAYERS) || "-", "pt");
    if (store.touched.size > 0) put("show", letters(store.switches, SWITCHES) || "-");
    for (const name of store.off) words.append("off", name);
    if (opens && wanted?.at) words.set("at", wanted.at);
    else if (view && !view.fitted && view.image[0]) {
      const [x, y] = view.toImage(view.size[0] / 2, view.size[1] / 2);
      words.set("at", [Number(view.scale.toPrecision(10)), Number(Math.max(0, x).toFixed(4)), Number(Math.max(0, y).toFixed(4))].join(","));
    }
    return words.toString();
  }

  // keeps the window's address and the page together
  class Address {
    constructor(place, store, view, { wanted, onback }) {
      Object.assign(this, { place, store, view, wanted });
      this.timer = null;
      this.step = false; // whether the next write is one that Back undoes
      this.live = false; // until the page has become what the address asked for
      place.listen((changed) => {
        if (!this.quiet && STEPS.some((name) => changed.has(name))) this.step = true;
        if (this.live) this.now();
      });
      store.listen(() => this.later());
      window.addEventListener("popstate", () => {
        clearTimeout(this.timer);
        this.step = false;
        onback(read(window.location.search, store.defaults));
      });
    }

    // a change that is no step of its own; `when` false makes it one
    quietly(change, when = true) {
      this.quiet = when;
      change();
      this.quiet = false;
    }

    begin() {
      this.live = true;
      this.step = false;
      this.later();
    }

    later() {
      if (!this.live) return;
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.now(), PAUSE);
    }

    now() {
      clearTimeout(this.timer);
      const next = write(this.place, this.store, this.place.pictured ? this.view : null, this.wanted());
      const { step } = this;
      this.step = false;
      if (next === window.location.search.replace(/^\?/, "")) return;
      const url = `${window.location.pathname}${next ? `?${next}` : ""}`;
      window.history[step ? "pushState" : "replaceState"](window.history.state, "", url);
    }
  }

  parts.address = { read, write, Address };
})();
