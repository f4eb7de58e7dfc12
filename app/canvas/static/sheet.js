// The sheet of keys.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { dom, keys } = parts;

  class Sheet {
    constructor(find) {
      this.dialog = find("sheet");
      this.box = find("keys");
      this.own = () => null; // the page's own table, where it has one
      this.refresh();
      find("help").addEventListener("click", () => this.toggle());
      find("sheet-close").addEventListener("click", () => this.dialog.close());
      this.dialog.addEventListener("click", (event) => {
        if (event.target === this.dialog) this.dialog.close(); // the backdrop
      });
    }

    refresh() {
      this.box.replaceChildren(...(this.own()?.rows() ?? rows()));
    }

    toggle() {
      this.refresh();
      if (this.dialog.open) this.dialog.close();
      else this.dialog.showModal();
    }
  }

  function rows() {
    const groups = [...new Set(keys.TABLE.map(([group]) => group))];
    return groups.map((group) =>
      dom.element(
        "section",
        {},
        dom.element("h2", {}, group),
        dom.element(
          "dl",
          {},
          ...keys.TABLE.filter((row) => row[0] === group && row[1]).flatMap(([, shown, , meaning]) => [
            dom.element("dt", {}, dom.element("kbd", {}, shown)),
            dom.element("dd", {}, meaning),
          ]),
        ),
      ),
    );
  }

  parts.Sheet = Sheet;
})();
