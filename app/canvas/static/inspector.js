// The picked instance in numbers and small pictures: where its score comes from, how well it fits, its levels.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { dom, judge } = parts;

  const FULL = 1.3; // the ranking score's usual end: class score 1 + 0.3 x mask IoU 1

  class Inspector {
    constructor(find, store, { onzoom, autopsy, film }) {
      Object.assign(this, { store, onzoom, autopsy, film });
      this.box = find("inspector");
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
      const title = one.truth ? `${one.name} (truth${one.crowd ? ", crowd" : ""})` : one.name;
      const notes = [];
      if (!store.isShown(one)) notes.push("The filters hide it at the moment.");
      if (one.damaged) notes.push("Its mask could not be read.");
      this.box.replaceChildren(
        dom.element("header", {}, dom.chip(one, store), dom.element("h2", { "data-testid": "picked-name", title }, title), zoom),
        ...this.verdict(one),
        ...(one.truth ? [] : [scoreBars(one), ...this.fitBars(one)]),
        dom.element("dl", { "data-testid": "picked-facts" }, ...this.facts(one)),
        ...notes.map((note) => dom.element("p", { class: "cs-quiet" }, note)),
        ...(one.truth ? this.autopsy.part(one) : this.making(one)),
      );
    }

    // the way to the film
    making(one) {
      if (!one.proposal) return [];
      const play = dom.element("button", { type: "button", "data-testid": "film-open", title: "From its proposal to its mask ( R, or Shift + R )" }, "Play its film");
      play.addEventListener("click", () => {
        this.film.close();
        this.film.toggle();
      });
      return [dom.element("div", { class: "cs-making", "data-testid": "trace" }, dom.element("h3", {}, "How it was made"), play)];
    }

    verdict(one) {
      const judged = this.store.verdictOf(one);
      if (!judged) return [];
      const { ERRORS, MEANINGS } = parts.verdicts;
      const words = [];
      if (judged.error) words.push(ERRORS[judged.error]);
      if (judged.verdict === null) words.push("below the score, or of a class that the truth does not have");
      if (judged.verdict === "fn" && !judged.error) words.push("missed");
      if (judged.with) words.push(`IoU ${dom.decimals(judged.iou)} with `);
      const made = dom.element("p", { class: "cs-verdict", "data-testid": "picked-verdict", title: MEANINGS[judged.error] ?? "" }, dom.badge(judged.verdict), ` ${words.join(", ")}`);
      if (judged.with) made.append(this.link(judged.with));
      return [made];
    }

    // another instance of this image, by its id
    link(id) {
      const other = this.store.document.byId.get(id);
      const made = dom.element("button", { type: "button", class: "cs-text cs-link", "data-testid": "picked-partner", title: "Pick it" }, other?.truth ? "its truth object" : "the instance");
      made.addEventListener("click", () => this.store.set({ selected: id }));
      return made;
    }

    fitBars(one) {
      const truth = judge.trueIou(this.store, one);
      if (truth === null) return [];
      return [
        bars("fit", [
          ["Predicted IoU", one.maskIou, 1, dom.decimals(one.maskIou), "how well the model thinks that its mask fits"],
          ["True IoU", truth, 1, dom.decimals(truth), "with the truth object that its mask overlaps most"],
        ]),
      ];
    }

    facts(one) {
      const rows = dom.facts(one, this.store).filter(([name]) => !SHOWN_ABOVE.has(name));
      const made = rows.flatMap(([name, value, meaning]) => [dom.element("dt", { title: meaning }, name), dom.element("dd", { title: meaning }, value)]);
      const { width, height } = this.store.document.image;
      return [...made, ...parts.levels.rows(one, [width, height], () => this.draw())];
    }
  }

  const SHOWN_ABOVE = new Set(["Class score", "Mask IoU", "Ranking score", "Verdict", "Matched IoU", "Pyramid level"]);

  // class score + weight x mask IoU = what ranks
  function scoreBars(one) {
    const part = Math.max(0, one.score - one.classScore);
    const full = part > 0.005 ? FULL : 1; // of a checkpoint that ranks by class score alone
    const weight = one.maskIou > 0.01 ? (part / one.maskIou).toFixed(1) : "0.3";
    const made = bars("score", [
      ["Class score", one.classScore, full, dom.decimals(one.classScore), "0 to 1; the slider compares this one"],
      [`${weight} × mask IoU`, part, full, dom.decimals(part), "the model's own guess of how well its mask fits, weighted"],
    ].slice(0, full === 1 ? 1 : 2));
    made.append(dom.element("span", { class: "cs-bar-name", title: full === 1 ? "the class score: this checkpoint ranks by it alone" : "class score + weighted mask IoU: the order of the list" }, "Ranking score"), dom.element("span"), dom.element("strong", { class: "cs-number", "data-testid": "picked-score" }, dom.decimals(one.score)));
    made.style.setProperty("--from", `${(100 * one.classScore) / FULL}%`);
    return made;
  }

  function bars(kind, rows) {
    const made = dom.element("div", { class: `cs-bars cs-bars-${kind}`, "data-testid": `bars-${kind}` });
    for (const [name, value, full, text, meaning] of rows) {
      const bar = dom.element("span", { class: "cs-bar" }, dom.element("i"));
      bar.style.setProperty("--share", `${Math.min(100, (100 * Math.max(0, value ?? 0)) / full)}%`);
      made.append(dom.element("span", { class: "cs-bar-name", title: meaning }, name), bar, dom.element("span", { class: "cs-number" }, text));
    }
    return made;
  }

  parts.Inspector = Inspector;
})();
