// What a map's colours mean: the bar with its ends, or the branches' colours. Beside the picture where there
// is room, and in short above the small maps where there is not.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { dom, colours } = parts;

  class Scale {
    constructor(find) {
      this.find = find;
    }

    hide() {
      for (const name of ["scale", "branch-legend", "mini"]) this.find(name).hidden = true;
    }

    // panel: {kind, how: {limits}}; `unit` says what the numbers are, `branches` are names in the colours' order
    show(title, panel, { unit, branches }) {
      const { find } = this;
      const barred = Boolean(panel.how) && ["plain", "root", "signed"].includes(panel.kind);
      find("scale").hidden = !barred;
      find("branch-legend").hidden = panel.kind !== "branches";
      find("mini").hidden = false;
      find("mini-title").textContent = title;
      find("mini-scale").hidden = !barred;
      find("mini-legend").hidden = panel.kind !== "branches";
      if (barred) this.bar(panel, unit);
      if (panel.kind === "branches") for (const name of ["branch-legend", "mini-legend"]) find(name).replaceChildren(...branches.map(chip));
    }

    bar({ kind, how }, unit) {
      const { find } = this;
      const [low, high] = how.limits;
      for (const name of ["scale-bar", "mini-bar"]) colours.ramp(find(name), kind);
      for (const name of ["scale-low", "mini-low"]) find(name).textContent = colours.number(low);
      for (const name of ["scale-high", "mini-high"]) find(name).textContent = colours.number(high);
      find("scale-middle").textContent = colours.number(kind === "root" ? low + (high - low) / 4 : (low + high) / 2);
      find("scale-unit").textContent = unit;
    }

    // the value under the pointer
    point(text) {
      this.find("mini-value").textContent = text;
    }
  }

  function chip(name, at) {
    const made = dom.element("span", { class: "cs-branch" });
    made.style.background = colours.BRANCHES[at];
    return dom.element("span", {}, made, name);
  }

  parts.Scale = Scale;
})();
