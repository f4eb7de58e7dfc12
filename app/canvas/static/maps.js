// Activation and contribution: the questions, and what their answers mean.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { dom, api, colours } = parts;

  // two words below a column's name, and all of it
  const COLUMNS = {
    lateral: ["from backbone", "what the backbone found at this level, before coarser levels are added"],
    "1x": ["level itself", "the level itself, coarser levels added: what the module of branches (MSFEM) takes in, and its first branch"],
    bias: ["a constant", "what the fusing convolution adds everywhere, which no branch brought"],
    fused: ["all together", "all branches together, weighted and added by the fusing 1×1 convolution"],
    gated: ["after attention", "the fused map, each channel times the weight that the attention gives it"],
    output: ["handed on", "what the level hands on: objects are proposed, classified and masked from it"],
    winner: ["strongest one", "which branch adds most at each cell"],
  };
  const LEVELS = { 2: "finest", 5: "coarsest" };
  const REDUCTIONS = [
    ["norm", "Norm", "Length of each cell's numbers, all channels taken together."],
    ["mean", "Mean", "Mean over all channels."],
    ["max", "Maximum", "The largest channel at each cell."],
    ["pca", "PCA", "The three main components as red, green and blue: what looks alike to the model has one colour."],
    ["channel", "Channel", "One channel as it is."],
  ];
  const MEASURES = [
    ["share", "Share", "Length of the part along the fused map; below zero it works against the others."],
    ["strength", "Strength", "Length of the part, whatever its direction."],
  ];

  const meaningOf = (name) => COLUMNS[name]?.[1] ?? `the level made ${parseInt(name, 10)} times coarser, so that the branch sees a wider surrounding`;
  const column = (name, title = name) => ({ name, title, words: COLUMNS[name]?.[0] ?? "coarser", meaning: meaningOf(name) });
  const levelOf = (number) => ({ level: number, title: `P${number}`, words: LEVELS[number] ?? "" });

  class Maps {
    constructor(page) {
      this.page = page;
    }

    get contributes() {
      return this.page.place.question === "contribution";
    }

    // what the bar offers
    controls() {
      const { place } = this.page;
      if (this.contributes) return [this.page.segments("measure", MEASURES)];
      const made = [this.page.segments("how", REDUCTIONS)];
      if (place.how !== "channel") return made;
      const most = (this.channels ?? 1) - 1;
      const input = dom.element("input", { type: "number", class: "cs-field cs-jump", min: "0", max: String(most), step: "1", "data-testid": "channel", "aria-label": "Channel", title: `Channel, 0 to ${most}` });
      input.value = place.channel;
      input.addEventListener("change", () => place.set({ channel: Math.max(0, Math.min(most, Math.round(Number(input.value)) || 0)) }));
      return [...made, input];
    }

    // what the pictures show, where the question alone does not say it
    help() {
      const { map, measure, how } = this.page.place;
      if (!this.contributes) return how === "pca" ? "What looks alike to the model has one colour: each map's three main components as red, green and blue." : null;
      if (map === "winner") return "Every cell in the colour of the branch that adds most there.";
      return measure === "strength" ? "How much each branch adds to the fused map, with it or against it: bright is much." : null;
    }

    get unit() {
      const { how, measure } = this.page.place;
      const choices = this.contributes ? MEASURES : REDUCTIONS;
      return choices.find(([name]) => name === (this.contributes ? measure : how))?.[2] ?? "";
    }

    get query() {
      const { question, how, measure, channel } = this.page.place;
      const contributes = question === "contribution";
      return { what: question, how: contributes ? measure : how, channel: !contributes && how === "channel" ? channel : null };
    }

    address(key, checkpoint) {
      return api.address(`/api/maps/${encodeURIComponent(key)}`, { checkpoint, ...this.query });
    }

    take(head) {
      this.head = head;
      this.channels = head.levels[0].channels;
      const kind = head.how === "pca" ? "colours" : head.how === "share" ? "signed" : "plain";
      const rows = head.levels.map((one) => ({
        ...levelOf(one.level),
        meaning: `every ${one.stride} network pixels a cell, ${one.cells[1]} × ${one.cells[0]} cells`,
        stride: one.stride,
        panels: [
          ...one.panels.map(({ name, note, values }) => ({ name, note, map: values, kind, caption: this.contributes ? share(one, name) : "" })),
          ...(one.winner ? [{ name: "winner", note: "", map: one.winner, kind: "branches", caption: "" }] : []),
        ],
      }));
      const names = [...new Set(rows.flatMap(({ panels }) => panels.map(({ name }) => name)))];
      const columns = names.map((name) => column(name, name === "winner" ? "who wins" : name));
      return { rows, columns, scale: head.scale };
    }

    // where the picture of a panel can be had as a file
    files(level, name) {
      const { key, checkpoint } = this.page;
      if (name === "winner") return [];
      return ["npy", "csv"].map((kind) => [kind, api.address(`/api/maps/${encodeURIComponent(key)}/${encodeURIComponent(`P${level}-${name}.${kind}`)}`, { checkpoint, ...this.query })]);
    }

    // what the right rail says of the chosen map
    facts(level) {
      const one = this.head.levels.find((row) => row.level === level);
      if (!one) return [];
      return this.contributes ? shares(one) : [gate(one)];
    }
  }

  const share = (one, name) => (name in one.shares ? `${(100 * one.shares[name]).toFixed(0)} %`.replace("-", "−") : "");

  function shares(one) {
    const names = Object.keys(one.shares);
    const most = Math.max(...names.map((name) => Math.abs(one.shares[name])), 1e-9);
    const table = dom.element("table", { class: "cs-shares", "data-testid": "shares" }, dom.element("thead", {}, dom.element("tr", {}, ...[["", ""], ["Share of the level", "Of the whole fused map of this level; all shares add up to 100 %"], ["Wins", "Share of the cells where this branch adds most"]].map(([text, meaning]) => dom.element("th", { scope: "col", title: meaning }, text)))));
    const body = dom.element("tbody");
    for (const name of names) {
      const value = one.shares[name];
      const bar = dom.element("i", { class: value < 0 ? "cs-against" : "" });
      bar.style.width = `${(46 * Math.abs(value)) / most}px`;
      const chip = dom.element("span", { class: "cs-branch" });
      const at = one.branches.indexOf(name);
      chip.style.background = at < 0 ? "transparent" : colours.BRANCHES[at];
      const won = one.wins[name];
      body.append(dom.element("tr", { title: meaningOf(name) }, dom.element("th", { scope: "row" }, chip, name), dom.element("td", { class: "cs-number" }, bar, `${(100 * value).toFixed(1)} %`.replace("-", "−")), dom.element("td", { class: "cs-number" }, won === undefined ? "" : `${(100 * won).toFixed(0)} %`)));
    }
    table.append(body);
    const rest = dom.element("p", { class: "cs-quiet", "data-testid": "unexplained", title: "The largest difference between the sum of all parts and the fused map computed as a whole, against its largest value. Only rounding is left" }, `Unexplained: ${(100 * one.unexplained).toFixed(5)} %`);
    return [table, rest];
  }

  // the attention's weight for each channel, as bars
  function gate(one) {
    const { values } = one.gate;
    const canvas = dom.element("canvas", { class: "cs-gate", role: "img", "data-testid": "gate", "aria-label": `Weights of ${values.length} channels`, width: String(values.length), height: "30" });
    const context = canvas.getContext("2d");
    context.fillStyle = "#8a8a92";
    values.forEach((value, at) => context.fillRect(at, 30 - 30 * value, 1, 30 * value));
    const sorted = [...values].sort((a, b) => a - b);
    const note = `lowest ${sorted[0].toFixed(2)}, median ${sorted[sorted.length >> 1].toFixed(2)}, highest ${sorted.at(-1).toFixed(2)}`;
    return dom.element("div", { title: "What the attention multiplies each channel by, 0 to 1: it is the same everywhere in the image" }, dom.element("h3", {}, `Attention gate, ${values.length} channels`), canvas, dom.element("p", { class: "cs-quiet cs-number" }, note));
  }

  parts.maps = { Maps, meaningOf, column, levelOf };
})();
