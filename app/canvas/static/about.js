// Words about what is open: the picked instance, the status line, the sheet of keys.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { dom, keys } = parts;

  class Inspector {
    constructor(find, store, { onzoom }) {
      this.box = find("inspector");
      this.store = store;
      this.onzoom = onzoom;
      store.listen((changed) => {
        if (["document", "selected", "shown", "judged", "colouring"].some((name) => changed.has(name))) this.draw();
      });
      this.draw();
    }

    draw() {
      const { store } = this;
      const one = store.picked;
      this.box.hidden = !store.document;
      if (!one) {
        this.box.replaceChildren(dom.element("p", { class: "cs-quiet" }, "Click an instance, here or on the image, to see its numbers."));
        return;
      }
      const zoom = dom.element("button", { type: "button", "data-testid": "zoom-to-picked", title: "Zoom to it ( Z )" }, "Zoom to it");
      zoom.addEventListener("click", () => this.onzoom());
      const title = one.truth ? `${one.name} (truth)` : one.name;
      const rows = dom.facts(one, store).flatMap(([name, value, meaning]) => [
        dom.element("dt", { title: meaning }, name),
        dom.element("dd", { title: meaning }, value),
      ]);
      const notes = [];
      if (!store.isShown(one)) notes.push("The filters hide it at the moment.");
      if (one.damaged) notes.push("Its mask could not be read.");
      this.box.replaceChildren(
        dom.element("header", {}, dom.chip(one, store), dom.element("h2", { "data-testid": "picked-name" }, title), zoom),
        dom.element("dl", { "data-testid": "picked-facts" }, ...rows),
        ...notes.map((note) => dom.element("p", { class: "cs-quiet" }, note)),
      );
    }
  }

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
              ...keys.TABLE.filter((row) => row[0] === group).flatMap(([, shown, , meaning]) => [
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

  parts.about = { Inspector, Sheet };
})();
