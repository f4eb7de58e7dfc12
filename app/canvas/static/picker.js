// The project's images in a list to choose from, and how much work of people is in them.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { dom, api, forms } = parts;
  const { element } = dom;

  const HUMAN = ["accepted", "edited", "new", "rejected"];
  const WORDS = { proposed: "proposed", accepted: "accepted", edited: "edited", new: "drawn", rejected: "rejected" };
  const PIECE = 500; // images of a question
  const MOST = 5000; // images that are looked at one by one

  const total = (counts, states) => states.reduce((sum, state) => sum + (counts?.[state] ?? 0), 0);
  const isHuman = (row) => total(row.counts, HUMAN) > 0;
  const isBare = (row) => total(row.counts, [...HUMAN, "proposed"]) === 0;

  class Picker {
    constructor(labelling, onchange) {
      this.labelling = labelling;
      this.element = forms.listBox("prelabel-images", "Images to choose: Space chooses, Shift and a click all between");
      this.picks = new forms.Picks(this.element, {
        what: "The list of images",
        high: 32,
        count: (about) => about.images,
        named: (row) => row.key,
        make: (row) => [element("span", { class: "cs-name" }, row.file_name), element("span", { class: "cs-quiet cs-number" }, statesText(row.counts))],
        onchoose: onchange,
      });
    }

    get address() {
      return api.address("/api/labels/images", { project: this.labelling.project });
    }

    open() {
      return this.picks.open(this.address, "There are no images.");
    }

    get rows() {
      return [...this.picks.chosen.values()];
    }

    get keys() {
      return [...this.picks.chosen.keys()];
    }
  }

  function statesText(counts) {
    const words = Object.keys(WORDS).filter((state) => counts?.[state] > 0).map((state) => `${dom.grouped(counts[state])} ${WORDS[state]}`);
    return words.join(", ") || "no labels";
  }

  // how many images there are, with work of people, and bare; `exact` tells whether all were looked at
  async function survey(labelling) {
    const ask = (offset) => api.get(api.address("/api/labels/images", { project: labelling.project, offset, limit: PIECE }), "The list of images");
    const { images, touched, rows } = await ask(0);
    if (images > MOST) return { images, human: touched, bare: null, exact: false };
    while (rows.length < images) {
      const more = await ask(rows.length);
      if (more.rows.length === 0) break;
      rows.push(...more.rows);
    }
    return { images, human: rows.filter(isHuman).length, bare: rows.filter(isBare).length, rows, exact: true };
  }

  parts.picker = { Picker, survey, isHuman, isBare, statesText };
})();
