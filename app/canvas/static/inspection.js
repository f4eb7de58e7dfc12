// The page Inspect: what the network saw in the open image. One question at a time; its maps in a matrix, one of them large.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { dom, colours } = parts;

  const QUESTIONS = [
    ["activation", "Activation", "How strong: what each branch put out, at every cell of every level"],
    ["contribution", "Contribution", "How much of the fused map: the exact part that each branch makes up"],
    ["field", "Receptive field", "Which pixels it looked at: what a cell or an instance depends on"],
    ["ablation", "Ablation", "What changes without it: switch branches and steps off and see the instances change"],
    ["fit", "Field fit", "Whether objects fit what the branches see: size against receptive field, over a dataset"],
  ];
  const RANGES = [
    ["map", "This map", "The colours end at this map's own smallest and largest value"],
    ["level", "Level", "All maps of a level share one scale"],
    ["all", "All", "All maps share one scale"],
    ["held", "Held", "The scale stays as it is, whatever is opened next: two images, instances or checkpoints then compare"],
  ];
  const ASKED_BY = ["page", "question", "how", "measure", "channel", "image", "checkpoint", "point", "target", "path", "norm", "frame", "images", "other", "cut", "dataset"];

  const CELL = 74; // CSS pixels, the most that a small map is high
  const PAUSE = 250; // milliseconds that a slider has to stand still

  class Inspection {
    constructor(studio, place) {
      Object.assign(this, { studio, place });
      this.find = studio.find;
      this.store = studio.store;
      this.heat = new parts.Heat(studio.viewer);
      studio.viewer.heat = this.heat;
      this.matrix = new parts.Matrix(this.find("matrix"), { onpick: (level, map) => place.set({ level, map }) });
      this.views = { activation: new parts.maps.Maps(this) };
      this.views.contribution = this.views.activation;
      for (const [name, View] of Object.entries(parts.inspections ?? {})) this.views[name] = new View(this);
      this.inquiry = new parts.packet.Inquiry({
        ondone: (head) => this.take(head),
        onprogress: (told) => this.showProgress(told),
        onfail: (text) => this.say(text),
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
      find("kinds").append(...QUESTIONS.map(([name, title, meaning]) => this.button(`kind-${name}`, title, meaning, () => this.place.set({ question: name }))));
      find("ranges").append(...RANGES.map(([name, title, meaning]) => this.button(`range-${name}`, title, meaning, () => this.setRange(name))));
      find("heat-opacity").addEventListener("input", (event) => this.place.set({ heat: Number(event.target.value) / 100 }));
      find("inspect-stop").addEventListener("click", () => this.stop());
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
      if (ASKED_BY.some((name) => changed.has(name))) this.ask();
      this.view?.onplace?.(changed);
      if (changed.has("heat")) this.heat.set(this.place.heat);
      if (["level", "map", "range"].some((name) => changed.has(name))) this.draw();
      this.showBar();
    }

    // what the last question drew goes with it
    leave() {
      if (this.shown && this.shown !== this.view) this.shown.leave?.();
      if (this.shown !== this.view) this.clear();
      this.shown = this.view;
    }

    // nothing is left of another answer
    clear() {
      this.table = null;
      this.limits = null;
      this.find("matrix").replaceChildren();
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
      const why = this.key === null && !view.needsNoImage ? "Open an image first: samples, uploads or a dataset, on the left." : view.needs?.() ?? "";
      const url = why || (!view.needsNoImage && this.store.loading) ? null : view.url(this.key, this.checkpoint);
      if (why) this.say(why);
      if (url === null) {
        this.inquiry.stop();
        this.clear();
        if (!why) this.say("");
        return;
      }
      if (url === this.inquiry.url) return;
      this.say("");
      this.inquiry.ask(url, QUESTIONS.find(([name]) => name === this.place.question)[1]);
    }

    // while a slider moves
    askLater() {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.ask(), PAUSE);
    }

    stop() {
      this.inquiry.stop();
      this.say("Stopped.", () => this.ask());
    }

    take(head) {
      const { view } = this;
      if (!view) return;
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
      find("inspect-panel").hidden = !this.open;
      find("scale").hidden = !chosen?.panel.map;
      find("branch-legend").hidden = true;
      if (!chosen) {
        find("inspect-meaning").textContent = "";
        find("heat-pointer").textContent = "";
        this.heat.show(null, {});
        find("inspect-title").textContent = "";
        find("inspect-facts").replaceChildren();
        find("inspect-files").replaceChildren();
        return;
      }
      const shared = new Map();
      for (const row of table.rows) {
        for (const panel of row.panels) {
          if (!panel.map) continue;
          const stamp = this.range === "map" ? panel : this.range === "level" ? `${row.level} ${panel.kind}` : panel.kind;
          if (!shared.has(stamp)) shared.set(stamp, this.limitsOf(row, panel));
          panel.how = { kind: panel.kind, limits: shared.get(stamp) };
        }
      }
      const { width = 4, height = 3 } = this.store.document?.image ?? {};
      find("matrix").style.setProperty("--aspect", `${width} / ${height}`);
      find("matrix").style.setProperty("--cell-width", `${Math.round(Math.min(160, Math.max(60, (CELL * width) / height)))}px`);
      this.matrix.show(table.rows, table.columns);
      this.matrix.choose(chosen.row.level, chosen.panel.name);
      const { row, panel } = chosen;
      if (panel.map) this.heat.show(panel.map, { stride: row.stride, scale: table.scale, how: panel.how, first: panel.first, step: panel.step });
      else this.heat.show(null, {});
      this.shownLimits = panel.how?.limits ?? null;
      this.showScale(panel);
      const column = table.columns.find(({ name }) => name === panel.name);
      find("inspect-title").textContent = `${row.title} · ${column.title}`;
      find("inspect-meaning").textContent = `${sentence(column.meaning)}${panel.note ? ` ${sentence(panel.note)}` : ""}`;
      find("inspect-facts").replaceChildren(...(view.facts?.(row.level, panel.name) ?? []));
      const files = view.files?.(row.level, panel.name) ?? [];
      find("inspect-files").replaceChildren(...files.map(([kind, url]) => dom.element("a", { class: "cs-button", href: url, download: true, "data-testid": `map-file-${kind}`, title: kind === "npy" ? "This map's numbers, for NumPy" : "This map's numbers as text" }, kind === "npy" ? "NumPy" : kind.toUpperCase())));
      view.mark?.(row.level, panel.name);
      this.showPointer(this.pointed);
    }

    showScale(panel) {
      const { find } = this;
      find("scale").hidden = !panel.how || panel.kind === "colours" || panel.kind === "branches";
      find("branch-legend").hidden = panel.kind !== "branches";
      if (panel.kind === "branches") {
        const names = this.view.head.levels[0].branches;
        find("branch-legend").replaceChildren(...names.map((name, at) => {
          const chip = dom.element("span", { class: "cs-branch" });
          chip.style.background = colours.BRANCHES[at];
          return dom.element("span", {}, chip, name);
        }));
      }
      if (find("scale").hidden) return;
      const [low, high] = panel.how.limits;
      find("scale-bar").style.background = colours.gradient(panel.kind);
      find("scale-low").textContent = colours.number(low);
      find("scale-middle").textContent = colours.number(panel.kind === "root" ? low + (high - low) / 4 : (low + high) / 2);
      find("scale-high").textContent = colours.number(high);
      find("scale-unit").textContent = this.view.unit ?? "";
    }

    showBar() {
      const { place, find, view } = this;
      if (!this.open) return;
      for (const [name] of QUESTIONS) find(`kind-${name}`).setAttribute("aria-pressed", String(place.question === name));
      for (const [name] of RANGES) find(`range-${name}`).setAttribute("aria-pressed", String(this.range === name));
      find("matrix-fold").textContent = { ablation: "Switches", fit: "Objects" }[place.question] ?? "Maps";
      find("inspect-help").textContent = QUESTIONS.find(([name]) => name === place.question)[2];
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

    // why there is nothing, or what went wrong; `again` offers to try once more
    say(text, again = null) {
      const note = this.find("matrix-note");
      note.textContent = text;
      note.hidden = !text;
      if (text && again) {
        const button = dom.element("button", { type: "button", "data-testid": "inspect-again" }, "Ask again");
        button.addEventListener("click", again);
        note.append(" ", button);
      }
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
    }

    worded({ row, panel }, { row: line, column, values }) {
      const at = `cell ${column}, ${line} of ${row.title}`;
      if (panel.kind === "branches") return `${this.view.head.levels[0].branches[values[0]]} at ${at}`;
      return `${values.map((value) => colours.number(value)).join(", ")} at ${at}`;
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
