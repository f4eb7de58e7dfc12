// Levels in rows, branches in columns, each cell a small map; one of them is drawn large.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { dom, colours } = parts;

  class Matrix {
    // onpick(level, name)
    constructor(box, { onpick }) {
      Object.assign(this, { box, onpick });
      this.cells = new Map(); // "level name" -> button
      this.chosen = null;
      box.addEventListener("click", (event) => this.click(event));
      box.addEventListener("keydown", (event) => this.key(event));
    }

    // rows: [{level, title, meaning, panels: [{name, map, how, caption, meaning}]}]; columns: [{name, title, meaning}]
    show(rows, columns) {
      this.cells.clear();
      this.columns = columns.map(({ name }) => name);
      this.levels = rows.map(({ level }) => level);
      this.box.style.setProperty("--columns", columns.length);
      const held = this.box.contains(document.activeElement); // whoever walks with the arrow keys goes on
      const head = columns.map(({ title, words, meaning }) => dom.element("span", { class: "cs-matrix-name", role: "columnheader", title: meaning }, title, dom.element("small", {}, words ?? "")));
      const made = [dom.element("div", { class: "cs-matrix-row", role: "row" }, dom.element("span", { role: "presentation" }), ...head)];
      for (const row of rows) {
        const name = dom.element("span", { class: "cs-matrix-name", role: "rowheader", title: row.meaning ?? "" }, row.title, dom.element("small", {}, row.words ?? ""));
        made.push(dom.element("div", { class: "cs-matrix-row", role: "row" }, name, ...columns.map((column) => this.cell(row, column))));
      }
      this.box.replaceChildren(...made);
      this.mark();
      if (held) this.cells.get(this.chosen)?.focus({ preventScroll: true });
    }

    cell(row, column) {
      const panel = row.panels.find(({ name }) => name === column.name);
      if (!panel) return dom.element("span", { class: "cs-matrix-none", role: "gridcell" });
      const button = dom.element("button", { type: "button", role: "gridcell", class: "cs-matrix-cell", "data-level": row.level, "data-name": column.name, "data-testid": `map-P${row.level}-${column.name}`, tabindex: "-1" });
      button.title = `${row.title} ${column.title}: ${column.meaning}`;
      button.setAttribute("aria-label", `${row.title} ${column.title}${panel.caption ? `, ${panel.caption}` : ""}`);
      if (panel.map) {
        const picture = colours.paint(panel.map, panel.how);
        picture.className = "cs-matrix-map";
        picture.setAttribute("aria-hidden", "true"); // the button says what it is
        button.append(picture);
      }
      if (panel.caption) button.append(dom.element("span", { class: "cs-matrix-caption cs-number" }, panel.caption));
      this.cells.set(`${row.level} ${column.name}`, button);
      return button;
    }

    choose(level, name) {
      this.chosen = `${level} ${name}`;
      this.mark();
    }

    mark() {
      for (const [stamp, cell] of this.cells) {
        const chosen = stamp === this.chosen;
        cell.setAttribute("aria-selected", String(chosen));
        cell.tabIndex = chosen ? 0 : -1;
      }
      if (![...this.cells.values()].some((cell) => cell.tabIndex === 0)) {
        const first = this.cells.values().next().value;
        if (first) first.tabIndex = 0;
      }
    }

    click(event) {
      const cell = event.target.closest("[data-level]");
      if (cell) this.onpick(Number(cell.dataset.level), cell.dataset.name);
    }

    key(event) {
      const by = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
      const cell = event.target.closest("[data-level]");
      if (!by || !cell) return;
      event.preventDefault();
      event.stopPropagation();
      let row = this.levels.indexOf(Number(cell.dataset.level));
      let column = this.columns.indexOf(cell.dataset.name);
      for (;;) {
        row += by[0];
        column += by[1];
        const level = this.levels[row];
        const name = this.columns[column];
        if (level === undefined || name === undefined) return;
        const next = this.cells.get(`${level} ${name}`);
        if (!next) continue;
        this.onpick(level, name);
        this.cells.get(`${level} ${name}`)?.focus();
        return;
      }
    }
  }

  parts.Matrix = Matrix;
})();
