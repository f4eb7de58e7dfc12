// A list of any length whose rows come from the server: only the ones in sight exist.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { dom, api } = parts;

  const SPARE = 3;

  class Rows {
    // make(row): children of a row's element; onpick(row)
    constructor(box, { what, high, make, onpick, onlist, count }) {
      Object.assign(this, { box, high, make, onpick });
      this.track = dom.element("div", { class: "cs-track", role: "presentation" });
      this.note = dom.element("p", { class: "cs-note cs-quiet" });
      box.replaceChildren(this.track, this.note);
      this.drawn = new Map();
      this.at = -1;
      this.pieces = new api.Pieces({
        what,
        count,
        onchange: () => {
          this.refresh();
          onlist?.(this.pieces.about);
        },
        onerror: (text) => this.say(text),
      });
      box.addEventListener("scroll", () => this.draw(), { passive: true });
      box.addEventListener("click", (event) => this.click(event));
      box.addEventListener("keydown", (event) => this.key(event));
      new ResizeObserver(() => this.draw()).observe(box);
    }

    async open(url, nothing = "") {
      this.nothing = nothing;
      this.box.scrollTop = 0;
      this.at = -1;
      this.say(url === null ? nothing : "");
      await this.pieces.open(url);
    }

    say(text) {
      this.note.textContent = text;
      this.note.hidden = !text;
    }

    refresh() {
      const total = this.pieces.total ?? 0;
      this.track.style.height = `${total * this.high}px`;
      for (const row of this.drawn.values()) row.remove();
      this.drawn.clear();
      this.say(total === 0 ? this.nothing : "");
      this.draw();
    }

    draw() {
      const total = this.pieces.total ?? 0;
      const first = Math.max(0, Math.floor(this.box.scrollTop / this.high) - SPARE);
      const last = Math.min(total, Math.ceil((this.box.scrollTop + this.box.clientHeight) / this.high) + SPARE);
      for (const [at, row] of this.drawn) {
        if (at >= first && at < last && row.dataset.here) continue;
        row.remove();
        this.drawn.delete(at);
      }
      for (let at = first; at < last; at++) if (!this.drawn.has(at)) this.place(at);
      this.pieces.want(first, last);
      for (const [at, row] of this.drawn) row.setAttribute("aria-selected", at === this.at);
    }

    place(at) {
      const known = this.pieces.row(at);
      const row = dom.element("div", { class: "cs-line-row", role: "option", "data-testid": "line-row", "data-at": String(at) });
      if (known) row.dataset.here = "1";
      row.append(...(known ? this.make(known) : []));
      row.style.cssText = `height: ${this.high}px; transform: translateY(${at * this.high}px)`;
      this.drawn.set(at, row);
      this.track.append(row);
    }

    pick(at) {
      const row = this.pieces.row(at);
      if (!row) return;
      this.at = at;
      this.draw();
      this.onpick(row);
    }

    click(event) {
      const row = event.target.closest("[data-at]");
      if (row) this.pick(Number(row.dataset.at));
    }

    key(event) {
      const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      const total = this.pieces.total ?? 0;
      if (event.key === "Enter" && this.at >= 0) this.pick(this.at);
      if (!by || total === 0) return;
      event.preventDefault();
      event.stopPropagation();
      this.at = Math.max(0, Math.min(total - 1, this.at + by));
      const top = this.at * this.high;
      if (top < this.box.scrollTop || top + this.high > this.box.scrollTop + this.box.clientHeight) {
        this.box.scrollTop = Math.max(0, top - this.box.clientHeight / 2);
      }
      this.draw();
    }
  }

  parts.Rows = Rows;
})();
