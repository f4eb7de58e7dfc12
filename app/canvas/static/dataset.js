// The left rail of a dataset: open a COCO folder by its path, or one that was open before; see what it holds.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { dom, api } = parts;

  const GLANCE = 700; // milliseconds between two looks at how far the indexing is
  const SHOWN = 6; // datasets that were open before

  class DatasetPanel {
    // onopen(info): a dataset is there, `info` of /api/datasets/{id}
    constructor(find, { onopen, onclose }) {
      Object.assign(this, { find, onopen, onclose });
      this.id = null; // of the one that is asked for
      this.info = null; // of the one that is open
      find("dataset-form").addEventListener("submit", (event) => {
        event.preventDefault();
        this.submit();
      });
      find("dataset-other").addEventListener("click", () => this.onclose());
      find("bundled-open").addEventListener("click", () => this.ask("/api/datasets", { folder: this.bundled, annotations: null }));
      find("samples-fetch").addEventListener("click", () => this.ask("/api/datasets/samples", {}));
      parts.desktop?.browse(find("folder"), "folder-browse", "Choose a folder", (native, start) => native.choose_folder(start));
      parts.desktop?.browse(find("annotations"), "annotations-browse", "Choose a COCO file", (native, start) => native.choose_file(start || find("folder").value.trim(), "COCO file (*.json)"));
    }

    submit() {
      const folder = this.find("folder").value.trim();
      if (!folder) return this.complain("Type the path of a folder of images on the Studio's machine.");
      return this.ask("/api/datasets", { folder, annotations: this.find("annotations").value.trim() || null });
    }

    async ask(url, content) {
      this.complain("");
      this.showProgress({ sentence: "Asking" });
      try {
        await this.follow(await api.post(url, content, "The dataset"));
      } catch (error) {
        this.showProgress(null);
        this.complain(api.sentence(error));
      }
    }

    // a dataset by its id, as the page's address has it; null shows how to open one
    async open(id) {
      this.id = id;
      this.complain("");
      if (id === null) {
        this.info = null;
        this.show();
        return this.listRecent();
      }
      if (this.info?.id === id) return this.onopen(this.info);
      try {
        await this.follow(await api.get(`/api/datasets/${encodeURIComponent(id)}`, "This dataset"));
      } catch (error) {
        if (this.id !== id) return undefined;
        this.onclose();
        this.complain(api.sentence(error));
      }
      return undefined;
    }

    // until it is ready; whoever asks for another one meanwhile ends this
    async follow(state) {
      this.id = state.id;
      for (let now = state; this.id === state.id; ) {
        if (now.state === "ready") return this.ready(now);
        if (now.state === "failed") {
          this.showProgress(null);
          this.onclose();
          return this.complain(now.sentence || "The dataset could not be opened.");
        }
        this.showProgress(now);
        await new Promise((resolve) => setTimeout(resolve, GLANCE));
        if (this.id === state.id) now = await api.get(`/api/datasets/${encodeURIComponent(state.id)}`, "This dataset");
      }
      return undefined;
    }

    async ready(state) {
      const known = state.categories ? state : await api.get(`/api/datasets/${encodeURIComponent(state.id)}`, "This dataset");
      this.showProgress(null);
      this.info = known;
      this.show();
      this.onopen(known);
    }

    async listRecent() {
      try {
        const { recent, samples } = await api.get("/api/datasets", "The list of datasets");
        this.fillRecent(recent ?? []);
        this.find("bundled-open").hidden = !samples;
        this.bundled = samples;
      } catch (error) {
        this.complain(api.sentence(error));
      }
    }

    fillRecent(recent) {
      const buttons = recent.slice(0, SHOWN).map((one) => {
        const made = dom.element(
          "button",
          { type: "button", class: "cs-recent", "data-testid": "recent-dataset" },
          dom.element("span", { class: "cs-name" }, one.name),
          dom.element("span", { class: "cs-quiet cs-number" }, `${dom.grouped(one.images)} images`),
        );
        made.title = one.annotations ? `${one.folder}\n${one.annotations}` : one.folder;
        made.addEventListener("click", () => this.ask("/api/datasets", { folder: one.folder, annotations: one.annotations }));
        return made;
      });
      this.find("recent").replaceChildren(...buttons);
      this.find("recent-section").hidden = buttons.length === 0;
    }

    complain(text) {
      const place = this.find("dataset-complaint");
      place.textContent = text;
      place.hidden = !text;
    }

    // {done, total, sentence}, or null when nothing goes on
    showProgress(state) {
      this.find("indexing").hidden = state === null;
      if (state === null) return;
      const { done, total } = state;
      const share = total > 0 ? dom.percent(Math.min(1, done / total)) : ""; // bytes or images: people want neither
      this.find("indexing-text").textContent = [state.sentence || "Reading the dataset", share].filter(Boolean).join(" ");
      const bar = this.find("indexing-bar");
      if (total > 0) bar.value = done / total;
      else bar.removeAttribute("value");
    }

    show() {
      const { find, info } = this;
      find("dataset-form").hidden = Boolean(info);
      find("dataset-about").hidden = !info;
      if (info) find("recent-section").hidden = true;
      if (!info) return;
      find("dataset-name").textContent = info.name;
      find("dataset-name").title = info.folder ?? info.name;
      const truth = info.truth ? `${dom.grouped(info.annotations)} objects · ${info.categories.length === 1 ? "1 class" : `${info.categories.length} classes`}` : "no annotations";
      const missing = info.missing > 0 ? ` · ${info.missing === 1 ? "1 file" : `${dom.grouped(info.missing)} files`} missing` : "";
      find("dataset-facts").textContent = `${dom.grouped(info.images)} images · ${truth}${missing}`;
      const faults = [...(info.faults ?? [])];
      if (info.left_out > faults.length) faults.push(`and ${dom.grouped(info.left_out - faults.length)} more`);
      find("dataset-faults").hidden = faults.length === 0;
      find("dataset-faults-count").textContent = `${dom.grouped(info.left_out ?? faults.length)} left out`;
      find("dataset-faults-list").replaceChildren(...faults.map((text) => dom.element("li", {}, text)));
    }
  }

  parts.DatasetPanel = DatasetPanel;
})();
