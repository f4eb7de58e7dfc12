// Switches for branches, attentions and the refinement, and what becomes of the instances without them.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { dom, api } = parts;

  const LEVELS = [2, 3, 4, 5];
  const REACHES = [
    ["fusion", "At the fusion", "The branch is left out where branches are fused; deeper ones still feed the others"],
    ["cascade", "In the cascade too", "The branches that it feeds see zeros in its place as well"],
  ];
  const VOTES = [
    ["sigmoid", "By mask", "Each of the 49 votes counts as much as the mask at its cell: the model as published"],
    ["gated", "By sure cells", "Votes of cells whose mask is below 0.5 do not count: as in training"],
    ["plain", "All alike", "All 49 votes count the same: without collaborative learning"],
  ];
  const LOOKS = {
    gained: { colour: [86, 180, 233], line: "solid", sign: "+", word: "gained", meaning: "Only there with parts switched off" },
    lost: { colour: [213, 94, 0], line: "dashed", sign: "−", word: "lost", meaning: "No longer there: drawn where it was, as a ghost" },
    moved: { colour: [240, 228, 66], line: "solid", sign: "↔", word: "moved", meaning: "There in both, with masks or boxes that overlap by less than 0.95; where it was is dotted" },
    kept: { colour: [160, 160, 166], line: "solid", sign: "=", word: "kept", meaning: "There in both, where it was" },
  };
  const ALL_ON = { branches_off: [], reach: "fusion", attention_off: [], second_pass: null, votes: null };
  const MEASURES = ["AP", "AP50", "AP75", "APs", "APm", "APl"];

  class Ablation {
    constructor(page) {
      this.page = page;
      this.head = null;
      this.set = null; // of the whole dataset
      this.inquiry = new parts.packet.Inquiry({
        ondone: (head) => this.showSet(head),
        onprogress: (told) => this.showSetProgress(told),
        onfail: (text) => this.sayOfSet(text),
      });
    }

    // an address may say anything: the server refuses what is none, and the switches stand as if all were on
    get switches() {
      try {
        const said = { ...ALL_ON, ...JSON.parse(this.page.place.cut || "{}") };
        const listed = Array.isArray(said.attention_off) && Array.isArray(said.branches_off) && said.branches_off.every(Array.isArray);
        return listed ? said : ALL_ON;
      } catch {
        return ALL_ON;
      }
    }

    // only what is not as it was goes into the address
    put(patch) {
      const next = { ...this.switches, ...patch };
      const told = Object.fromEntries(Object.entries(next).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(ALL_ON[name])));
      this.page.place.set({ cut: Object.keys(told).length ? JSON.stringify(told) : "" });
    }

    address(key, checkpoint) {
      return api.address(`/api/ablation/${encodeURIComponent(key)}`, { checkpoint, score: this.page.store.threshold, switches: this.page.place.cut });
    }

    onstore(changed) {
      if (changed.has("threshold")) this.page.askLater();
    }

    drawnBy() {
      return [this.page.place.cut, this.head?.model.branches.length ?? 0];
    }

    controls() {
      const { switches } = this;
      const off = switches.branches_off.length + switches.attention_off.length;
      const reset = dom.element("button", { type: "button", "data-testid": "all-on", title: "Everything as the checkpoint has it" }, "All on");
      reset.disabled = !this.page.place.cut;
      reset.addEventListener("click", () => this.page.place.set({ cut: "" }));
      const plain = dom.element("button", { type: "button", "data-testid": "without-cl", title: "The paper's row w/o CL: votes count alike, and masks come from the unrefined box" }, "Without collaboration");
      plain.addEventListener("click", () => this.put({ votes: "plain", second_pass: false }));
      return [reset, plain, dom.element("span", { class: "cs-quiet" }, off === 0 ? "" : off === 1 ? "1 part off" : `${off} parts off`)];
    }

    take(head) {
      this.head = head;
      this.after = parts.document.open(head.document);
      this.page.find("matrix").replaceChildren(this.board(), this.results());
      this.showGhosts();
      return null;
    }

    // what is drawn in place of the instances: those with the switches, and ghosts of those without
    showGhosts() {
      const { head, after, page } = this;
      const before = page.store.document;
      const made = [];
      const changed = new Map(head.changes.filter((one) => one.after !== null).map((one) => [one.after, one]));
      const passes = (one) => Math.fround(one.classScore) > Math.fround(page.store.threshold);
      for (const one of after.instances) {
        const kind = changed.get(one.id)?.kind ?? "kept";
        if (kind !== "kept" || passes(one)) made.push({ mask: one.mask, ...LOOKS[kind], truth: false });
      }
      for (const one of head.changes) {
        const was = one.before && before?.byId.get(one.before);
        if (was) made.push({ mask: was.mask, colour: LOOKS[one.kind].colour, line: one.kind === "lost" ? "dashed" : "dotted", truth: false });
      }
      page.studio.viewer.stand = made;
      page.studio.viewer.redraw("masks");
    }

    oncleared() {
      this.page.studio.viewer.stand = null;
      this.page.studio.viewer.redraw("masks");
    }

    leave() {
      this.oncleared();
      this.inquiry.stop();
    }

    // a switch for each branch of each level, and one for all levels
    board() {
      const { switches, head } = this;
      const isOff = (level, branch) => switches.branches_off.some(([at, number]) => at === level && number === branch);
      const names = head.model.branches;
      const table = dom.element("table", { class: "cs-board", "data-testid": "board" });
      table.append(dom.element("thead", {}, dom.element("tr", {}, dom.element("th", {}), ...names.map((name) => dom.element("th", { scope: "col", title: parts.maps.meaningOf(name) }, name)), dom.element("th", { scope: "col", title: "The channel gate and what follows it; without it, a level ends with the fused map, negative values set to zero" }, "attention"))));
      const body = dom.element("tbody");
      for (const level of [...LEVELS, null]) {
        const levels = level === null ? LEVELS : [level];
        const row = dom.element("tr", {}, dom.element("th", { scope: "row" }, level === null ? "all" : `P${level}`));
        names.forEach((name, branch) => {
          const on = levels.some((at) => !isOff(at, branch));
          row.append(this.toggle(`${level === null ? "all" : `P${level}`}-${name}`, `${level === null ? "All levels" : `P${level}`}, branch ${name}`, on, () => this.toggleBranch(levels, branch, on)));
        });
        const on = levels.some((at) => !switches.attention_off.includes(at));
        row.append(this.toggle(`${level === null ? "all" : `P${level}`}-attention`, `${level === null ? "All levels" : `P${level}`}, attention`, on, () => this.toggleAttention(levels, on)));
        body.append(row);
      }
      table.append(body);
      return dom.element("div", { class: "cs-switchboard", role: "presentation" }, table, this.steps());
    }

    toggle(id, label, on, act) {
      const button = dom.element("button", { type: "button", role: "switch", class: "cs-toggle", "data-testid": `switch-${id}`, "aria-checked": String(on), "aria-label": label, title: `${label}: ${on ? "on" : "off"}` });
      button.addEventListener("click", act);
      return dom.element("td", {}, button);
    }

    toggleBranch(levels, branch, on) {
      const others = this.switches.branches_off.filter(([at, number]) => number !== branch || !levels.includes(at));
      const added = on ? levels.map((level) => [level, branch]) : [];
      this.put({ branches_off: [...others, ...added].sort((a, b) => a[0] - b[0] || a[1] - b[1]) });
    }

    toggleAttention(levels, on) {
      const others = this.switches.attention_off.filter((level) => !levels.includes(level));
      this.put({ attention_off: [...others, ...(on ? levels : [])].sort() });
    }

    steps() {
      const { switches, head } = this;
      const own = head.model;
      const choice = (field, choices, value) => {
        const made = dom.element("div", { class: "cs-segments", role: "group", "aria-label": field });
        for (const [name, title, meaning] of choices) {
          const button = dom.element("button", { type: "button", "data-testid": `${field}-${name}`, title: meaning, "aria-pressed": String(value === name) }, title);
          button.addEventListener("click", () => this.put({ [field]: name === own[field] ? null : name }));
          made.append(button);
        }
        return made;
      };
      const second = switches.second_pass ?? own.second_pass;
      const pass = dom.element("button", { type: "button", role: "switch", class: "cs-toggle", "data-testid": "switch-second-pass", "aria-checked": String(second), "aria-label": "Second pass", title: "Masks are drawn anew in the refined box; without it they stay those of the proposal" });
      pass.addEventListener("click", () => this.put({ second_pass: !second === own.second_pass ? null : !second }));
      const reach = choice("reach", REACHES, switches.reach);
      return dom.element(
        "dl", { class: "cs-steps-off" },
        dom.element("dt", {}, "A branch is off"), dom.element("dd", {}, reach),
        dom.element("dt", {}, "Votes for the box count"), dom.element("dd", {}, choice("votes", VOTES, switches.votes ?? own.votes)),
        dom.element("dt", {}, "Second pass"), dom.element("dd", {}, pass, dom.element("span", { class: "cs-quiet" }, second ? " masks drawn anew in the refined box" : " masks stay those of the proposal")),
      );
    }

    results() {
      const { head } = this;
      const counts = ["gained", "lost", "moved", "kept"].map((kind) => {
        const look = LOOKS[kind];
        return dom.element("span", { class: "cs-legend", title: look.meaning, "data-testid": `ablation-${kind}` }, sign(look), line(look), dom.element("span", { class: "cs-number" }, dom.grouped(head.counts[kind])), ` ${look.word}`);
      });
      const nothing = head.counts.gained + head.counts.lost + head.counts.moved === 0;
      const rows = head.changes.slice(0, 300).map((one) => this.row(one));
      const kept = this.page.place.cut ? "The network need not run again for this: votes and masks of the stored run are combined anew." : "Nothing is off: byte for byte the stored run.";
      const redone = head.redone.length ? `Computed again: ${head.redone.join(", ")}.` : kept;
      this.setPlace = dom.element("div", { class: "cs-set-change", "data-testid": "set-change" });
      this.fillSet();
      return dom.element("div", { class: "cs-ablated" }, dom.element("div", { class: "cs-legends" }, ...counts), dom.element("p", { class: "cs-quiet", "data-testid": "redone" }, redone), dom.element("div", { class: "cs-changes", "data-testid": "changes" }, ...(nothing ? [dom.element("p", { class: "cs-quiet" }, "No instance above the score changes.")] : rows)), this.setPlace);
    }

    row(one) {
      const look = LOOKS[one.kind];
      const words = { gained: "", lost: "", moved: `IoU ${dom.decimals(one.mask_iou)}, box ${one.travel.toFixed(1)} px` }[one.kind];
      const score = `${one.class_score >= 0 ? "+" : "−"}${Math.abs(one.class_score).toFixed(2)}`;
      const made = dom.element("button", { type: "button", class: "cs-change", "data-testid": "change-row", title: "Zoom to it" }, sign(look), dom.element("span", {}, look.word), dom.element("span", { class: "cs-number" }, one.before ?? "new"), dom.element("span", { class: "cs-quiet cs-number" }, words), dom.element("span", { class: "cs-number", title: "change of the class score" }, score));
      made.addEventListener("click", () => this.zoomTo(one));
      return made;
    }

    zoomTo(one) {
      const { studio, store } = this.page;
      const target = (one.before && store.document.byId.get(one.before)) || this.after.byId.get(one.after);
      if (one.before) store.set({ selected: one.before });
      if (target) studio.zoomTo(target);
    }

    // -- the whole dataset --

    fillSet() {
      const { page } = this;
      const info = page.studio.browse.inDataset ? page.studio.browse.info : null;
      if (!info?.truth) return this.sayOfSet("");
      if (!page.place.cut) return this.sayOfSet("Switch something off to measure its AP over the dataset.");
      const known = this.set && this.set.cut === page.place.cut && this.set.checkpoint === page.checkpoint && this.set.dataset === info.id ? this.set.head : null;
      if (known) return this.setPlace.replaceChildren(table(known));
      const most = Math.min(info.images, 30);
      const button = dom.element("button", { type: "button", "data-testid": "measure-set", title: "Runs the images with and without the switches; you can stop it" }, `Change of AP over ${most === info.images ? `all ${most}` : `the first ${most}`} images`);
      button.addEventListener("click", () => {
        this.asked = { cut: page.place.cut, checkpoint: page.checkpoint, dataset: info.id };
        this.inquiry.ask(api.address(`/api/ablation-set/${encodeURIComponent(info.id)}`, { checkpoint: page.checkpoint, switches: page.place.cut, images: most }), "The change of AP");
      });
      return this.setPlace.replaceChildren(button);
    }

    showSet(head) {
      this.set = { ...this.asked, head };
      this.fillSet();
    }

    showSetProgress(told) {
      if (!told || !this.setPlace) return;
      const bar = dom.element("progress", { max: "1" });
      if (told.total > 0) bar.value = told.done / told.total;
      const stop = dom.element("button", { type: "button", "data-testid": "stop-set" }, "Stop");
      stop.addEventListener("click", () => {
        this.inquiry.stop();
        this.fillSet();
      });
      this.setPlace.replaceChildren(dom.element("span", { class: "cs-number" }, told.total > 0 ? `Image ${told.done} of ${told.total}` : "Running"), bar, stop);
    }

    sayOfSet(text) {
      this.setPlace?.replaceChildren(dom.element("span", { class: "cs-quiet" }, text));
    }

    get state() {
      return { switches: this.switches, counts: this.head?.counts ?? null, redone: this.head?.redone ?? null, set: this.set?.head ?? null };
    }
  }

  function sign(look) {
    const made = dom.element("i", { class: "cs-sign", "aria-hidden": "true" }, look.sign);
    made.style.color = `rgb(${look.colour.join(" ")})`;
    return made;
  }

  // a piece of the line that the picture draws
  function line(look) {
    const made = dom.element("i", { class: look.line === "dashed" ? "cs-line-sample cs-dashed" : "cs-line-sample", "aria-hidden": "true" });
    made.style.borderColor = `rgb(${look.colour.join(" ")})`;
    return made;
  }

  function table(head) {
    const cell = (value, signed) => dom.element("td", { class: "cs-number" }, value < -0.99 ? "–" : `${signed && value >= 0 ? "+" : ""}${value.toFixed(3)}`.replace("-", "−"));
    const measured = MEASURES.filter((name) => head.before[name] >= 0);
    const line = (title, values, signed) => dom.element("tr", {}, dom.element("th", { scope: "row" }, title), ...measured.map((name) => cell(values(name), signed)));
    return dom.element(
      "table", { "data-testid": "set-table" },
      dom.element("caption", { class: "cs-quiet" }, `Masks over ${head.images} images, of every score, up to 1 000 an image: ${head.counts.gained} gained, ${head.counts.lost} lost, ${head.counts.moved} moved`),
      dom.element("thead", {}, dom.element("tr", {}, dom.element("th", {}), ...measured.map((name) => dom.element("th", { scope: "col" }, name)))),
      dom.element("tbody", {}, line("as it is", (name) => head.before[name]), line("with the switches", (name) => head.after[name]), line("change", (name) => head.after[name] - head.before[name], true)),
    );
  }

  (parts.inspections ??= {}).ablation = Ablation;
})();
