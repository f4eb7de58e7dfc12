// The review: what waits for somebody's eyes, in an order; one key decides and goes on, over the images' borders.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { api, dom } = parts;

  const NAME = "comask-review";
  const ORDERS = [
    ["file", "as in the dataset", "Image by image, the best score first"],
    ["score", "lowest score first", "What the model was least sure of comes first"],
    ["instability", "least stable first", "What changed most between the model's two passes comes first"],
    ["disagreement", "most disputed first", "What fits the other labels least comes first"],
  ];
  const STATES = ["proposed", "accepted", "edited", "rejected", "new"];
  const LIMIT = 200; // rows that are fetched at once
  const FRESH = 60_000; // milliseconds that what was fetched ahead may be used
  const AHEAD = 2; // images

  const within = {
    file: (a, b) => (b.classScore ?? -1) - (a.classScore ?? -1),
    score: (a, b) => (a.classScore ?? 2) - (b.classScore ?? 2),
    instability: (a, b) => (b.instability ?? -1) - (a.instability ?? -1),
    disagreement: (a, b) => (b.disagreement ?? -1) - (a.disagreement ?? -1),
  };

  class Review {
    constructor(labelling) {
      const { store } = labelling;
      Object.assign(this, { labelling, store });
      const usual = { order: "file", scope: "dataset", states: ["proposed"], near: true, finish: false };
      this.settings = { ...usual, ...recall(NAME) };
      this.rows = []; // {key, id, state, seen}
      this.total = null; // how many wait in all
      this.at = -1;
      this.ahead = new Map(); // address -> {when, answer}
      this.turn = 0;
      store.listen((changed) => {
        if (changed.has("document")) this.learn();
        if (changed.has("selected")) this.locate();
      });
    }

    get order() {
      return this.settings.order;
    }

    get near() {
      return this.settings.near;
    }

    set(patch) {
      this.settings = { ...this.settings, ...patch };
      try {
        localStorage.setItem(NAME, JSON.stringify(this.settings));
      } catch {
        // for this page only
      }
      if (!("near" in patch || "finish" in patch)) this.refresh();
      this.changed();
    }

    changed() {
      this.labelling.bar?.draw();
      this.labelling.pages?.draw();
    }

    // the queue from its start
    async refresh() {
      this.turn += 1;
      [this.rows, this.total, this.at, this.ended] = [[], null, -1, false];
      if (!this.labelling.active || this.labelling.project === null) return;
      if (this.settings.scope === "image") this.gather();
      else await this.more();
      this.locate();
    }

    // the open image's labels in the chosen order
    gather() {
      const { opened } = this.labelling;
      const wanted = new Set(this.settings.states);
      const found = (opened?.instances ?? []).filter(({ state }) => wanted.has(state)).sort(within[this.order]);
      this.rows = found.map(({ id, state, classScore: score }) => ({ key: opened.key, id, state, score, seen: false }));
      [this.total, this.ended] = [this.rows.length, true];
      this.changed();
    }

    // the next rows of the queue; says whether there were any
    async more() {
      const { labelling, turn } = this;
      if (this.ended) return false;
      await labelling.outbox.settled(); // the server has to know what was decided here
      const { order, states } = this.settings;
      const offset = this.rows.filter((row) => this.settings.states.includes(row.state)).length;
      const url = api.address("/api/labels/queue", { project: labelling.project, order, states: states.join(","), offset, limit: LIMIT });
      let answer;
      try {
        answer = await api.get(url, "The review queue");
      } catch (error) {
        if (turn === this.turn) labelling.say(api.sentence(error));
        return false;
      }
      if (turn !== this.turn) return false;
      const known = new Set(this.rows.map(({ key, id }) => `${key} ${id}`));
      const fresh = answer.rows.filter(({ key, id }) => !known.has(`${key} ${id}`)).map(({ key, id, state, class_score: score }) => ({ key, id: String(id), state, score: score ?? null, seen: false }));
      this.rows.push(...fresh);
      this.total = answer.total;
      this.ended = answer.rows.length < LIMIT;
      this.learn();
      this.changed();
      return fresh.length > 0;
    }

    // what became of the open image's rows
    learn() {
      const { opened } = this.labelling;
      if (!opened) return;
      if (this.settings.scope === "image" && this.rows[0]?.key !== opened.key) this.gather();
      for (const row of this.rows) {
        if (row.key !== opened.key) continue;
        const state = opened.byId.get(row.id)?.state ?? "gone";
        if (state === row.state) continue;
        const [was, is] = [row.state, state].map((one) => this.settings.states.includes(one));
        if (this.total !== null) this.total += Number(is) - Number(was);
        row.state = state;
        row.seen = false;
      }
      this.changed();
    }

    locate() {
      const { key } = this.labelling;
      const at = this.rows.findIndex((row) => row.key === key && row.id === this.store.selected);
      if (at >= 0) this.at = at;
      this.changed();
    }

    waits(row) {
      return !row.seen && this.settings.states.includes(row.state) && !this.hides(row);
    }

    // the score slider hides proposals, here as on the picture
    hides({ state, score }) {
      return state === "proposed" && score !== null && Math.fround(score) <= Math.fround(this.store.threshold);
    }

    // does nothing wait, as far as is known here?
    get idle() {
      return !this.rows.some((row) => this.waits(row));
    }

    // the next row that waits, from a place on; once round where `again` says so
    next(from, test = () => true) {
      for (let at = from; at < this.rows.length; at++) if (this.waits(this.rows[at]) && test(this.rows[at])) return at;
      return -1;
    }

    async find(from, test) {
      let at = this.next(from, test);
      while (at < 0 && (await this.more())) at = this.next(from, test);
      return at >= 0 ? at : this.next(0, test);
    }

    // on to what waits; by < 0 goes back, to what is decided too
    async step(by) {
      if (this.rows.length === 0 && this.total === null) await this.refresh();
      if (by < 0) return this.at > 0 ? this.go(this.at - 1) : undefined;
      const here = this.begun();
      return here < 0 ? this.advance() : this.go(here);
    }

    // image by image, the review goes on with the one that is looked at, wherever it was before
    begun() {
      const { key } = this.labelling;
      if (this.order !== "file" || this.rows[this.at]?.key === key) return -1;
      return this.next(0, (row) => row.key === key);
    }

    async advance(test) {
      const at = await this.find(this.at + 1, test);
      if (at < 0 || (at === this.at && test)) return this.finished();
      return this.go(at);
    }

    go(at) {
      const row = this.rows[at];
      this.at = at;
      this.labelling.openImage(row.key, row.id);
      this.changed();
      this.prefetch();
    }

    finished() {
      this.store.set({ selected: null });
      this.changed();
      const { labelling, settings } = this;
      const what = settings.scope === "image" ? "this image" : "this dataset";
      if (settings.scope === "image") return labelling.say(`All of ${what} is reviewed.`, parts.labelButton("review-dataset", "Go on with the dataset", "Review every image", () => this.set({ scope: "dataset" })));
      const hidden = this.rows.filter((row) => settings.states.includes(row.state) && this.hides(row)).length;
      if (hidden > 0) return labelling.say(`All is reviewed but ${dom.grouped(hidden)} below the score slider.`, parts.labelButton("review-below", "Show them too", "The slider goes to 0", () => this.store.setThreshold(0)));
      if (labelling.prelabel?.active) return labelling.say("Pre-labelling goes on: what it brings will wait here.");
      const counts = Object.values(labelling.pages.about?.counts ?? {});
      if (counts.every((count) => count === 0)) return labelling.say("Nothing waits for review: there is no label yet.");
      const buttons = labelling.export ? [parts.labelButton("review-export", "Export", "Write a COCO file, with its certificate", () => labelling.export.open())] : [];
      return labelling.say("All reviewed: export.", ...buttons);
    }

    // -- decisions ------------------------------------------------------------------------------

    // state of the image that goes with the last decision about it, where somebody wants that
    finishing(ids) {
      const { opened } = this.labelling;
      const decided = new Set(ids);
      const left = opened.instances.some(({ id, state }) => state === "proposed" && !decided.has(id));
      return this.settings.finish && !left ? "done" : null;
    }

    accept() {
      const { labelling } = this;
      const { targets } = labelling;
      if (targets.length === 0) return this.step(1);
      const put = targets.filter(({ state }) => state === "proposed" || state === "rejected").map(({ id }) => ({ id, state: "accepted" }));
      return this.decide("accept", targets, { put });
    }

    // what the model proposed or a file brought stays as a memory; what was drawn by hand goes
    reject() {
      const { targets } = this.labelling;
      if (targets.length === 0) return undefined;
      const drop = targets.filter(({ origin }) => origin === "person").map(({ id }) => id);
      const put = targets.filter(({ origin, state }) => origin !== "person" && state !== "rejected").map(({ id }) => ({ id, state: "rejected" }));
      return this.decide(put.length ? "reject" : "drop", targets, { put, drop });
    }

    decide(kind, targets, { put, drop = [] }) {
      const ids = targets.map(({ id }) => id);
      if (put.length + drop.length > 0) this.labelling.commit({ kind, put, drop, state: this.finishing(ids) });
      this.labelling.chosen.clear();
      const { key } = this.labelling;
      for (const row of this.rows) if (row.key === key && ids.includes(row.id)) row.seen = true;
      return this.advance();
    }

    // every proposal of the image that the score slider shows
    acceptAll() {
      const { labelling } = this;
      const shown = this.store.shown.filter(({ state }) => state === "proposed");
      if (shown.length === 0) return labelling.say("No proposal is shown in this image.");
      const put = shown.map(({ id }) => ({ id, state: "accepted" }));
      labelling.commit({ kind: "accept", put, state: this.finishing(put.map(({ id }) => id)) });
      return this.advance();
    }

    // this image is done: on to the next one with something to review
    done() {
      const { labelling } = this;
      const { key } = labelling;
      if (key === null) return this.step(1);
      labelling.commit({ kind: "done", state: "done" });
      return this.advance((row) => row.key !== key);
    }

    reopen() {
      this.labelling.commit({ kind: "reopen", state: "open" });
    }

    // -- ahead of time --------------------------------------------------------------------------

    // the next images of the queue are here before they are asked for
    prefetch() {
      const { labelling } = this;
      const keys = new Set();
      for (let at = this.at + 1; at < this.rows.length && keys.size < AHEAD; at++) {
        if (this.waits(this.rows[at]) && this.rows[at].key !== this.rows[this.at].key) keys.add(this.rows[at].key);
      }
      for (const key of keys) this.fetchAhead(labelling.sheetUrl(key));
      const left = this.rows.slice(this.at + 1).filter((row) => this.waits(row)).length;
      if (left < LIMIT / 10 && !this.ended && !this.asking) {
        this.asking = true;
        this.more().finally(() => (this.asking = false));
      }
    }

    fetchAhead(url) {
      const known = this.ahead.get(url);
      if (known && performance.now() - known.when < FRESH) return;
      const { photo } = this.labelling.viewer;
      const answer = parts.document.fetchJson(url, "This image's labels").then((json) => {
        if (json.image?.url) photo.prepare(json.image.url);
        return json;
      });
      answer.catch(() => this.ahead.delete(url)); // it is asked for again when it is wanted
      this.ahead.set(url, { when: performance.now(), answer });
    }

    // what was fetched ahead for an address, once; null where nothing was
    async prefetched(url) {
      const known = this.ahead.get(url);
      this.ahead.delete(url);
      if (!known || performance.now() - known.when > FRESH) return null;
      return known.answer.catch(() => null);
    }

    // an image changed: what was fetched of it is old
    forget(key = null) {
      if (key === null) this.ahead.clear();
      else this.ahead.delete(this.labelling.sheetUrl(key));
    }

    get left() {
      return this.total === null ? "" : dom.grouped(this.total);
    }
  }

  function recall(name) {
    try {
      return JSON.parse(localStorage.getItem(name)) ?? {};
    } catch {
      return {};
    }
  }

  Object.assign(Review, { ORDERS, STATES });
  parts.Review = Review;
})();
