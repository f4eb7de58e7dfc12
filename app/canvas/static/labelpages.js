// The left rail of the page Label: the images and how far each one is, the review's settings, and the work in bulk.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { api, dom } = parts;

  const HIGH = 34;
  const PAUSE = 400; // milliseconds after a gesture until the counts are asked for again
  const BULK = [
    ["prelabel", "label-prelabel", "Pre-label…", "Let a checkpoint propose labels for many images", (l) => l.prelabel],
    ["piles", "label-piles", "Compare…", "What the model adds, misses, or draws otherwise than the labels", (l) => l.piles],
    ["export", "label-export", "Export…", "Write COCO, labelme or YOLO, with a certificate", (l) => l.export],
    ["import", "label-import", "Import…", "Read labels from a file", (l) => l.export],
    ["ledger", "label-ledger", "Effort…", "What correcting each checkpoint's proposals costs", (l) => l.ledger],
  ];

  class LabelPages {
    constructor(labelling) {
      this.labelling = labelling;
      this.categories = null; // of the project, as the server has them
      this.about = null; // {images, touched, done, counts}
      this.box = labelling.find("label-left");
      this.url = null;
      this.at = -1; // of the open image in the list
      this.build();
    }

    build() {
      const { labelling } = this;
      const bulk = BULK.map(([, id, title, meaning, of]) => {
        const made = parts.labelButton(id, title, meaning, () => {
          const room = of(labelling);
          if (id === "label-import" && room.openImport) room.openImport();
          else room.open(id === "label-import" ? "import" : undefined);
        });
        made.hidden = !of(labelling);
        return made;
      });
      this.progress = dom.element("progress", { max: "1", value: "0", "data-testid": "label-progress-bar" });
      this.progressText = dom.element("p", { class: "cs-quiet cs-number", role: "status", "data-testid": "label-progress" });
      this.list = dom.element("div", { class: "cs-lines cs-label-images", role: "listbox", tabindex: "0", "aria-label": "Images", "data-testid": "label-images" });
      this.count = dom.element("span", { class: "cs-quiet cs-number", "data-testid": "label-images-count" });
      this.box.replaceChildren(
        dom.element("div", { class: "cs-buttons", "data-testid": "label-bulk" }, ...bulk),
        dom.element("header", {}, dom.element("h2", {}, "Review")),
        this.progressText,
        this.progress,
        ...this.settings(),
        dom.element("header", {}, dom.element("h2", {}, "Images"), this.count),
        this.list,
      );
      this.rows = new parts.Rows(this.list, {
        what: "The images",
        high: HIGH,
        count: (answer) => answer.total ?? answer.images,
        make: (row) => this.make(row),
        onpick: (row) => labelling.openImage(row.key),
        onlist: (about) => this.know(about),
      });
    }

    // order, scope and states of the review
    settings() {
      const { review } = this.labelling;
      const { ORDERS, STATES } = parts.Review;
      const select = (id, label, options, value, act) => {
        const made = dom.element("select", { "data-testid": id, "aria-label": label, title: label });
        made.append(...options.map(([name, title, meaning = ""]) => dom.element("option", { value: name, title: meaning }, title)));
        made.value = value;
        made.addEventListener("change", () => act(made.value));
        return made;
      };
      const check = (id, title, meaning, checked, act) => {
        const input = dom.element("input", { type: "checkbox", "data-testid": id });
        input.checked = checked;
        input.addEventListener("change", () => act(input.checked));
        return dom.element("label", { class: "cs-check", title: meaning }, input, dom.element("span", {}, title));
      };
      const states = STATES.map((state) => {
        const { word, meaning } = parts.labels.STATES[state];
        const input = dom.element("input", { type: "checkbox", "data-testid": `review-state-${state}` });
        input.checked = review.settings.states.includes(state);
        input.addEventListener("change", () => {
          const wanted = STATES.filter((name) => (name === state ? input.checked : review.settings.states.includes(name)));
          review.set({ states: wanted.length ? wanted : ["proposed"] });
          if (wanted.length === 0) input.checked = state === "proposed";
        });
        return dom.element("label", { title: meaning }, input, dom.element("span", {}, word));
      });
      const { store } = this.labelling;
      const name = dom.element("input", { type: "text", class: "cs-field", "data-testid": "actor-name", maxlength: "40", autocomplete: "off", placeholder: "annotator", "aria-label": "Your name" });
      name.value = parts.actor.nameOf(this.labelling.actor).replace(/^annotator-.*/, "");
      name.addEventListener("change", () => this.labelling.become(name.value));
      return [
        select("review-order", "Order of the review", ORDERS, review.order, (order) => review.set({ order })),
        select("review-scope", "What is reviewed", [["dataset", "all images"], ["image", "this image only"]], review.settings.scope, (scope) => review.set({ scope })),
        dom.element("details", { class: "cs-review-more", "data-testid": "review-more" },
          dom.element("summary", {}, "More"),
          dom.element("div", { class: "cs-switches", role: "group", "aria-label": "States that are reviewed" }, ...states),
          check("review-near", "Close-up", "Zoom near each label of the review", review.near, (near) => review.set({ near })),
          check("review-finish", "Image done with its last decision", "An image counts as done as soon as no proposal is left in it", review.settings.finish, (finish) => review.set({ finish })),
          dom.element("label", { class: "cs-choice", title: "Others see it beside what you changed; undo is for what you did under one name" }, dom.element("span", { class: "cs-quiet" }, "Your name"), name),
          check("show-rejected", "Show rejected ones", "Rejected labels stay as a memory; dotted lines", false, (showRejected) => store.set({ showRejected })),
        ),
      ];
    }

    // how the review stands changed somewhere else
    draw() {
      const { review, find } = this.labelling;
      if (!this.box.childElementCount) return;
      find("review-order").value = review.order;
      find("review-scope").value = review.settings.scope;
    }

    get listUrl() {
      const { active, project } = this.labelling;
      return active && project !== null ? api.address("/api/labels/images", { project }) : null;
    }

    follow(changed) {
      if (changed.has("page")) this.url = null; // another page may have changed something
      this.open();
      if (changed.has("image") || changed.has("page")) this.mark();
    }

    async open() {
      const { listUrl } = this;
      if (listUrl === this.url) return;
      this.url = listUrl;
      [this.about, this.categories] = [null, null];
      if (listUrl === null) return;
      this.labelling.review.refresh();
      await this.rows.open(listUrl, "There is no image here.");
      this.openOne();
    }

    // of a project without an open image the first one is opened
    async openOne() {
      const { labelling } = this;
      const { place, store, studio } = labelling;
      const wanted = () => labelling.active && studio.browse.inDataset && studio.browse.info && place.image === null && !store.loading;
      if (!wanted()) return;
      const row = await this.rows.pieces.at(0);
      if (row && wanted()) studio.address.quietly(() => place.set({ image: row.key, mode: "viewer" }));
    }

    know(about) {
      if (!about) return;
      this.about = about;
      this.categories = about.categories ?? null;
      const { counts = {}, images = 0, done = 0 } = about;
      const all = Object.values(counts).reduce((sum, count) => sum + count, 0);
      const waiting = counts.proposed ?? 0;
      this.progress.value = all ? (all - waiting) / all : 0;
      const parted = [`${dom.grouped(all - waiting)} of ${dom.grouped(all)} reviewed`, `${dom.grouped(done)} of ${dom.grouped(images)} images done`];
      this.progressText.textContent = parted.join(" · ");
      this.count.textContent = dom.grouped(images);
      this.mark();
      this.labelling.bar?.draw();
    }

    // the counts again, soon
    later() {
      clearTimeout(this.timer);
      this.timer = setTimeout(async () => {
        await this.labelling.outbox.settled();
        if (this.listUrl !== null) this.rows.pieces.open(this.listUrl, this.rows.first ?? 0);
      }, PAUSE);
    }

    make(row) {
      const { counts = {} } = row;
      const all = Object.values(counts).reduce((sum, count) => sum + count, 0);
      const waiting = counts.proposed ?? 0;
      const done = row.state === "done";
      const sign = done ? "✓" : waiting ? "○" : "";
      const words = all === 0 ? "no label" : waiting ? `${dom.grouped(all - waiting)}/${dom.grouped(all)}` : dom.grouped(all);
      const meaning = done ? "done" : waiting ? `${waiting} to review` : all ? "nothing to review" : "no label yet";
      const name = dom.element("span", { class: "cs-name" }, row.file_name);
      return [dom.element("span", { class: "cs-label-image", title: `${row.file_name}: ${meaning}`, "data-state": row.state ?? "open" }, dom.element("span", { class: "cs-label-sign", "aria-label": meaning }, sign), name, dom.element("span", { class: "cs-quiet cs-number" }, words))];
    }

    // a dataset's keys end with the image's place in it; others are looked for
    placeOf(key) {
      const numbered = /^d[0-9a-f]+-(\d+)$/.exec(key ?? "");
      if (numbered) return Number(numbered[1]);
      for (const [piece, rows] of this.rows.pieces.pieces) {
        const at = rows.findIndex((row) => row.key === key);
        if (at >= 0) return piece * 100 + at;
      }
      return -1;
    }

    mark() {
      const at = this.placeOf(this.labelling.place.image ?? this.labelling.key);
      const moved = at !== this.at;
      this.at = at;
      this.rows.at = at;
      if (this.labelling.active) this.showPosition();
      if (moved && at >= 0) this.reveal(at);
      this.rows.draw();
    }

    reveal(at) {
      const top = at * HIGH;
      const { scrollTop, clientHeight } = this.list;
      if (top < scrollTop || top + HIGH > scrollTop + clientHeight) this.list.scrollTop = Math.max(0, top - clientHeight / 2);
    }

    get total() {
      return this.rows.pieces.total ?? 0;
    }

    get position() {
      return this.total && this.at >= 0 ? `${dom.grouped(this.at + 1)} / ${dom.grouped(this.total)}` : "";
    }

    showPosition() {
      const { find } = this.labelling;
      find("position").textContent = this.position;
      find("previous").disabled = this.at <= 0;
      find("next").disabled = this.at < 0 || this.at >= this.total - 1;
    }

    async step(by) {
      const next = this.at + by;
      if (next < 0 || next >= this.total) return;
      const row = await this.rows.pieces.at(next);
      if (row) this.labelling.openImage(row.key);
      const after = this.rows.pieces.row(next + by);
      if (after) this.labelling.review.fetchAhead(this.labelling.sheetUrl(after.key));
    }
  }

  parts.LabelPages = LabelPages;
})();
