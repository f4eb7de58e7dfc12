// Which class is taken for which: rows are the truth, columns what was found; every cell opens its instances.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { dom } = parts;

  const MOST = 14; // classes in the table; of more, the ones with most mistakes

  class Confusion {
    constructor(find, place) {
      Object.assign(this, { find, place });
      this.labels = [];
      find("confusion").addEventListener("click", (event) => {
        const cell = event.target.closest("[data-cell]")?.dataset.cell;
        if (cell) place.set({ cell: place.cell === cell ? "" : cell, error: "" });
      });
    }

    // the last of each is "none": nothing was found, or nothing is there
    name(at) {
      return at === this.labels.length ? "nothing" : this.labels[at].name;
    }

    id(at) {
      return at === this.labels.length ? "none" : String(this.labels[at].id);
    }

    cellText(cell) {
      const [truth, found] = cell.split(",").map((id) => this.labels.find((one) => String(one.id) === id)?.name ?? "nothing");
      if (truth === "nothing") return `${found}, no true object`;
      if (found === "nothing") return `${truth} not found`;
      return truth === found ? `${truth}, right` : `${truth} found as ${found}`;
    }

    show(answer) {
      const confusion = answer?.confusion;
      this.find("confusion").hidden = !confusion;
      this.labels = confusion?.labels ?? [];
      this.fillClasses(answer?.by_category ?? []);
      if (!confusion) return;
      const { cells } = confusion;
      const chosen = this.choose(cells);
      const whole = chosen.length === this.labels.length;
      this.find("confusion-note").textContent = whole ? "" : `${chosen.length} of ${this.labels.length} classes: those with most mistakes`;
      this.fill(cells, [...chosen, this.labels.length]);
    }

    choose(cells) {
      const all = this.labels.map((_, at) => at);
      if (all.length <= MOST) return all;
      const wrong = (at) => cells[at].reduce((sum, count, other) => sum + (other === at ? 0 : count + cells[other][at]), 0);
      return all.map((at) => [wrong(at), at]).sort((a, b) => b[0] - a[0] || a[1] - b[1]).slice(0, MOST).map(([, at]) => at).sort((a, b) => a - b);
    }

    fill(cells, chosen) {
      const none = this.labels.length;
      const head = chosen.map((at) => dom.element("th", { scope: "col", title: at === none ? "True objects that no instance was matched with" : this.name(at) }, dom.element("span", {}, at === none ? "not found" : this.name(at))));
      const most = Math.max(1, ...chosen.flatMap((row) => chosen.map((column) => (row === column ? 0 : cells[row][column]))));
      const body = chosen.map((row) => {
        const name = row === none ? "no true object" : this.name(row);
        const title = row === none ? "Instances that no true object was matched with: poor fits, found twice, nothing there" : name;
        const made = chosen.map((column) => this.cell(cells, row, column, most));
        return dom.element("tr", {}, dom.element("th", { scope: "row", title }, dom.element("span", {}, name)), ...made);
      });
      const corner = dom.element("th", { class: "cs-quiet" }, "truth ↓ found →");
      this.find("confusion").replaceChildren(
        dom.element("thead", {}, dom.element("tr", {}, corner, ...head)),
        dom.element("tbody", {}, ...body),
      );
      this.mark();
    }

    cell(cells, row, column, most) {
      const count = cells[row][column];
      const place = dom.element("td", {});
      if (count === 0) return place;
      const cell = `${this.id(row)},${this.id(column)}`;
      const made = dom.element("button", { type: "button", "data-cell": cell, "data-testid": "confusion-cell" }, dom.grouped(count));
      made.title = `${this.cellText(cell)}: ${count}`;
      made.classList.toggle("cs-right-cell", row === column);
      made.style.setProperty("--share", row === column ? 0 : Math.sqrt(count / most));
      place.append(made);
      return place;
    }

    fillClasses(classes) {
      const sorted = [...classes].filter(({ truth, found }) => truth + found > 0).sort((a, b) => b.truth - a.truth);
      const rows = sorted.map((one) => {
        const numbers = [dom.grouped(one.truth), dom.grouped(one.found), ...["precision", "recall", "f1"].map((name) => dom.decimals(one[name] ?? null))];
        const name = dom.element("button", { type: "button", class: "cs-text", "data-category": String(one.id) }, one.name);
        name.title = `Show the images with ${one.name}`;
        name.addEventListener("click", () => this.place.set({ category: String(one.id), mode: "grid" }));
        return dom.element("tr", {}, dom.element("th", { scope: "row" }, name), ...numbers.map((text) => dom.element("td", {}, text)));
      });
      this.find("by-class").replaceChildren(...rows);
    }

    mark() {
      for (const button of this.find("confusion").querySelectorAll("[data-cell]")) {
        button.setAttribute("aria-pressed", button.dataset.cell === this.place.cell);
      }
    }
  }

  parts.Confusion = Confusion;
})();
