// What somebody did, on its way to the server: in order, each once, kept in this browser until it is there.
//
// An entry is {key, order, url, image, kind, revision, body}. It lies in localStorage from the moment it is made
// until the server has said that it is on its disk; a page that begins sends what it finds. The server applies a
// key once, so that sending twice is no harm.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});

  const PREFIX = "comask-outbox:";
  const FIRST_PAUSE = 500; // milliseconds until a failed request is sent again; doubled each time
  const LONGEST_PAUSE = 15_000;
  const PATIENCE = 30_000; // milliseconds for an answer
  const AGAIN = new Set([408, 425, 429]);

  const sendable = (put) => put.map(({ id, category_id, rle, state, z, iscrowd }) => ({ id, category_id, rle, state, z, iscrowd }));

  class Outbox {
    // onanswer(entry, content, revision sent), onconflict(entry, content), onrefused(entry, sentence), onchange()
    constructor(events) {
      Object.assign(this, events);
      this.waiting = [];
      this.known = new Map(); // image -> its revision after what was sent from here
      this.hold = null; // {entry, reason: "conflict" or "gone", detail, clashes, by}: somebody has to decide
      this.busy = false;
      this.tries = 0;
      this.timer = null;
      this.unkept = false; // this browser's storage is full: what waits is only in this page
      this.idle = new Set();
      window.addEventListener("online", () => this.now());
      this.adopt();
    }

    // what another page, or this one before a reload, did not get rid of
    adopt() {
      const found = [];
      for (let at = 0; at < localStorage.length; at++) {
        const name = localStorage.key(at);
        if (!name.startsWith(PREFIX)) continue;
        try {
          found.push(JSON.parse(localStorage.getItem(name)));
        } catch {
          console.error(`${name} could not be read`);
        }
      }
      this.waiting = found.sort((a, b) => a.order - b.order);
    }

    get order() {
      return Math.max(Date.now(), (this.waiting.at(-1)?.order ?? 0) + 1);
    }

    // entry: {key, url, image or null, kind, revision, body}
    add(entry) {
      const made = { ...entry, order: this.order };
      this.waiting.push(made);
      this.keep(made);
      this.onchange();
      this.pump();
      return made;
    }

    keep(entry) {
      try {
        localStorage.setItem(nameOf(entry), JSON.stringify(entry));
      } catch {
        this.unkept = true;
      }
    }

    remove(entry) {
      this.waiting = this.waiting.filter((other) => other !== entry);
      localStorage.removeItem(nameOf(entry));
      if (this.waiting.length === 0) this.unkept = false;
    }

    // another content for an entry that was not sent yet, or was refused
    replace(entry, body) {
      const made = { ...entry, body };
      this.waiting = this.waiting.map((other) => (other === entry ? made : other));
      this.keep(made);
      return made;
    }

    // gestures of an image that are not acknowledged yet
    of(image) {
      return this.waiting.filter((entry) => entry.image === image && entry.body.put);
    }

    get failing() {
      return this.tries > 0;
    }

    // resolves when nothing waits any more, or somebody has to decide
    settled() {
      if (this.waiting.length === 0 || this.hold) return Promise.resolve();
      return new Promise((resolve) => this.idle.add(resolve));
    }

    async pump() {
      if (this.busy || this.hold || this.timer !== null || this.waiting.length === 0) return this.rest();
      const [entry] = this.waiting;
      const revision = entry.revision === undefined ? undefined : Math.max(entry.revision, this.known.get(entry.image) ?? 0);
      this.busy = true;
      const answer = await this.send(entry, revision);
      this.busy = false;
      if (answer === null || answer.status >= 500 || AGAIN.has(answer.status)) return this.later();
      this.tries = 0;
      this.take(entry, answer, revision);
      this.onchange();
      return this.pump();
    }

    rest() {
      if (this.waiting.length > 0 && !this.hold) return;
      for (const resolve of this.idle) resolve();
      this.idle.clear();
    }

    async send(entry, revision) {
      const { put, ...rest } = entry.body;
      const body = put ? { ...rest, put: sendable(put), revision } : rest;
      const request = new AbortController();
      const late = setTimeout(() => request.abort(), PATIENCE);
      try {
        const answer = await fetch(entry.url, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal: request.signal });
        return { status: answer.status, ok: answer.ok, content: await answer.json().catch(() => null) };
      } catch {
        return null; // no network, or no server
      } finally {
        clearTimeout(late);
      }
    }

    later() {
      const pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** this.tries);
      this.tries += 1;
      this.timer = setTimeout(() => this.now(), pause);
      this.onchange();
    }

    now() {
      clearTimeout(this.timer);
      this.timer = null;
      this.pump();
    }

    take(entry, { status, ok, content }, revision) {
      if (ok) {
        this.remove(entry);
        if (entry.image !== null && Number.isInteger(content?.revision)) this.known.set(entry.image, content.revision);
        return this.onanswer(entry, content ?? {}, revision);
      }
      const detail = typeof content?.detail === "string" && content.detail ? content.detail : `The server answered ${status}.`;
      if (status === 409 && content?.document && entry.body.put) return this.conflict(entry, content, detail);
      if (status === 404) return this.stop({ entry, reason: "gone", detail, clashes: [], by: [] });
      this.remove(entry);
      return this.onrefused(entry, detail);
    }

    // somebody else was here; where no label of the gesture is touched by it, it simply goes on top
    conflict(entry, { document: opened, clashes = [], by = [] }, detail) {
      this.known.set(entry.image, opened.revision);
      if (clashes.length > 0) this.stop({ entry, reason: "conflict", detail, clashes, by });
      return this.onconflict(entry, opened, { clashes, by });
    }

    stop(hold) {
      this.hold = hold;
      this.onhold(hold);
      this.rest();
    }

    // mine on top of what is there now
    mine() {
      this.hold = null;
      this.onchange();
      this.pump();
    }

    // what somebody else changed stays as it is; the rest of the gesture is sent
    theirs() {
      const { entry, clashes } = this.hold;
      const gone = new Set(clashes);
      const { put, drop, state } = entry.body;
      const body = { ...entry.body, put: put.filter(({ id }) => !gone.has(id)), drop: drop.filter((id) => !gone.has(id)) };
      if (body.put.length + body.drop.length === 0 && !state) this.remove(entry);
      else this.replace(entry, body);
      this.mine();
    }

    giveUp() {
      const { entry, detail } = this.hold;
      this.remove(entry);
      this.hold = null;
      this.onrefused(entry, detail);
      this.onchange();
      this.pump();
    }
  }

  const nameOf = ({ order, key }) => `${PREFIX}${String(order).padStart(16, "0")}:${key}`;

  parts.Outbox = Outbox;
})();
