// Questions to the Studio's server: addresses, posts, the latest answer only, and long lists piece by piece.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});

  // "/api/grid", {score: 0.5, name: ""} -> "/api/grid?score=0.5"; what is empty is left out
  function address(path, asked = {}) {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(asked)) {
      if (value !== null && value !== undefined && value !== "") query.set(name, String(value));
    }
    const text = query.toString();
    return text ? `${path}?${text}` : path;
  }

  const get = (url, what, signal) => parts.document.fetchJson(url, what, signal);

  async function post(url, content, what) {
    const { LoadError, reason } = parts.document;
    let answer;
    try {
      answer = await fetch(url, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(content) });
    } catch {
      throw new LoadError(`${what} could not be asked for: the Studio's server does not answer.`);
    }
    if (!answer.ok) throw new LoadError(await reason(answer, what));
    return answer.json();
  }

  // the sentence of a refusal; whatever else is a bug and goes to the console
  function sentence(error) {
    if (error instanceof parts.document.LoadError) return error.message;
    console.error(error);
    return "Something went wrong on this page: reload it.";
  }

  // one question at a time: a new one drops the last, and waits until nobody has asked for `pause` milliseconds
  class Latest {
    constructor(pause) {
      this.pause = pause;
      this.timer = null;
      this.request = null;
    }

    ask(url, what, { done, failed, now = false }) {
      this.drop();
      const request = new AbortController();
      this.request = request;
      const go = async () => {
        try {
          const answer = await get(url, what, request.signal);
          if (this.request === request) done(answer);
        } catch (error) {
          if (this.request === request && error.name !== "AbortError") failed(sentence(error));
        } finally {
          if (this.request === request) this.request = null;
        }
      };
      if (now) go();
      else this.timer = setTimeout(go, this.pause);
    }

    get busy() {
      return this.request !== null;
    }

    drop() {
      clearTimeout(this.timer);
      this.request?.abort();
      this.request = null;
    }
  }

  const SIZE = 100; // rows of a piece
  const KEPT = 40; // pieces

  // a list of any length behind an address that takes offset and limit; rows come when they are looked at
  class Pieces {
    // count(answer): how long the list is
    constructor({ onchange, onerror, what, count = (answer) => answer.total }) {
      Object.assign(this, { onchange, onerror, what, count });
      this.url = null;
      this.forget();
    }

    forget() {
      for (const request of this.requests?.values() ?? []) request.abort();
      this.requests = new Map();
      this.pieces = new Map();
      this.total = null;
      this.about = null; // the newest answer, less its rows
    }

    // another list; the first piece is fetched, and what was shown stays until it is here
    async open(url, at = 0) {
      this.url = url;
      for (const request of this.requests.values()) request.abort();
      this.requests = new Map();
      if (url === null) {
        this.forget();
        return this.onchange();
      }
      const first = Math.floor(at / SIZE);
      return this.fetch(first, true);
    }

    async fetch(piece, fresh = false) {
      if (this.requests.has(piece)) return;
      const request = new AbortController();
      this.requests.set(piece, request);
      const url = this.url + (this.url.includes("?") ? "&" : "?") + `offset=${piece * SIZE}&limit=${SIZE}`;
      try {
        const answer = await get(url, this.what, request.signal);
        if (this.requests.get(piece) !== request) return;
        if (fresh) this.pieces = new Map();
        this.pieces.set(piece, answer.rows);
        if (this.pieces.size > KEPT) this.pieces.delete(this.pieces.keys().next().value);
        this.total = this.count(answer);
        this.about = answer;
        this.requests.delete(piece);
        this.onchange();
      } catch (error) {
        if (this.requests.get(piece) !== request || error.name === "AbortError") return;
        this.requests.delete(piece);
        this.onerror(sentence(error));
      }
    }

    // a row that is here, or undefined; asks for the ones from `first` to `last` that are not
    row(at) {
      return this.pieces.get(Math.floor(at / SIZE))?.[at % SIZE];
    }

    want(first, last) {
      if (this.url === null || this.total === null) return;
      const wanted = new Set();
      for (let piece = Math.floor(first / SIZE); piece <= Math.floor(Math.max(first, last - 1) / SIZE); piece++) wanted.add(piece);
      for (const [piece, request] of this.requests) {
        if (wanted.has(piece)) continue;
        request.abort(); // scrolled past
        this.requests.delete(piece);
      }
      for (const piece of wanted) if (!this.pieces.has(piece)) this.fetch(piece);
    }

    // a row, fetched if it is not here
    async at(index) {
      if (this.row(index) === undefined) await this.fetch(Math.floor(index / SIZE));
      return this.row(index);
    }
  }

  parts.api = { address, get, post, sentence, Latest, Pieces };
})();
