// Which class a label has: by number, by name, or a new one.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { api, dom } = parts;

  const MOST = 200; // names in the dialog at once

  class LabelClasses {
    constructor(labelling) {
      this.labelling = labelling;
    }

    nth(at) {
      const one = this.labelling.categories[at];
      if (one) this.choose(one.id);
    }

    // the class of what is picked, and of what is drawn next
    choose(id) {
      const { labelling } = this;
      labelling.category = id;
      const put = labelling.targets.filter(({ categoryId }) => categoryId !== id).map((one) => ({ id: one.id, categoryId: id }));
      if (put.length > 0) labelling.commit({ kind: "relabel", put });
    }

    // a dialog: type some letters, Enter takes the first
    ask(title = "Class", then = (id) => this.choose(id)) {
      const { labelling } = this;
      if (labelling.project === null) return;
      const input = dom.element("input", { type: "search", "data-testid": "class-find", placeholder: "Find or add a class", "aria-label": "Find or add a class", autocomplete: "off", maxlength: "100" });
      const list = dom.element("div", { class: "cs-class-list", "data-testid": "class-list", role: "listbox", "aria-label": "Classes" });
      const said = dom.element("p", { class: "cs-complaint", role: "alert", hidden: true });
      const { close } = labelling.dialog(title, input, list, said);
      let at = 0;
      const take = async (choice) => {
        try {
          const id = choice.id ?? (await this.add(choice.name));
          close();
          then(id);
        } catch (error) {
          [said.hidden, said.textContent] = [false, api.sentence(error)];
        }
      };
      const draw = () => {
        const wanted = input.value.trim();
        const low = wanted.toLowerCase();
        const found = labelling.categories.filter(({ name }) => name.toLowerCase().includes(low)).sort((a, b) => b.name.toLowerCase().startsWith(low) - a.name.toLowerCase().startsWith(low)).slice(0, MOST);
        const exact = labelling.categories.some(({ name }) => name.toLowerCase() === low);
        this.offered = [...found, ...(wanted && !exact ? [{ id: null, name: wanted }] : [])];
        at = Math.max(0, Math.min(at, this.offered.length - 1));
        list.replaceChildren(...this.offered.map((one, index) => row(one, index === at, this.numberOf(one.id), () => take(one))));
      };
      input.addEventListener("input", () => {
        at = 0;
        draw();
      });
      input.addEventListener("keydown", (event) => {
        const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
        if (by) at = Math.max(0, Math.min(this.offered.length - 1, at + by));
        if (event.key === "Enter" && this.offered[at]) take(this.offered[at]);
        if (by || event.key === "Enter") event.preventDefault();
        if (by) draw();
      });
      draw();
      input.focus();
    }

    numberOf(id) {
      const at = this.labelling.categories.findIndex((one) => one.id === id);
      return at >= 0 && at < 9 ? String(at + 1) : "";
    }

    // nothing can be drawn without a class
    first(then) {
      this.ask("Add the first class", (id) => {
        this.labelling.category = id;
        then?.();
      });
    }

    // a class that the project does not have yet -> its id
    async add(name) {
      const { labelling } = this;
      const known = labelling.pages.categories ?? labelling.categories;
      const categories = [...known.map(({ id, name: its, supercategory = "" }) => ({ id, name: its, supercategory })), { id: null, name, supercategory: "" }];
      const answer = await api.post("/api/labels/categories", { project: labelling.project, categories }, "The class");
      labelling.pages.categories = answer.categories;
      for (const [key, sheet] of labelling.sheets) labelling.sheets.set(key, { ...sheet, categories: answer.categories.map(({ id, name: its }) => ({ id, name: String(its) })) });
      labelling.review.forget();
      labelling.rebuild();
      return answer.categories.find((one) => one.name === name)?.id ?? null;
    }
  }

  function row({ id, name }, marked, number, act) {
    const made = parts.labelButton("class-choice", "", id === null ? "A new class of this project" : name, act);
    made.setAttribute("role", "option");
    made.setAttribute("aria-selected", String(marked));
    made.append(dom.element("kbd", {}, number), dom.element("span", { class: "cs-name" }, id === null ? `Add “${name}”` : name));
    return made;
  }

  parts.LabelClasses = LabelClasses;
})();
