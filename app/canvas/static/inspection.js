// The page Inspect: what the network saw in the open image. One question at a time; its maps in a matrix, one of them large.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { dom, colours } = parts;

  const QUESTIONS = [
    ["activation", "Activation", "how strong here", "How strongly each branch answers to the image, at every cell of every level: bright is strong."],
    ["contribution", "Contribution", "who adds what", "What each branch adds to the fused map, exactly: orange adds to it, blue works against it."],
    ["field", "Receptive field", "which pixels count", "The pixels that decide what a branch gives: bright ones decide most."],
    ["ablation", "Ablation", "what if without", "Switch branches and steps off, and see which instances change."],
    ["fit", "Field fit", "do sizes fit", "Whether objects fit what the branches see: their size against the receptive field, over a dataset."],
  ];
  const RANGES = [
    ["map", "This map", "The colours end at this map's own smallest and largest value"],
    ["level", "Level", "All maps of a level share one scale"],
    ["all", "All", "All maps share one scale"],
    ["held", "Held", "The scale stays as it is, whatever is opened next: two images, instances or checkpoints then compare"],
  ];
  const ASKED_BY = ["page", "question", "how", "measure", "channel", "image", "checkpoint", "point", "target", "path", "norm", "frame", "images", "other", "cut", "dataset"];

  const PAUSE = 250; // milliseconds that a slider has to stand still

  class Inspection {
    constructor(studio, place) {
      Object.assign(this, { studio, place });
      this.find = studio.find;
      this.store = studio.store;
      this.heat = new parts.Heat(studio.viewer);
      studio.viewer.heat = this.heat;
      this.scale = new parts.Scale(this.find);
      this.matrix = new parts.Matrix(this.find("matrix"), { onpick: (level, map) => place.set({ level, map }) });
      this.views = { activation: new parts.maps.Maps(this) };
      this.views.contribution = this.views.activation;
      for (const [name, View] of Object.entries(parts.inspections ?? {})) this.views[name] = new View(this);
      this.inquiry = new parts.packet.Inquiry({
        ondone: (head) => this.take(head),
        onprogress: (told) => this.showProgress(told),
        onfail: (text) => this.say(text, ...(this.view?.offers?.(true) ?? []), this.again()),
      });
      this.table = null; // {rows, columns, scale} of what was answered
      this.wire();
      place.listen((changed) => this.follow(changed));
      this.store.listen((changed) => {
        if (changed.has("document")) this.ask();
        this.view?.onstore?.(changed);
        if (changed.has("selected")) this.view?.onselect?.();
      });
    }

    wire() {
      const { find } = this;
      find("kinds").append(...QUESTIONS.map(([name, title, words, meaning]) => {
        const made = this.button(`kind-${name}`, title, meaning, () => this.place.set({ question: name }));
        made.append(dom.element("small", {}, words));
        return made;
      }));
      find("ranges").append(...RANGES.map(([name, title, meaning]) => this.button(`range-${name}`, title, meaning, () => this.setRange(name))));
      find("heat-opacity").addEventListener("input", (event) => this.place.set({ heat: Number(event.target.value) / 100 }));
      find("inspect-stop").addEventListener("click", () => this.stop());
      window.addEventListener("pagehide", () => this.inquiry.stop());
      find("matrix-fold").addEventListener("click", () => this.place.set({ folded: !this.place.folded }));
    }

    // a dataset is there, or another one
    known(info) {
      if (info === this.info) return;
      this.info = info;
      this.ask();
    }

    button(id, title, meaning, act) {
      const made = dom.element("button", { type: "button", "data-testid": id, title: meaning }, title);
      made.addEventListener("click", act);
      return made;
    }

    // a choice of one word of the place
    segments(field, choices, marked = this.place[field]) {
      const made = dom.element("div", { class: "cs-segments", role: "group", "aria-label": field, "data-testid": `choose-${field}` });
      for (const [name, title, meaning] of choices) {
        const button = this.button(`${field}-${name}`, title, meaning, () => this.place.set({ [field]: name }));
        button.setAttribute("aria-pressed", String(marked === name));
        made.append(button);
      }
      return made;
    }

    get open() {
      return this.place.page === "inspect";
    }

    get view() {
      return this.open ? this.views[this.place.question] : null;
    }

    get key() {
      return this.store.document?.key ?? null;
    }

    get checkpoint() {
      return this.place.checkpoint;
    }

    follow(changed) {
      if (changed.has("question") || changed.has("page")) this.leave();
      if (changed.has("image")) this.dropPoint(changed);
      const otherNumbers = ["question", "how", "measure", "channel"].some((name) => changed.has(name));
      if (otherNumbers && this.place.range === "held" && !changed.has("limits")) this.place.set({ range: "", limits: "" }); // those ends mean nothing here
      if (ASKED_BY.some((name) => changed.has(name))) this.ask();
      this.view?.onplace?.(changed);
      if (changed.has("heat")) this.heat.set(this.place.heat);
      if (["level", "map", "range"].some((name) => changed.has(name))) this.draw();
      this.showBar();
    }

    // a place that was clicked is one of the image that was open then
    dropPoint(changed) {
      const { image } = this.place;
      const other = this.image !== null && this.image !== undefined && image !== this.image;
      this.image = image;
      if (other && !changed.has("point")) this.place.set({ point: "" });
    }

    // what the last question drew goes with it
    leave() {
      const now = this.open ? this.place.question : null;
      if (now === this.shown) return;
      this.views[this.shown]?.leave?.();
      this.shown = now;
      this.clear();
    }

    // nothing is left of another answer
    clear() {
      this.table = null;
      this.painted = null;
      this.find("matrix").replaceChildren();
      this.view?.oncleared?.();
      this.draw();
    }

    ask() {
      const { view } = this;
      if (!view) {
        this.inquiry.stop();
        this.heat.show(null, {});
        return;
      }
      this.showBar();
      this.openOne();
      const why = this.missing;
      const url = why || (!view.needsNoImage && this.store.loading) ? null : view.address(this.key, this.checkpoint);
      const subject = `${this.place.question === "fit" ? "" : this.key} ${this.checkpoint}`;
      const other = subject !== this.subject;
      if (other) this.clear(); // maps of one image never lie over another
      this.subject = subject;
      if (why) this.say(why, ...(view.offers?.(false) ?? []));
      if (url === null) {
        this.inquiry.stop();
        this.clear();
        if (!why) this.say("");
        return;
      }
      if (url === this.inquiry.url) {
        if (other && this.answer?.url === url) this.take(this.answer.head);
        return;
      }
      this.say("");
      this.inquiry.ask(url, QUESTIONS.find(([name]) => name === this.place.question)[1]);
    }

    // why nothing can be asked, with the next step; "" if it can
    get missing() {
      const { view } = this;
      if (this.checkpoint === null && this.place.source) return "There is no checkpoint to look into: add one on the left.";
      if (this.key === null && !view.needsNoImage) return "No image is open: choose one on the left, or in Browse.";
      return view.needs?.() ?? "";
    }

    // of a dataset without an open image the first is opened: there is nothing else to look into
    async openOne() {
      const { place, store, studio } = this;
      const { browse } = studio;
      const wanted = () => this.view && place.question !== "fit" && browse?.inDataset && browse.info && place.image === null && !store.loading;
      if (!wanted()) return;
      await browse.grid.listed;
      const row = await browse.grid.pieces.at(browse.grid.selected);
      if (row && wanted()) studio.address.quietly(() => place.set({ image: row.key }));
    }

    // the left rail then asks for a folder; Python follows the address
    openDataset() {
      this.place.set({ source: "dataset" });
      this.studio.host.trigger("go_to", {});
    }

    // while a slider moves
    askLater() {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.ask(), PAUSE);
    }

    stop() {
      this.inquiry.stop();
      this.say("Stopped.", this.again());
    }

    again() {
      return this.button("inspect-again", "Ask again", "Ask the same once more", () => this.ask());
    }

    take(head) {
      const { view } = this;
      if (!view) return;
      this.answer = { url: this.inquiry.url, head };
      this.table = view.take(head);
      if (this.table) this.draw();
      this.showBar();
    }

    // the chosen map, or the nearest one that there is
    get chosen() {
      const { table, place } = this;
      if (!table || table.rows.length === 0) return null;
      const row = table.rows.find(({ level }) => level === place.level) ?? table.rows[0];
      const panel = row.panels.find(({ name }) => name === place.map) ?? row.panels.find(({ name }) => name === "fused") ?? row.panels[0];
      return panel ? { row, panel } : null;
    }

    setRange(name) {
      if (name === "held") this.held = this.shownLimits;
      this.place.set({ range: name, limits: name === "held" && this.held ? this.held.map((value) => Number(value.toPrecision(6))).join(",") : "" });
    }

    // what shares a scale: as somebody chose, or as fits the question
    get range() {
      return this.place.range || (this.view?.range ?? "level");
    }

    // the ends of a panel's colours
    limitsOf(row, panel) {
      const { table, place } = this;
      const signed = panel.kind === "signed";
      const { range } = this;
      const held = range === "held" ? place.limits.split(",").map(Number) : [];
      if (held.length === 2 && held.every(Number.isFinite)) return held;
      const alike = (rows) => rows.flatMap(({ panels }) => panels).filter(({ kind }) => kind === panel.kind).map(({ map }) => map);
      if (range === "all") return colours.limits(alike(table.rows), signed);
      if (range === "level") return colours.limits(alike([row]), signed);
      return colours.limits([panel.map], signed);
    }

    draw() {
      const { table, place, find, view } = this;
      const { chosen } = this;
      find("inspect-panel").hidden = !chosen;
      this.scale.hide();
      if (!chosen) {
        this.heat.show(null, {});
        return;
      }
      this.drawMatrix();
      this.matrix.choose(chosen.row.level, chosen.panel.name);
      const { row, panel } = chosen;
      if (panel.map) this.heat.show(panel.map, { stride: row.stride, scale: table.scale, how: panel.how, first: panel.first, step: panel.step });
      else this.heat.show(null, {});
      this.shownLimits = panel.how?.limits ?? null;
      const column = table.columns.find(({ name }) => name === panel.name);
      this.scale.show(`${row.title} · ${column.title}`, panel, { unit: view.unit ?? "", branches: view.head.levels[0].branches });
      find("inspect-title").textContent = `${row.title} · ${column.title}`;
      find("inspect-meaning").textContent = `${sentence(column.meaning)}${panel.note ? ` ${sentence(panel.note)}` : ""}`;
      find("inspect-facts").replaceChildren(...(view.facts?.(row.level, panel.name) ?? []));
      const files = view.files?.(row.level, panel.name) ?? [];
      find("inspect-files").replaceChildren(...files.map(([kind, url]) => dom.element("a", { class: "cs-button", href: url, download: true, "data-testid": `map-file-${kind}`, title: kind === "npy" ? "This map's numbers, for NumPy" : "This map's numbers as text" }, kind === "npy" ? "NumPy" : kind.toUpperCase())));
      view.mark?.(row.level, panel.name);
      this.showPointer(this.pointed);
    }

    // the small maps are painted anew only when they look different
    drawMatrix() {
      const { table, place, find } = this;
      const stamp = `${this.range} ${place.limits}`;
      if (this.painted?.table === table && this.painted.stamp === stamp) return;
      this.painted = { table, stamp };
      const shared = new Map();
      for (const row of table.rows) {
        for (const panel of row.panels) {
          if (!panel.map) continue;
          const alike = this.range === "map" ? panel : this.range === "level" ? `${row.level} ${panel.kind}` : panel.kind;
          if (!shared.has(alike)) shared.set(alike, this.limitsOf(row, panel));
          panel.how = { kind: panel.kind, limits: shared.get(alike) };
        }
      }
      const { width = 4, height = 3 } = this.store.document?.image ?? {};
      find("matrix").style.setProperty("--aspect", `${width} / ${height}`);
      this.matrix.show(table.rows, table.columns);
    }

    showBar() {
      const { place, find, view } = this;
      if (!this.open) return;
      for (const [name] of QUESTIONS) find(`kind-${name}`).setAttribute("aria-pressed", String(place.question === name));
      for (const [name] of RANGES) find(`range-${name}`).setAttribute("aria-pressed", String(this.range === name));
      find("matrix-fold").textContent = { ablation: "Switches", fit: "Objects" }[place.question] ?? "Maps";
      find("inspect-help").textContent = view?.help?.() ?? QUESTIONS.find(([name]) => name === place.question)[3];
      find("heat-opacity").value = Math.round(place.heat * 100);
      find("heat-value").textContent = `${Math.round(place.heat * 100)} %`;
      find("matrix-fold").setAttribute("aria-expanded", String(!place.folded));
      this.studio.element.dataset.question = place.question;
      this.studio.element.toggleAttribute("data-folded", place.folded);
      const stamp = JSON.stringify([place.question, ...(view?.drawnBy?.() ?? []), place.how, place.measure, place.channel, view?.channels ?? 0]);
      if (stamp === this.drawnBar) return;
      this.drawnBar = stamp;
      find("question").replaceChildren(...(view?.controls?.() ?? []));
    }

    // why there is nothing, or what went wrong, and buttons that help
    say(text, ...buttons) {
      const note = this.find("matrix-note");
      note.replaceChildren(text, ...buttons.flatMap((one) => [" ", one]));
      note.hidden = !text;
    }

    // {done, total}, or null when nothing goes on
    showProgress(told) {
      const { find } = this;
      clearTimeout(this.late);
      if (told === null) {
        find("inspect-busy").hidden = true;
        return;
      }
      const show = () => (find("inspect-busy").hidden = false);
      if (told.task) show();
      else this.late = setTimeout(show, 400);
      find("inspect-busy-text").textContent = told.total > 0 ? `Looking, ${told.done} of ${told.total}` : "Looking";
      const bar = find("inspect-busy-bar");
      if (told.total > 0) bar.value = told.done / told.total;
      else bar.removeAttribute("value");
    }

    // image pixels, or null
    showPointer(point) {
      this.pointed = point;
      const { chosen } = this;
      if (!this.open || !chosen) return;
      const place = this.find("heat-pointer");
      const image = this.store.document?.image;
      const inside = point && image && point[0] >= 0 && point[1] >= 0 && point[0] < image.width && point[1] < image.height;
      const under = inside ? this.heat.at(...point) : null;
      place.textContent = under && chosen ? this.worded(chosen, under) : "Point at the image to read the value there.";
      this.scale.point(under ? this.valueOf(chosen, under) : "");
    }

    worded(chosen, under) {
      return `${this.valueOf(chosen, under)} at cell ${under.column}, ${under.row} of ${chosen.row.title}`;
    }

    valueOf({ panel }, { values }) {
      if (panel.kind === "branches") return this.view.head.levels[0].branches[values[0]];
      return values.map((value) => colours.number(value)).join(", ");
    }

    // a click on the image; says whether this page made something of it
    click(point) {
      return this.view?.click?.(point) ?? false;
    }

    get state() {
      const { chosen, heat } = this;
      if (!this.open) return null;
      return {
        question: this.place.question,
        busy: this.inquiry.busy,
        url: this.inquiry.url,
        note: this.find("matrix-note").textContent,
        chosen: chosen && { level: chosen.row.level, name: chosen.panel.name, limits: this.shownLimits },
        maps: this.table?.rows.flatMap((row) => row.panels.map(({ name, map }) => ({ level: row.level, name, shape: map?.shape ?? null }))) ?? [],
        frame: heat.map && heat.frame,
        ...this.view?.state,
      };
    }
  }

  const sentence = (text) => (text ? `${text[0].toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}` : "");

  parts.Inspection = Inspection;
})();
