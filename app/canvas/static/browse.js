// What is in front: samples and uploads as Python says, or a dataset, which the browser looks through itself.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { api, dom } = parts;

  const LISTED_BY = ["dataset", "checkpoint", "sort", "name", "category", "size", "scores", "error", "cell", "fit"];
  const COUNTED_BY = ["threshold", "iou", "kind"];
  const PAUSE = 200; // milliseconds that a slider has to stand still before the grid counts again

  class Browse {
    constructor(studio) {
      this.studio = studio;
      const { find, store } = studio;
      this.find = find;
      this.store = store;
      this.place = new parts.place.Place();
      this.info = null; // of the open dataset
      this.names = []; // of all checkpoints
      this.timer = null;
      this.grid = new parts.Grid(find, { onopen: (row, at) => this.openImage(row.key, null, at) });
      this.grid.onlist = (total) => this.showCount(total);
      this.dataset = new parts.DatasetPanel(find, {
        onopen: (info) => this.opened(info),
        onclose: () => this.place.set({ dataset: null, mode: "grid", image: null }),
      });
      this.filters = new parts.filters.Filters(find, this.place);
      this.runs = new parts.Runs(find, { onprogress: () => this.count(true), onpick: (key) => this.openImage(key) });
      this.metrics = new parts.SetMetrics(find, this.place, {
        onanswer: (answer) => this.showFigures(answer),
        onopen: (row) => this.openImage(row.key, row.instance ?? row.truth),
        offer: () => this.runs.offer(),
      });
      this.diff = new parts.Diff(find, this.place, { onopen: (row) => this.openDifference(row) });
      this.report = new parts.Report(find, { offer: () => this.runs.offer() });
      this.wire();
      this.place.listen((changed) => this.follow(changed));
      store.listen((changed) => {
        if (COUNTED_BY.some((name) => changed.has(name))) this.countLater();
        if (changed.has("document")) this.show();
        else if (changed.has("judged")) this.showFigures(this.metrics.answer);
      });
      this.show();
    }

    wire() {
      const { find, place } = this;
      for (const mode of ["grid", "metrics", "compare"]) {
        find(`tab-${mode}`).addEventListener("click", () => place.set({ mode }));
      }
      find("back").addEventListener("click", () => this.back());
      find("previous").addEventListener("click", () => this.step(-1));
      find("next").addEventListener("click", () => this.step(1));
      find("jump").addEventListener("change", (event) => this.jump(Number(event.target.value)));
      window.addEventListener("studio-page", (event) => place.set({ page: event.detail }));
      find("dataset-start").addEventListener("click", () => {
        if (this.studio.layout.narrow) this.studio.layout.open("left");
        find("folder").focus();
      });
    }

    // from Python: which list is open, with which checkpoint
    take({ source, checkpoint, checkpoints }) {
      if (!source) return;
      this.names = Array.isArray(checkpoints) ? checkpoints : [];
      this.place.set({ source, checkpoint: checkpoint ?? null });
      this.diff.offer(this.names, this.place.checkpoint);
    }

    get inDataset() {
      return this.place.source === "dataset";
    }

    // what every question about the open dataset says
    get asked() {
      const { place, store, info } = this;
      if (!this.inDataset || !info || !place.checkpoint) return null;
      return { dataset: info.id, checkpoint: place.checkpoint, score: store.threshold, iou: store.iou, kind: store.kind };
    }

    follow(changed) {
      const { place } = this;
      if (changed.has("source") || changed.has("dataset")) this.openDataset();
      if (changed.has("checkpoint") && this.inDataset) this.runs.open(this.info, place.checkpoint);
      if (LISTED_BY.some((name) => changed.has(name))) this.list();
      if (changed.has("checkpoint") || changed.has("other")) this.diff.offer(this.names, place.checkpoint);
      const shows = ["source", "dataset", "mode", "image", "checkpoint", "page"].some((name) => changed.has(name));
      if (shows) this.showImage();
      this.studio.inspection?.known(this.info);
      if (shows || ["error", "cell", "other", "change"].some((name) => changed.has(name))) this.count();
      this.show();
    }

    openDataset() {
      if (!this.inDataset) return;
      if (this.info && this.info.id !== this.place.dataset) this.info = null;
      this.dataset.open(this.place.dataset);
    }

    opened(info) {
      const fresh = this.info?.id !== info.id;
      this.info = info;
      this.filters.fit(info);
      this.runs.open(info, this.place.checkpoint);
      if (this.place.dataset !== info.id) {
        this.place.clearFilters();
        this.place.set({ dataset: info.id, mode: "grid", image: null });
      }
      if (fresh) {
        this.list();
        this.count();
        this.showImage();
      }
      this.studio.inspection?.known(info);
      this.studio.labelling?.pages.open();
      this.show();
    }

    // the grid's address; null while there is no dataset
    get listUrl() {
      const { place, store, info } = this;
      if (!this.inDataset || !info) return null;
      const { checkpoint, sort } = place;
      const judged = checkpoint ? { checkpoint, score: store.threshold, iou: store.iou, kind: store.kind } : {};
      return api.address("/api/grid", { dataset: info.id, ...judged, ...place.filters, sort });
    }

    list(keep = false) {
      const url = this.listUrl;
      if (url === this.listed && !keep) return;
      this.listed = url;
      this.grid.open(url, { keep });
    }

    countLater() {
      if (!this.inDataset || !this.info) return;
      clearTimeout(this.timer);
      this.timer = setTimeout(() => {
        if (this.place.pictured) this.stale = true; // the grid counts again when it is in front
        else this.list(true);
      }, PAUSE);
      this.count();
    }

    // the numbers of the whole set, where they are in sight
    count(again = false) {
      const { asked } = this;
      const { front } = this.place;
      if (front === "report") this.report.open(this.inDataset && this.info?.truth ? this.info : null, this.place.checkpoint);
      const truth = this.info?.truth === true;
      if (this.place.pictured && this.inDataset) return;
      this.metrics.open(truth ? asked : null);
      if (this.info && !truth) this.metrics.say("This dataset has no annotations to compare with: open an image to see what was found.");
      if (again) {
        this.metrics.again();
        this.list(true);
      }
      if (front === "compare") this.diff.open(truth ? asked : null);
      if (front === "metrics") this.curves(truth ? asked : null);
    }

    // Python draws the curves
    curves(asked) {
      this.curvesAsked = asked && { ...asked, category: this.place.category };
      const stamp = JSON.stringify(this.curvesAsked && { ...this.curvesAsked, score: 0 });
      if (stamp === this.drawn) return;
      this.drawn = stamp;
      clearTimeout(this.curveTimer);
      this.curveTimer = setTimeout(() => this.studio.host.trigger("show_curves", {}), PAUSE);
    }

    documentUrl(key) {
      return api.address(`/api/documents/${encodeURIComponent(key)}`, { checkpoint: this.place.checkpoint, wait: 0 });
    }

    // where an instance of the open image is explained; null where nobody could
    explainUrl(path, one, asked) {
      const { place } = this;
      const key = this.store.document?.key;
      if (!key || !place.checkpoint) return null;
      return api.address(`/api/${path}/${encodeURIComponent(key)}/${encodeURIComponent(one.id)}`, { checkpoint: place.checkpoint, ...asked });
    }

    autopsyUrl(one) {
      const { store } = this;
      return this.explainUrl("autopsy", one, { score: store.threshold, iou: store.iou, kind: store.kind });
    }

    traceUrl(one) {
      return this.explainUrl("traces", one, {});
    }

    get exportUrl() {
      const { image, checkpoint } = this.place;
      if (!this.inDataset || !image || !checkpoint) return null;
      return api.address(`/api/exports/${encodeURIComponent(image)}.json`, { checkpoint });
    }

    // an image of the dataset in front, with an instance picked once it is here
    openImage(key, instance = null, at = null, checkpoints = {}) {
      if (at !== null) this.grid.selected = at;
      this.located = at === null ? null : `${this.listUrl} ${key}`;
      this.studio.wanted = instance === null ? null : { instance, zoom: true };
      if (this.place.image === key && instance !== null) this.studio.takeWanted();
      this.place.set({ image: key, mode: "viewer", ...checkpoints });
    }

    // where the difference is; what only the second checkpoint found is seen with that one
    openDifference(row) {
      const { place } = this;
      if (row.a !== null || row.truth !== null) return this.openImage(row.key, row.a ?? row.truth);
      this.openImage(row.key, row.b, null, { checkpoint: place.other, other: place.checkpoint }); // one step for Back
      return this.studio.host.trigger("go_to", {});
    }

    // the same image with another checkpoint
    useCheckpoint(name) {
      this.place.set({ checkpoint: name });
      this.studio.host.trigger("go_to", {});
    }

    showImage() {
      if (!this.inDataset) return;
      const { image, mode } = this.place;
      const wanted = mode === "viewer" || ["inspect", "label"].includes(this.place.page);
      const url = wanted && image && this.info ? this.documentUrl(image) : null;
      if (wanted && url !== null) {
        if (url !== this.studio.openUrl || this.studio.store.error) this.studio.open(url);
      } else if (this.place.dataset === null || this.studio.openUrl === null) this.studio.open(null);
      this.locate();
    }

    // which place of the list the open image has, where the list was not what opened it
    async locate() {
      const { image } = this.place;
      const url = this.listUrl;
      const stamp = `${url} ${image}`;
      if (!this.place.pictured || !image || url === null || this.located === stamp) return;
      this.located = stamp;
      const said = await api.get(`${url}&limit=1&find=${encodeURIComponent(image)}`, "The list").catch(() => null);
      if (this.located !== stamp || !Number.isInteger(said?.at)) return;
      await this.grid.listed;
      this.grid.select(said.at);
      this.showPosition();
    }

    back() {
      if (!this.inDataset || !this.place.pictured) return false;
      this.place.set({ page: "browse", mode: "grid" });
      if (this.stale) this.list(true);
      this.stale = false;
      this.find("grid").focus({ preventScroll: true });
      return true;
    }

    async step(by) {
      if (this.place.page === "label") return this.studio.labelling.pages.step(by);
      const at = this.grid.selected + by;
      if (at < 0 || at >= this.grid.total) return;
      this.grid.select(at);
      await this.grid.openAt(at);
    }

    // the next image with mistakes, in the grid's order
    async worst(by) {
      for (let at = this.grid.selected + by; at >= 0 && at < this.grid.total; at += by) {
        const row = await this.grid.pieces.at(at);
        if (!row) return;
        if (row.state !== "done" || !(row.fp + row.fn > 0)) continue;
        this.grid.select(at);
        if (this.place.pictured) this.openImage(row.key, null, at);
        return;
      }
    }

    jump(number) {
      if (!(number >= 1)) return;
      if (this.place.mode !== "grid") this.place.set({ mode: "grid" });
      this.grid.jump(Math.round(number) - 1);
      this.find("grid").focus({ preventScroll: true });
    }

    showCount(total) {
      const { find, place, info } = this;
      const whole = info && total < info.images ? ` of ${dom.grouped(info.images)}` : "";
      find("grid-count").textContent = `${dom.grouped(total)}${whole} images`;
      find("jump").max = total;
      const nothing = place.filtered ? "No image passes the filters." : "This dataset holds no images.";
      if (total === 0) this.grid.say(nothing);
      if (total === 0 && place.filtered) {
        const clear = dom.element("button", { type: "button", "data-testid": "grid-clear" }, "Show every image");
        clear.addEventListener("click", () => place.clearFilters());
        find("grid-note").append(" ", clear);
      }
      this.showPosition();
    }

    showPosition() {
      const { grid } = this;
      if (this.place.page === "label") return this.studio.labelling?.pages.showPosition();
      this.find("position").textContent = grid.total ? `${dom.grouped(grid.selected + 1)} / ${dom.grouped(grid.total)}` : "";
      this.find("previous").disabled = grid.selected <= 0;
      this.find("next").disabled = grid.selected >= grid.total - 1;
      return undefined;
    }

    showFigures(answer) {
      if (this.place.pictured) return this.studio.figures.show("This image", this.store.judged.totals);
      const totals = answer && { ...answer.counts, precision: answer.precision, recall: answer.recall, f1: answer.f1 };
      this.studio.figures.show(answer ? `${dom.grouped(answer.images)} images` : "", totals ?? null);
      if (answer && this.info) this.runs.know(answer.images, this.info.images - (this.info.missing ?? 0));
      return undefined;
    }

    show() {
      const { find, place, info, studio } = this;
      const { front } = place;
      const opened = this.inDataset && info !== null;
      studio.element.dataset.front = front;
      studio.element.dataset.source = place.source ?? "";
      studio.element.toggleAttribute("data-dataset", opened);
      find("dataset-section").hidden = !this.inDataset;
      find("filters-section").hidden = !opened || place.page !== "browse" || front === "compare";
      find("match-section").hidden = opened ? !info.truth : !this.store.document?.judged;
      find("tabs").hidden = !opened;
      for (const mode of ["grid", "metrics", "compare"]) {
        find(`tab-${mode}`).setAttribute("aria-pressed", place.mode === mode || (mode === "grid" && place.mode === "viewer"));
        find(`tab-${mode}`).disabled = mode !== "grid" && opened && !info.truth;
      }
      find("dataset-empty").hidden = !this.inDataset || opened || place.dataset !== null || place.page === "report";
      this.showPosition();
      this.showFigures(this.metrics.answer);
      document.querySelectorAll("[data-page]").forEach((link) => {
        if (link.dataset.page === place.page) link.setAttribute("aria-current", "page");
        else link.removeAttribute("aria-current");
      });
    }
  }

  parts.Browse = Browse;
})();
