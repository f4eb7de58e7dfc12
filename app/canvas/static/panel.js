// The left rail: what is shown and how. Every control writes to the store and follows it back.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { dom, state } = parts;

  const MANY = 12; // classes from which on a search box helps

  class Panel {
    constructor(find, store) {
      this.find = find;
      this.store = store;
      this.histogram = new parts.Histogram(find("histogram"), store);
      this.wireScore();
      this.wireClasses();
      this.wireDisplay();
      store.listen((changed) => this.follow(changed));
      this.follow(new Set(["document", "threshold", "opacity", "switches", "layers", "off", "shown"]));
    }

    wireScore() {
      const { find, store } = this;
      find("threshold").addEventListener("input", (event) => store.setThreshold(Number(event.target.value)));
      find("threshold-reset").addEventListener("click", () => store.setThreshold(store.defaults.threshold));
    }

    wireDisplay() {
      const { find, store } = this;
      find("opacity").addEventListener("input", (event) => store.setOpacity(Number(event.target.value) / 100));
      for (const name of state.SWITCHES) {
        find(`switch-${name}`).addEventListener("change", (event) => store.toggle(name, event.target.checked));
      }
      for (const name of ["prediction", "truth"]) {
        find(`layer-${name}`).addEventListener("change", (event) => store.toggleLayer(name, event.target.checked));
      }
    }

    wireClasses() {
      const { find, store } = this;
      find("classes-all").addEventListener("click", () => store.setClasses([]));
      find("classes-none").addEventListener("click", () => store.setClasses(this.classes().map(([name]) => name)));
      find("classes-search").addEventListener("input", () => this.search());
      find("classes").addEventListener("change", (event) => {
        const off = new Set(store.off);
        if (event.target.checked) off.delete(event.target.value);
        else off.add(event.target.value);
        store.setClasses(off);
      });
      find("classes").addEventListener("click", (event) => {
        const only = event.target.closest("[data-only]")?.dataset.only;
        if (only === undefined) return;
        event.preventDefault();
        store.setClasses(this.classes().map(([name]) => name).filter((name) => name !== only));
      });
    }

    follow(changed) {
      if (changed.has("document")) this.fillClasses();
      if (changed.has("document")) this.fillLayers();
      if (changed.has("threshold")) this.showThreshold();
      if (changed.has("opacity")) this.showOpacity();
      if (changed.has("switches")) this.showSwitches();
      if (changed.has("layers")) this.showLayers();
      if (changed.has("off") || changed.has("document")) this.showClasses();
      if (changed.has("shown")) this.showCounts();
    }

    // [name, how many] of the open image, the most frequent first
    classes() {
      const counts = new Map();
      for (const { name } of this.store.document?.instances ?? []) counts.set(name, (counts.get(name) ?? 0) + 1);
      return [...counts].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0]));
    }

    fillClasses() {
      const classes = this.classes();
      this.find("classes").replaceChildren(...classes.map(([name, count]) => classRow(name, count)));
      this.find("classes-section").hidden = classes.length === 0;
      const search = this.find("classes-search");
      search.hidden = classes.length < MANY;
      search.value = "";
    }

    search() {
      const wanted = this.find("classes-search").value.trim().toLowerCase();
      for (const row of this.find("classes").children) {
        row.hidden = !row.dataset.name.toLowerCase().includes(wanted);
      }
    }

    fillLayers() {
      const counts = { prediction: 0, truth: 0 };
      for (const { layer } of this.store.document?.instances ?? []) counts[layer] = (counts[layer] ?? 0) + 1;
      const present = new Set(this.store.document?.layers ?? []);
      for (const name of ["prediction", "truth"]) {
        this.find(`layer-${name}-count`).textContent = present.has(name) ? String(counts[name]) : "none";
        this.find(`layer-${name}`).disabled = !present.has(name);
      }
      this.find("layers-section").hidden = !this.store.document;
    }

    showThreshold() {
      const { threshold, defaults } = this.store;
      const slider = this.find("threshold");
      if (Number(slider.value) !== threshold) slider.value = threshold;
      slider.setAttribute("aria-valuetext", `above ${threshold.toFixed(2)}`);
      this.find("threshold-value").textContent = threshold.toFixed(2);
      this.find("threshold-reset").disabled = threshold === defaults.threshold;
    }

    showOpacity() {
      const slider = this.find("opacity");
      const percent = Math.round(this.store.opacity * 100);
      if (Number(slider.value) !== percent) slider.value = percent;
      this.find("opacity-value").textContent = dom.percent(this.store.opacity);
    }

    showSwitches() {
      for (const name of state.SWITCHES) this.find(`switch-${name}`).checked = this.store.switches[name];
    }

    showLayers() {
      for (const name of ["prediction", "truth"]) this.find(`layer-${name}`).checked = this.store.layers[name];
    }

    showClasses() {
      for (const input of this.find("classes").querySelectorAll("input")) {
        input.checked = !this.store.off.has(input.value);
      }
    }

    showCounts() {
      const { document: opened, shown } = this.store;
      const text = opened ? `shown ${dom.grouped(shown.length)} of ${dom.grouped(opened.instances.length)}` : "Instances";
      this.find("shown-count").textContent = text;
    }
  }

  function classRow(name, count) {
    const input = dom.element("input", { type: "checkbox", "data-testid": "class" });
    input.value = name;
    const only = dom.element("button", { type: "button", class: "cs-text cs-only", "data-testid": "class-only" }, "only");
    only.dataset.only = name;
    only.title = `Show ${name} alone`;
    const row = dom.element(
      "label",
      { class: "cs-check" },
      input,
      dom.element("span", { class: "cs-name" }, name),
      only,
      dom.element("span", { class: "cs-quiet cs-number" }, String(count)),
    );
    row.dataset.name = name;
    row.title = name;
    return row;
  }

  parts.Panel = Panel;
})();
