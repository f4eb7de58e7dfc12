// How a proposal became this mask, drawn on the picture step by step.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { dom, api, rle, verdicts } = parts;

  const STEPS = [
    ["proposal", "Proposal", "The box that the proposal network gave"],
    ["first", "First mask", "The mask of the first pass, inside the proposal"],
    ["votes", "49 votes", "Each cell of a 7 × 7 grid says where the box should be; the surer the cell, the stronger its line"],
    ["box", "Refined box", "The mean of the votes, weighted by the first mask"],
    ["mask", "Final mask", "The mask of the second pass, inside the refined box"],
  ];

  class Trace {
    // ask(one): the address of an instance's trace, or null
    constructor(store, { ask, onchange, onredraw }) {
      Object.assign(this, { store, ask, onchange, onredraw });
      this.latest = new api.Latest(0);
      this.step = null; // the name of the step that is drawn, null while none is
      this.url = null;
      this.answer = null;
      this.text = "";
    }

    part(one) {
      const url = one.proposal || one.levels ? this.ask(one) : null;
      if (url !== this.url) this.forget(url);
      if (url === null) return [];
      const buttons = STEPS.map(([name, word, meaning]) => {
        const made = dom.element("button", { type: "button", title: `${meaning} ( R )`, "data-testid": `trace-${name}`, "aria-pressed": String(this.step === name) }, word);
        made.addEventListener("click", () => this.choose(this.step === name ? null : name));
        return made;
      });
      const meaning = STEPS.find(([name]) => name === this.step)?.[2];
      const note = this.text || meaning || "";
      const made = dom.element("div", { class: "cs-trace", "data-testid": "trace" }, dom.element("h3", {}, "How it was made"), dom.element("div", { class: "cs-steps", role: "group", "aria-label": "How it was made" }, ...buttons));
      if (note) made.append(dom.element("p", { class: "cs-quiet", "data-testid": "trace-note" }, note));
      return [made];
    }

    forget(url) {
      this.url = url;
      this.answer = null;
      this.text = "";
      this.latest.drop();
      if (url !== null && this.step !== null) this.fetch();
    }

    choose(step) {
      this.step = step;
      if (step !== null && !this.answer && !this.latest.busy) this.fetch();
      this.onchange();
      this.onredraw();
    }

    // the next step, and after the last none
    next() {
      if (this.url === null) return;
      const at = STEPS.findIndex(([name]) => name === this.step);
      this.choose(STEPS[at + 1]?.[0] ?? null);
    }

    fetch() {
      this.latest.ask(this.url, "How it was made", {
        done: (answer) => {
          this.answer = { ...answer, masks: {} };
          this.onchange();
          this.onredraw();
        },
        failed: (text) => {
          this.text = text;
          this.onchange();
        },
        now: true,
      });
    }

    draw(context, view) {
      const { answer, store, step } = this;
      const one = store.picked;
      if (!answer || step === null || !one || one.truth) return;
      const { css } = verdicts.lookOf(one, store);
      if (step === "first" || step === "mask") this.fill(context, view, step === "first" ? "first_mask" : "mask", css);
      if (step === "votes") this.drawVotes(context, view);
      if (["proposal", "first", "votes", "box"].includes(step)) box(context, view, answer.proposal, [8, 5]);
      if (["votes", "box", "mask"].includes(step)) box(context, view, answer.box, []);
    }

    drawVotes(context, view) {
      const { votes, weights } = this.answer;
      const most = Math.max(1e-9, ...weights);
      votes.forEach((corners, cell) => {
        const share = weights[cell] / most;
        context.lineWidth = 0.5 + 1.5 * share;
        context.strokeStyle = `rgb(240 228 66 / ${(0.06 + 0.5 * share).toFixed(3)})`;
        edge(context, view, corners);
      });
    }

    fill(context, view, name, css) {
      const { answer } = this;
      if (!answer[name]) return;
      const mask = (answer.masks[name] ??= rle.decode(answer[name]));
      const { first, count, starts, edges } = mask.rows;
      context.save();
      context.fillStyle = css;
      context.globalAlpha = 0.75;
      for (let line = 0; line < count; line++) {
        for (let at = starts[line]; at < starts[line + 1]; at += 2) {
          const [left, top] = view.toScreen(edges[at], first + line);
          const [right, bottom] = view.toScreen(edges[at + 1], first + line + 1);
          context.fillRect(left, top, right - left, bottom - top);
        }
      }
      context.restore();
    }
  }

  function edge(context, view, corners) {
    const [left, top] = view.toScreen(corners[0], corners[1]);
    const [right, bottom] = view.toScreen(corners[2], corners[3]);
    context.strokeRect(left, top, right - left, bottom - top);
  }

  function box(context, view, corners, dash) {
    if (!corners) return;
    for (const [width, colour] of [[4, "rgb(0 0 0 / 0.6)"], [2, "#fff"]]) {
      context.setLineDash(dash);
      context.lineWidth = width;
      context.strokeStyle = colour;
      edge(context, view, corners);
    }
    context.setLineDash([]);
  }

  parts.Trace = Trace;
})();
