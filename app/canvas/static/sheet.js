// The sheet of keys.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { dom, keys } = parts;

  class Sheet {
    constructor(find) {
      this.dialog = find("sheet");
      const groups = [...new Set(keys.TABLE.map(([group]) => group))];
      find("keys").replaceChildren(
        ...groups.map((group) =>
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
        ),
      );
      find("help").addEventListener("click", () => this.toggle());
      find("sheet-close").addEventListener("click", () => this.dialog.close());
      this.dialog.addEventListener("click", (event) => {
        if (event.target === this.dialog) this.dialog.close(); // the backdrop
      });
    }

    toggle() {
      if (this.dialog.open) this.dialog.close();
      else this.dialog.showModal();
    }
  }

  parts.Sheet = Sheet;
})();
