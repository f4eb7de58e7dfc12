// The list of what is shown: only the rows in sight exist, so a thousand cost as much as ten.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { dom } = parts;

  const ROW = 32;
  const SPARE = 4; // rows kept above and below what is in sight

  // labels come in their order of drawing; what a person drew needs no score to come first
  const surest = ({ classScore }) => classScore ?? 2;

  const ORDERS = {
    rank: (a, b) => (a.layer === "label" ? surest(b) - surest(a) : 0),
    small: (a, b) => a.area - b.area,
    large: (a, b) => b.area - a.area,
    name: (a, b) => a.name.localeCompare(b.name),
    verdict: (a, b, store) => gravity(a, store) - gravity(b, store),
  };

  const GRAVITY = { fn: 0, fp: 1, tp: 2 };
  const gravity = (one, store) => GRAVITY[store.verdictOf(one)?.verdict] ?? 3;

  class List {
    constructor(find, store, { onpick, onuse = null }) {
      this.box = find("instances");
      this.track = find("instances-track");
      this.note = find("instances-note");
      this.order = find("sort");
      this.store = store;
      this.onpick = onpick;
      this.onuse = onuse; // another checkpoint, by its name
      this.rows = [];
      this.drawn = new Map(); // id -> row element
      this.box.addEventListener("scroll", () => this.draw(), { passive: true });
      this.box.addEventListener("click", (event) => this.click(event));
      this.box.addEventListener("keydown", (event) => this.key(event));
      this.box.addEventListener("pointerover", (event) => this.over(event));
      this.box.addEventListener("pointerleave", () => store.set({ hovered: null }));
      this.order.addEventListener("change", () => this.refill());
      new ResizeObserver(() => {
        this.draw();
        if (store.document?.labels) this.reveal(store.selected); // the part below has grown for what is picked
      }).observe(this.box);
      store.listen((changed) => this.follow(changed));
    }

    follow(changed) {
      const { document: opened } = this.store;
      const other = changed.has("document") && (opened?.key !== this.image || !opened?.labels); // else some labels changed
      if (changed.has("document")) this.image = opened?.key;
      if (other) this.box.scrollTop = 0;
      const recoloured = changed.has("judged") || changed.has("colouring");
      if (other || recoloured) this.clear();
      if (changed.has("shown") || recoloured) this.refill();
      if (changed.has("selected")) this.reveal(this.store.selected);
      if (changed.has("selected") || changed.has("hovered")) this.mark();
    }

    clear() {
      for (const row of this.drawn.values()) row.remove();
      this.drawn.clear();
    }

    refill() {
      this.rows = [...this.store.shown].sort((a, b) => ORDERS[this.order.value](a, b, this.store));
      this.track.style.height = `${this.rows.length * ROW}px`;
      this.box.setAttribute("aria-label", `${this.rows.length} instances`);
      const opened = this.store.document;
      const all = opened?.instances.length ?? 0;
      const nothing = opened?.pending?.text ?? (opened?.labels ? "There is no label in this image yet." : "The model found nothing in this image.");
      const filtered = "Nothing passes the filters: lower the score or switch a class on.";
      const suits = this.onuse && !opened?.note ? opened?.suits : null;
      this.note.textContent = suits?.text || opened?.note || (all === 0 ? nothing : filtered);
      if (suits) this.note.append(" ", this.offer(suits.checkpoint));
      this.note.hidden = !opened || (this.rows.length > 0 && !opened.note && !suits);
      this.note.style.flex = this.rows.length > 0 ? "none" : "";
      this.draw();
      if (!opened?.labels) this.reveal(this.store.selected);
    }

    // a checkpoint that finds what is annotated here
    offer(name) {
      const button = dom.element("button", { type: "button", class: "cs-link", "data-testid": "suits" }, `Use ${name}`);
      button.addEventListener("click", () => this.onuse(name));
      return button;
    }

    draw() {
      const first = Math.max(0, Math.floor(this.box.scrollTop / ROW) - SPARE);
      const last = Math.min(this.rows.length, first + Math.ceil(this.box.clientHeight / ROW) + 2 * SPARE);
      const wanted = new Set(this.rows.slice(first, last).map((one) => one.id));
      for (const [id, row] of this.drawn) {
        if (wanted.has(id)) continue;
        row.remove();
        this.drawn.delete(id);
      }
      for (let at = first; at < last; at++) this.place(this.rows[at], at);
      this.mark();
    }

    place(one, at) {
      let row = this.drawn.get(one.id);
      if (row?.one !== one) {
        row?.remove();
        row = this.make(one);
        row.one = one;
        this.drawn.set(one.id, row);
        this.track.append(row);
      }
      row.style.transform = `translateY(${at * ROW}px)`;
      row.setAttribute("aria-posinset", at + 1);
      row.setAttribute("aria-setsize", this.rows.length);
    }

    make(one) {
      const score = one.truth ? "truth" : dom.decimals(one.classScore);
      const judged = this.store.verdictOf(one);
      const row = dom.element(
        "div",
        { class: "cs-row", role: "option", id: `cs-row-${one.index}`, "data-id": one.id, "data-testid": "instance-row" },
        dom.chip(one, this.store),
        dom.element("span", { class: "cs-name" }, one.name),
        judged ? dom.badge(judged.verdict) : null,
        one.state ? parts.labels.badge(one.state) : null,
        one.levels ? parts.levels.badge(one.levels) : null,
        dom.element("span", { class: "cs-quiet cs-number" }, `${dom.grouped(one.area)} px`),
        dom.element("span", { class: "cs-number" }, score),
      );
      row.title = one.name;
      return row;
    }

    mark() {
      const { selected, hovered } = this.store;
      for (const [id, row] of this.drawn) {
        row.setAttribute("aria-selected", id === selected);
        row.classList.toggle("cs-hovered", id === hovered);
      }
      const current = this.drawn.get(selected);
      if (current) this.box.setAttribute("aria-activedescendant", current.id);
      else this.box.removeAttribute("aria-activedescendant");
    }

    // scroll just far enough that the row is in sight
    reveal(id) {
      const at = this.rows.findIndex((one) => one.id === id);
      if (at < 0) return;
      const top = at * ROW;
      const { scrollTop, clientHeight } = this.box;
      if (top < scrollTop || top + ROW > scrollTop + clientHeight) {
        this.box.scrollTop = Math.max(0, top - (clientHeight - ROW) / 2);
      }
      this.draw();
    }

    idOf(event) {
      return event.target.closest(".cs-row")?.dataset.id ?? null;
    }

    click(event) {
      const id = this.idOf(event);
      if (id !== null) this.onpick(id, { centre: true });
    }

    over(event) {
      this.store.set({ hovered: this.idOf(event) });
    }

    key(event) {
      const at = this.rows.findIndex((one) => one.id === this.store.selected);
      const page = Math.max(1, Math.floor(this.box.clientHeight / ROW) - 1);
      const end = this.rows.length - 1;
      const steps = { ArrowDown: at + 1, ArrowUp: at < 0 ? end : at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: end };
      if (!(event.key in steps) || this.rows.length === 0) return;
      event.preventDefault();
      const next = Math.min(end, Math.max(0, steps[event.key]));
      this.onpick(this.rows[next].id, { centre: false });
    }
  }

  parts.List = List;
})();
