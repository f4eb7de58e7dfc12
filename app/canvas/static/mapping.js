// Which class of a checkpoint becomes which class of the project. What has none stands out and is left out.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { dom, api, forms } = parts;
  const { element } = dom;

  class Mapping {
    constructor(labelling, onchange) {
      Object.assign(this, { labelling, onchange });
      this.kept = new Map(); // "project checkpoint" -> Map(class name -> category id or null), as somebody chose
      this.known = null; // the server's answer
      this.counted = element("p", { "data-testid": "mapping-count", role: "status" });
      this.all = forms.button("mapping-add-all", "", () => this.add(this.unmapped), { hidden: true });
      this.rows = element("tbody", {});
      this.complaint = forms.line("mapping-complaint", { alert: true });
      const head = element("tr", {}, element("th", { scope: "col" }, "The checkpoint finds"), element("th", { scope: "col" }, "It becomes"));
      this.table = element("table", { "data-testid": "mapping" }, element("thead", {}, head), this.rows);
      this.element = forms.group("Classes", this.counted, this.all, element("div", { class: "cs-scroll cs-mapping" }, this.table), this.complaint);
    }

    get project() {
      return this.labelling.project;
    }

    async open(checkpoint) {
      this.checkpoint = checkpoint;
      this.known = null;
      this.draw();
      forms.say(this.complaint, "");
      if (!checkpoint) return;
      try {
        const known = await api.get(api.address("/api/prelabel/mapping", { project: this.project, checkpoint }), "The classes");
        if (this.checkpoint !== checkpoint) return;
        this.known = known;
        const own = known.classes.map(({ name, category_id: id }) => [name, id]);
        const before = this.kept.get(this.name) ?? new Map();
        const ids = new Set(known.categories.map(({ id }) => id));
        this.chosen = new Map(own.map(([name, id]) => [name, ids.has(before.get(name)) || before.get(name) === null ? before.get(name) : id]));
      } catch (error) {
        if (this.checkpoint !== checkpoint) return;
        forms.say(this.complaint, api.sentence(error));
      }
      this.draw();
    }

    get name() {
      return `${this.project} ${this.checkpoint}`;
    }

    // class names that nothing is made of
    get unmapped() {
      return this.known ? this.known.classes.map(({ name }) => name).filter((name) => this.chosen.get(name) === null) : [];
    }

    // {class name: category id or null}, or null while nobody knows
    get content() {
      return this.known && Object.fromEntries(this.chosen);
    }

    draw() {
      const { known } = this;
      const classes = known?.classes ?? [];
      const first = classes.filter(({ name }) => this.chosen.get(name) === null);
      const sorted = [...first, ...classes.filter((one) => !first.includes(one))];
      this.rows.replaceChildren(...sorted.map((one) => this.row(one)));
      this.count();
    }

    row({ name }) {
      const select = element("select", { "aria-label": `${name} becomes`, "data-testid": "mapping-to", "data-class": name });
      const becomes = element("div", { class: "cs-becomes" }, element("span", { class: "cs-unmapped" }, "▲ no class here"), select);
      const row = element("tr", { "data-testid": "mapping-row" }, element("th", { scope: "row" }, name), element("td", {}, becomes));
      const show = (every) => this.fill(select, row, name, every);
      show(false);
      for (const event of ["focus", "pointerdown"]) select.addEventListener(event, () => select.childElementCount < 3 && show(true)); // a hundred classes have ten thousand options
      select.addEventListener("change", () => this.take(name, select, () => show(true)));
      return row;
    }

    fill(select, row, name, every) {
      const chosen = this.chosen.get(name);
      row.toggleAttribute("data-unmapped", chosen === null);
      const { categories } = this.known;
      const listed = every ? categories : categories.filter(({ id }) => id === chosen);
      const options = [["", "leave out"], ...listed.map(({ id, name: word }) => [String(id), word])];
      if (every && !categories.some((one) => one.name === name)) options.push(["new", `add “${name}” as a new class`]);
      select.replaceChildren(...options.map(([value, word]) => element("option", { value }, word)));
      select.value = chosen === null ? "" : String(chosen);
    }

    async take(name, select, show) {
      if (select.value === "new") return void (await this.add([name]));
      this.choose(name, select.value === "" ? null : Number(select.value));
      show();
      return this.count();
    }

    choose(name, id) {
      this.chosen.set(name, id);
      this.kept.set(this.name, new Map(this.chosen));
    }

    // new classes of the project, by these names
    async add(names) {
      forms.say(this.complaint, "");
      const there = new Set(this.known.categories.map(({ name }) => name));
      const fresh = names.filter((name) => !there.has(name)).map((name) => ({ id: null, name, supercategory: "" }));
      try {
        const url = api.address("/api/labels/images", { project: this.project, offset: 0, limit: 1 });
        const { categories } = await api.get(url, "The classes");
        const answer = await api.post("/api/labels/categories", { project: this.project, categories: [...categories, ...fresh] }, "The new class");
        this.known.categories = answer.categories;
        for (const name of names) this.choose(name, answer.categories.find((one) => one.name === name)?.id ?? null);
        await this.labelling.reload();
      } catch (error) {
        forms.say(this.complaint, api.sentence(error));
      }
      this.draw();
    }

    count() {
      const { unmapped, known } = this;
      const without = unmapped.length;
      const all = known?.classes.length ?? 0;
      this.counted.textContent = known ? sentence(without, all) : "";
      this.counted.toggleAttribute("data-unmapped", without > 0);
      this.all.hidden = without < 2;
      this.all.textContent = `Add all ${without} as new classes`;
      this.table.hidden = all === 0;
      this.onchange();
    }
  }

  function sentence(without, all) {
    if (without === 1 && all === 1) return "The one class of the checkpoint has none here: what is found of it is left out.";
    if (without > 0) {
      const [have, them] = without === 1 ? ["has", "it"] : ["have", "them"];
      return `${without} of ${forms.count(all, "class", "classes")} of the checkpoint ${have} none here: what is found of ${them} is left out.`;
    }
    return all === 1 ? "The one class of the checkpoint has one here." : `All ${dom.grouped(all)} classes of the checkpoint have one here.`;
  }

  parts.Mapping = Mapping;
})();
