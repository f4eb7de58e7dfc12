// What the grid lists and in which order: every control writes to the place and follows it back.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { dom, verdicts } = parts;

  const PAUSE = 250; // milliseconds after the last letter of a name
  const SORTS = [
    ["file", "in the file's order"],
    ["errors", "most mistakes first"],
    ["fp", "most wrong first"],
    ["fn", "most missed first"],
    ["lowest_iou", "lowest IoU first"],
    ["gap", "score against IoU"],
    ["duplicates", "most found twice"],
    ["score", "lowest score first"],
  ];
  const UNJUDGED = ["file", "score"]; // what needs no truth
  const SIZES = [
    ["small", "small: below 32² px"],
    ["medium", "medium: up to 96² px"],
    ["large", "large: above 96² px"],
  ];

  class Filters {
    constructor(find, place) {
      Object.assign(this, { find, place });
      fill(find("grid-sort"), SORTS);
      fill(find("filter-size"), [["", "any size"], ...SIZES]);
      fill(find("filter-error"), [["", "any"], ...Object.entries(verdicts.ERRORS)]);
      this.fillCategories([]);
      find("grid-sort").addEventListener("change", (event) => place.set({ sort: event.target.value }));
      for (const name of ["category", "size", "error"]) {
        find(`filter-${name}`).addEventListener("change", (event) => place.set({ [name]: event.target.value, ...(name === "error" ? { cell: "" } : {}) }));
      }
      for (const end of ["low", "high"]) find(`filter-score-${end}`).addEventListener("change", () => place.set({ scores: this.readScores() }));
      find("filter-name").addEventListener("input", (event) => {
        clearTimeout(this.timer);
        this.timer = setTimeout(() => place.set({ name: event.target.value.trim() }), PAUSE);
      });
      find("filter-clear").addEventListener("click", () => place.clearFilters());
      find("filter-cell").addEventListener("click", () => place.set({ cell: "" }));
      find("filter-fit").addEventListener("click", () => place.set({ fit: "" }));
      place.listen(() => this.show());
      this.show();
    }

    // what the open dataset can be filtered and sorted by
    fit({ categories = [], truth }) {
      fill(this.find("grid-sort"), truth ? SORTS : SORTS.filter(([name]) => UNJUDGED.includes(name)));
      this.find("filter-error-row").hidden = !truth;
      if (!truth && !UNJUDGED.includes(this.place.sort)) this.place.set({ sort: "file" });
      this.fillCategories(categories);
    }

    // "low,high" of the two fields, the lower one first; "" where both are empty
    readScores() {
      const ends = [["low", 0], ["high", 1]].map(([end, usual]) => {
        const { value } = this.find(`filter-score-${end}`);
        return value === "" ? usual : Math.min(1, Math.max(0, Number(value)));
      });
      const [low, high] = ends.sort((a, b) => a - b);
      return low === 0 && high === 1 ? "" : `${low},${high}`;
    }

    showScores(text) {
      const [low, high] = text ? text.split(",") : ["", ""];
      for (const [end, value] of Object.entries({ low, high })) this.find(`filter-score-${end}`).value = value ?? "";
    }

    // [{id, name, truth}]
    fillCategories(categories) {
      this.names = new Map(categories.map(({ id, name }) => [String(id), name]));
      const sorted = [...categories].sort((a, b) => a.name.localeCompare(b.name));
      const options = sorted.map(({ id, name, truth }) => [id, truth > 0 ? `${name} (${dom.grouped(truth)})` : name]);
      fill(this.find("filter-category"), [["", "any class"], ...options]);
      this.find("filter-category").hidden = categories.length === 0;
      this.show();
    }

    cellText(cell) {
      const [truth, found] = cell.split(",");
      const named = (id) => this.names.get(id) ?? `class ${id}`;
      if (truth === "none") return `${named(found)}, no true object`;
      if (found === "none") return `${named(truth)} not found`;
      return truth === found ? `${named(truth)}, right` : `${named(truth)} found as ${named(found)}`;
    }

    show() {
      const { find, place } = this;
      for (const name of ["category", "size", "error"]) find(`filter-${name}`).value = place[name];
      if (find("filter-name").value.trim() !== place.name) find("filter-name").value = place.name;
      this.showScores(place.scores);
      find("grid-sort").value = place.sort;
      find("filter-cell").hidden = !place.cell;
      if (place.cell) find("filter-cell-text").textContent = this.cellText(place.cell);
      find("filter-fit").hidden = !place.fit;
      if (place.fit) find("filter-fit-text").textContent = fitText(place.fit);
      find("filter-clear").disabled = !place.filtered;
    }
  }

  function fitText(fit) {
    const [low, high, narrow, wide] = fit.split(",").map((value) => Math.round(Number(value)));
    return `Objects of ${low} to ${high} px, fields of ${narrow} to ${wide} px`;
  }

  function fill(select, options) {
    select.replaceChildren(...options.map(([value, text]) => dom.element("option", { value: String(value) }, text)));
  }

  parts.filters = { Filters, SORTS };
})();
