// Questions that may take a while: the answer is a packet of numbers (app/canvas/packet.py), or how far the work is.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { api } = parts;

  // bytes -> the head, with {values, shape} wherever it stood for an array
  function read(buffer) {
    const length = new DataView(buffer).getUint32(0, true);
    const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
    const counts = [];
    walk(head, (part) => {
      counts[part.array] = part.shape.reduce((product, side) => product * side, 1);
    });
    const starts = [];
    counts.reduce((at, count, number) => ((starts[number] = at), at + 4 * count), 4 + length);
    walk(head, (part) => {
      part.values = new Float32Array(buffer, starts[part.array], counts[part.array]);
    });
    return head;
  }

  function walk(part, visit) {
    if (part === null || typeof part !== "object" || ArrayBuffer.isView(part)) return;
    if (Number.isInteger(part.array) && Array.isArray(part.shape)) visit(part);
    else for (const inner of Object.values(part)) walk(inner, visit);
  }

  // one question at a time: a new one stops the work for the last
  class Inquiry {
    // ondone(head), onprogress({done, total}) or null when nothing goes on, onfail(sentence)
    constructor({ ondone, onprogress, onfail }) {
      Object.assign(this, { ondone, onprogress, onfail });
      this.url = null;
      this.request = null;
      this.task = null;
    }

    get busy() {
      return this.request !== null;
    }

    // the same question again is no new one
    async ask(url, what) {
      if (url === this.url) return;
      this.stop();
      this.url = url;
      if (url === null) return;
      const request = new AbortController();
      this.request = request;
      this.onprogress({ done: 0, total: 0 });
      try {
        const head = await this.follow(url, what, request);
        if (head) this.ondone(head);
      } catch (error) {
        if (this.request !== request || error.name === "AbortError") return;
        this.end();
        this.url = null; // asked again, it is a new question
        this.onfail(api.sentence(error));
      }
    }

    async follow(url, what, request) {
      const { LoadError, reason } = parts.document;
      for (;;) {
        const answer = await fetch(url, { signal: request.signal }).catch((error) => {
          if (error.name === "AbortError") throw error;
          throw new LoadError(`${what} could not be fetched: the Studio's server does not answer.`);
        });
        if (answer.status === 202) {
          const told = await answer.json();
          if (this.request !== request) return this.url === url ? null : forget(told.task); // asked again, it is wanted
          this.task = told.task;
          this.onprogress(told);
          continue;
        }
        if (this.request !== request) return null;
        if (!answer.ok) throw new LoadError(await reason(answer, what));
        const head = read(await answer.arrayBuffer());
        if (this.request !== request) return null;
        this.end();
        return head;
      }
    }

    end() {
      this.request = null;
      this.task = null;
      this.onprogress(null);
    }

    // nobody wants to know any more
    stop() {
      const { task, request } = this;
      this.url = null;
      if (!request) return;
      this.end();
      if (!task) return; // its name comes with the first answer, and then it is stopped
      request.abort();
      forget(task);
    }
  }

  function forget(task) {
    fetch(`/api/tasks/${encodeURIComponent(task)}`, { method: "DELETE", keepalive: true }).catch(() => {});
    return null;
  }

  parts.packet = { read, Inquiry };
})();
