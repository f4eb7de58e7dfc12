// A dataset's images as a grid of any length: only the tiles in sight exist, and their rows and pictures
// come when they are looked at.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { api } = parts;

  const TILE = 176; // least width
  const HIGH = 178;
  const GAP = 8;
  const SPARE = 1; // lines of tiles above and below what is in sight
  const TALLEST = 12_000_000; // CSS pixels: browsers draw no taller element
  const STILL = 90; // milliseconds without scrolling until pictures are fetched

  class Grid {
    // onopen(row): somebody wants to see an image
    constructor(find, { onopen, onselect }) {
      Object.assign(this, { onopen, onselect });
      this.box = find("grid");
      this.track = find("grid-track");
      this.pieces = new api.Pieces({
        what: "The list of images",
        onchange: () => this.refresh(),
        onerror: (text) => this.say(text),
      });
      this.note = find("grid-note");
      this.tiles = new Map(); // position -> element
      this.selected = 0;
      this.columns = 1;
      this.timer = null;
      this.still = true;
      this.box.addEventListener("scroll", () => this.scrolled(), { passive: true });
      this.box.addEventListener("click", (event) => this.click(event));
      this.box.addEventListener("keydown", (event) => this.key(event));
      new ResizeObserver(() => this.resize()).observe(this.box);
    }

    // the list behind `url`; null shows nothing. `keep` stays where it is, for the same list with new numbers
    async open(url, { keep = false } = {}) {
      if (!keep) {
        this.selected = 0;
        this.box.scrollTop = 0;
      }
      this.say("");
      this.listed = this.pieces.open(url, keep ? this.first : 0);
      await this.listed;
    }

    get total() {
      return this.pieces.total ?? 0;
    }

    get lines() {
      return Math.ceil(this.total / this.columns);
    }

    resize() {
      const width = this.box.clientWidth;
      if (!width) return;
      const middle = this.selected;
      this.columns = Math.max(1, Math.floor((width - GAP) / (TILE + GAP)));
      this.wide = (width - GAP - this.columns * GAP) / this.columns;
      this.measure();
      this.reveal(middle);
      this.draw();
    }

    // the track is as tall as the grid would be, up to what a browser can draw; beyond, a step scrolls more
    measure() {
      this.real = this.lines * (HIGH + GAP) + GAP;
      this.tall = Math.min(TALLEST, this.real);
      this.track.style.height = `${this.tall}px`;
    }

    get ratio() {
      const room = this.tall - this.box.clientHeight;
      return room > 0 && this.real > this.tall ? (this.real - this.box.clientHeight) / room : 1;
    }

    // how far the grid itself is scrolled
    get offset() {
      return this.box.scrollTop * this.ratio;
    }

    get first() {
      return Math.max(0, Math.floor(this.offset / (HIGH + GAP)) - SPARE) * this.columns;
    }

    get last() {
      const lines = Math.ceil((this.offset + this.box.clientHeight) / (HIGH + GAP)) + SPARE;
      return Math.min(this.total, lines * this.columns);
    }

    refresh() {
      this.selected = Math.max(0, Math.min(this.selected, this.total - 1));
      this.measure();
      for (const [at, tile] of this.tiles) this.renew(at, tile);
      this.draw();
      this.onlist?.(this.total);
    }

    // new numbers for the same image leave its picture where it is
    renew(at, tile) {
      const row = this.pieces.row(at);
      if (at < this.total && parts.tile.stamp(row, this.total) === tile.stamp) return;
      if (at >= this.total) {
        tile.remove();
        this.tiles.delete(at);
        return;
      }
      const made = parts.tile.make(row, at, this.total);
      if (row?.key && row.key === tile.dataset.key && row.state !== "missing") {
        made.querySelector(".cs-thumb").replaceWith(tile.querySelector(".cs-thumb"));
      }
      this.tiles.set(at, made);
      tile.replaceWith(made);
    }

    scrolled() {
      this.still = false;
      clearTimeout(this.timer);
      this.timer = setTimeout(() => {
        this.still = true;
        this.draw();
      }, STILL);
      this.draw();
    }

    draw() {
      if (!this.box.clientWidth) return;
      const { first, last } = this;
      for (const [at, tile] of this.tiles) {
        if (at >= first && at < last) continue;
        tile.querySelector("img")?.removeAttribute("src"); // a picture on its way is not wanted any more
        tile.remove();
        this.tiles.delete(at);
      }
      const shift = this.box.scrollTop - this.offset;
      for (let at = last - 1; at >= first; at--) this.place(at, shift); // each before the next one
      if (this.still) this.pieces.want(first, last);
      this.mark();
    }

    place(at, shift) {
      let tile = this.tiles.get(at);
      if (!tile) {
        tile = parts.tile.make(this.pieces.row(at), at, this.total);
        this.tiles.set(at, tile);
        this.track.insertBefore(tile, this.tiles.get(at + 1) ?? null);
      }
      const image = tile.querySelector("img");
      if (this.still && image && !image.src && image.dataset.src) image.src = image.dataset.src;
      const x = GAP + (at % this.columns) * (this.wide + GAP);
      const y = GAP + Math.floor(at / this.columns) * (HIGH + GAP) + shift;
      tile.style.cssText = `width: ${this.wide}px; height: ${HIGH}px; transform: translate(${x}px, ${y}px)`;
    }

    mark() {
      for (const [at, tile] of this.tiles) tile.setAttribute("aria-selected", at === this.selected);
      const current = this.tiles.get(this.selected);
      if (current) this.box.setAttribute("aria-activedescendant", current.id);
      else this.box.removeAttribute("aria-activedescendant");
    }

    say(text) {
      this.note.textContent = text;
      this.note.hidden = !text;
    }

    // scroll just far enough that the tile is in sight
    reveal(at) {
      const top = Math.floor(at / this.columns) * (HIGH + GAP);
      const { offset } = this;
      const high = this.box.clientHeight;
      if (top >= offset && top + HIGH + GAP <= offset + high) return;
      const wanted = top < offset ? top : top + HIGH + 2 * GAP - high;
      this.box.scrollTop = Math.max(0, wanted) / this.ratio;
    }

    select(at) {
      if (this.total === 0) return;
      this.selected = Math.max(0, Math.min(this.total - 1, at));
      this.reveal(this.selected);
      this.draw();
      this.onselect?.(this.selected);
    }

    // a place far away comes to the top at once
    jump(at) {
      if (this.total === 0) return;
      this.selected = Math.max(0, Math.min(this.total - 1, at));
      this.box.scrollTop = (Math.floor(this.selected / this.columns) * (HIGH + GAP)) / this.ratio;
      this.still = true;
      this.draw();
    }

    async openAt(at) {
      const row = await this.pieces.at(at);
      if (row) this.onopen(row, at);
    }

    click(event) {
      const tile = event.target.closest("[data-at]");
      if (!tile) return;
      this.select(Number(tile.dataset.at));
      this.openAt(this.selected);
    }

    key(event) {
      const page = Math.max(1, Math.floor(this.box.clientHeight / (HIGH + GAP))) * this.columns;
      const steps = {
        ArrowRight: 1,
        ArrowLeft: -1,
        ArrowDown: this.columns,
        ArrowUp: -this.columns,
        PageDown: page,
        PageUp: -page,
        Home: -this.total,
        End: this.total,
      };
      if (event.key === "Enter") {
        event.preventDefault();
        event.stopPropagation();
        this.openAt(this.selected);
      }
      if (!(event.key in steps)) return;
      event.preventDefault();
      event.stopPropagation();
      this.select(this.selected + steps[event.key]);
    }
  }

  parts.Grid = Grid;
})();
