// The three rates and three counts on top of the right rail: of this image, or of the whole set.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { dom, verdicts } = parts;

  class Figures {
    constructor(find) {
      this.find = find;
      for (const name of ["tp", "fp", "fn"]) find(`legend-${name}`).style.setProperty("--chip", verdicts.LOOKS[name].css);
    }

    // {tp, fp, fn, precision, recall, f1}, or null for none
    show(title, totals) {
      const { find } = this;
      find("numbers").hidden = !totals;
      find("numbers-title").textContent = title;
      find("rates").setAttribute("aria-label", title);
      if (!totals) return;
      for (const name of ["tp", "fp", "fn"]) find(`count-${name}`).textContent = dom.grouped(totals[name]);
      for (const name of ["precision", "recall", "f1"]) find(`image-${name}`).textContent = dom.decimals(totals[name] ?? null);
    }
  }

  parts.Figures = Figures;
})();
