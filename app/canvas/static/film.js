// How instances came about, as a film on the picture: its time, its data and what plays it.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { api, rle, filming } = parts;

  const MOVE = 900; // milliseconds from one stage to the next
  const REST = 1500; // on a stage, while it plays
  const SCRUB = 0.1; // stages that a key moves
  const STAGES = ["proposal", "first", "votes", "box", "mask", "iou"]; // as long as nobody knows better
  const FLOATS = 8 + 49 + 4 * 49; // proposal, box, weights, votes
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)");

  class Film {
    // ask(one), askAll(): addresses of traces, or null; onopen(): the film begins or shows another instance
    constructor(store, viewer, { ask, askAll, onchange, onopen }) {
      Object.assign(this, { store, viewer, ask, askAll, onchange, onopen });
      this.latest = new api.Latest(0);
      this.at = null; // in stages, 0 .. stages - 1; null while there is no film
      this.all = false; // all that is shown at once, or what is picked alone
      this.run = null; // {from, to, began, until}: what moves it
      this.url = null;
      this.text = ""; // why there is nothing to see
      this.screen = new filming.Screen(viewer, store);
      this.take(null);
      store.listen((changed) => this.follow(changed));
      viewer.hides = (pane) => this.ready && pane !== "truth"; // one thing at a time
      viewer.extras.push((context, view, pane) => this.draw(context, view, pane));
    }

    // can there be a film of this image?
    get possible() {
      return this.store.document?.instances.some((one) => one.proposal) ?? false;
    }

    get ready() {
      return this.at !== null && this.rows.length > 0;
    }

    get last() {
      return (this.stages.length || STAGES.length) - 1;
    }

    // the stage that is told of: on the way to one, that one
    get stage() {
      if (this.at === null) return null;
      const moves = this.run !== null && performance.now() >= this.run.began;
      return Math.min(this.last, moves ? this.run.to : Math.ceil(this.at - 1e-6));
    }

    get moment() {
      const before = this.stages[Math.floor(this.at)].moment;
      const after = this.stages[Math.ceil(this.at)].moment;
      return filming.between(before, after, this.at - Math.floor(this.at));
    }

    get playing() {
      return this.run !== null;
    }

    follow(changed) {
      if (this.at === null) return;
      if (!this.store.document) return this.close();
      const other = changed.has("selected") || changed.has("document");
      if (!other && !changed.has("shown")) return;
      this.choose();
      this.fetch();
      if (other && !this.all && this.store.picked) this.onopen();
      this.show();
    }

    // -- time

    open(at = 0) {
      if (this.at !== null || !this.possible) return;
      this.at = at;
      this.fetch();
      this.show(); // the bar takes room from the picture, which is then looked at from near
      this.onopen();
    }

    close() {
      this.at = null;
      this.run = null;
      this.all = false;
      this.latest.drop();
      this.url = null;
      this.text = "";
      this.take(null);
      this.show();
    }

    // R: the first stage, the next one, and after the last none
    next() {
      if (this.at === null) return this.open();
      const here = this.run?.to ?? this.at;
      const to = Math.floor(here + 1e-6) + 1;
      if (to > this.last) return this.close();
      this.at = this.run?.to ?? this.at;
      return this.start(to, performance.now());
    }

    // play on from here, from the beginning once it is over, or stop
    toggle() {
      if (this.run) {
        this.run = null;
        return this.show();
      }
      if (this.at === null) this.open();
      if (this.at === null) return undefined;
      if (this.at >= this.last) this.at = 0;
      const stands = Number.isInteger(this.at);
      return this.start(this.last, performance.now() + (stands ? REST / 2 : 0));
    }

    start(until, began) {
      this.run = { from: this.at, to: Math.floor(this.at + 1e-6) + 1, began, until };
      this.tick();
      this.show();
    }

    // a place in time, in stages
    seek(at) {
      if (this.at === null) this.open();
      if (this.at === null) return;
      this.run = null;
      this.at = Math.min(this.last, Math.max(0, at));
      this.show();
    }

    // where it is, in a word that an address can hold
    get word() {
      if (this.at === null) return "";
      return `${this.all ? "all-" : ""}${Number(this.at.toFixed(2))}`;
    }

    // the other way: to where a word says, standing still
    goTo(word) {
      if (word === this.word) return;
      const [, all, at] = /^(all-)?([\d.]+)$/.exec(word) ?? [];
      if (at === undefined) {
        if (this.at !== null) this.close();
        return;
      }
      if (this.all !== Boolean(all)) this.setAll(Boolean(all));
      this.seek(Number(at));
    }

    scrub(by) {
      if (this.at === null) this.open();
      else this.seek(Math.round((this.at + by * SCRUB) * 100) / 100);
    }

    setAll(all) {
      if (!this.possible) return;
      const opens = this.at === null;
      this.all = all;
      if (opens) this.at = 0;
      this.choose();
      this.fetch();
      if (opens && all) this.toggle();
      this.show();
    }

    tick() {
      const { run } = this;
      if (!run || this.at === null) return;
      const now = performance.now();
      if (!this.ready) run.began = Math.max(run.began, now); // wait for what there is to see
      const share = (now - run.began) / (calm.matches ? 1 : MOVE * (run.to === 2 ? 2 : 1) * (run.to - run.from));
      if (share >= 1 || (calm.matches && share >= 0)) this.arrive(run, now);
      else if (share > 0) this.at = run.from + (run.to - run.from) * share * share * (3 - 2 * share);
      if (this.run) requestAnimationFrame(() => this.run === run && this.tick());
      if (share > 0) this.show(true);
    }

    arrive(run, now) {
      this.at = run.to;
      if (run.to >= Math.min(run.until, this.last)) this.run = null;
      else Object.assign(run, { from: run.to, to: run.to + 1, began: now + REST });
    }

    // -- data

    fetch() {
      const { picked } = this.store;
      const url = this.all ? this.askAll() : picked && !picked.truth ? this.ask(picked) : null;
      if (url === this.url) return;
      this.url = url;
      this.text = "";
      this.take(null);
      if (url === null) return this.latest.drop();
      this.latest.ask(url, "How it was made", {
        done: (answer) => {
          this.take(answer);
          this.show();
        },
        failed: (text) => {
          this.text = text;
          this.run = null;
          this.show();
        },
        now: true,
      });
    }

    take(answer) {
      this.stages = answer?.stages ?? this.stages ?? [];
      this.scale = answer?.scale ?? this.scale ?? [];
      this.weighted = answer?.weighted ?? true;
      this.second = answer?.second ?? true;
      this.told = answer === null ? [] : answer.packed === undefined ? [single(answer)] : several(answer);
      if (this.at !== null) this.at = Math.min(this.at, this.last);
      this.choose();
    }

    // the rows that are drawn: those of instances that pass the filters, or the picked one
    choose() {
      const known = this.store.document?.byId ?? new Map();
      const rows = [];
      for (const row of this.told) {
        row.one = known.get(row.id);
        if (row.one && (!this.all || this.store.isShown(row.one))) rows.push(row);
      }
      this.rows = rows;
    }

    // -- picture

    show(moving = false) {
      this.viewer.redraw("marks");
      const drawn = `${this.ready} ${this.url}`;
      if (!moving || drawn !== this.drawnAs) this.viewer.redraw("masks");
      this.drawnAs = drawn;
      this.onchange(moving);
    }

    draw(context, view, pane) {
      if (!this.ready || pane.name === "truth") return;
      const before = this.screen.voted;
      this.screen.draw(context, view, this);
      if (this.screen.voted !== before) this.onchange(true); // a note says what is left out
    }

    // what is on the screen now, for who wants to check it: image pixels
    get seen() {
      if (!this.ready) return [];
      const { moment } = this;
      return this.rows.map((row) => ({
        id: row.id,
        proposal: [...row.proposal],
        box: filming.boxAt(row, moment.travel),
        votes: Array.from({ length: 49 }, (_, cell) => [...row.votes.subarray(4 * cell, 4 * cell + 4)]),
        weights: [...row.weights],
        mask: rle.encode(filming.maskOf(row, moment.second > 0 ? "mask" : "first_mask")),
      }));
    }

    get state() {
      const { at, last, stages, stage, run, all, ready, rows, text } = this;
      return {
        at: at === null ? null : at / last,
        stage: stage === null ? null : (stages[stage]?.name ?? STAGES[stage]),
        playing: run !== null,
        all,
        ready,
        count: rows.length,
        moment: ready ? this.moment : null,
        voted: this.screen.voted,
        text,
      };
    }
  }

  function single(answer) {
    const { proposal, box, weights, votes } = answer;
    return { ...answer, proposal: Float32Array.from(proposal), box: Float32Array.from(box), weights: Float32Array.from(weights), votes: Float32Array.from(votes.flat()) };
  }

  function several({ rows, packed }) {
    const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
    const floats = new Float32Array(bytes.buffer);
    return rows.map((row, at) => {
      const own = floats.subarray(at * FLOATS, (at + 1) * FLOATS);
      return { ...row, proposal: own.subarray(0, 4), box: own.subarray(4, 8), weights: own.subarray(8, 57), votes: own.subarray(57) };
    });
  }

  parts.Film = Film;
})();
