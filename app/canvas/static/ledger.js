// What correcting the checkpoint's proposals cost, class by class, beside drawing by hand.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { dom, api, forms } = parts;
  const { element } = dom;

  const LEAST = 10; // instances; of fewer nobody can tell
  const COUNTS = ["accepted", "nudged", "redrawn", "rejected", "waiting"];
  const HEADS = [
    ["Checkpoint"],
    ["Class"],
    ["As it was", "Accepted without a change"],
    ["Nudged", "Corrected, and the mask kept at least 0.8 of IoU with the proposal"],
    ["Redrawn", "Corrected so much that less than 0.8 of IoU is left"],
    ["Deleted", "Rejected"],
    ["Waiting", "Nobody has looked at it yet"],
    ["Actions", "Strokes, clicks and keys for each instance that was kept"],
    ["Seconds", "Seconds of work for each instance that was kept"],
    ["Verdict", "Beside drawing by hand"],
  ];

  const NOTE = "Actions are strokes, clicks and keys; seconds leave idle time out. Both are spread over the instances that were kept, so what was deleted costs too.";

  const time = (seconds) => (seconds < 90 ? forms.count(seconds, "second") : `${dom.grouped(seconds / 60)} minutes`);
  const kept = (row) => row.accepted + row.nudged + row.redrawn;
  const seen = (row) => kept(row) + row.rejected;
  const made = (row) => (row.checkpoint === "" ? row.drawn : kept(row));
  const each = (row, name) => (made(row) > 0 ? row[name] / made(row) : null);

  // several rows as one
  function sum(rows) {
    const total = { ...rows[0] };
    for (const name of [...COUNTS, "drawn", "actions", "seconds"]) total[name] = rows.reduce((all, row) => all + row[name], 0);
    return total;
  }

  // {share, hand, model}: the share of actions that pre-labelling saves, null where there are too few
  function saving(row, hand) {
    if (!row || !hand || seen(row) < LEAST || hand.drawn < LEAST || hand.actions === 0) return null;
    const [model, byHand] = [each(row, "actions"), each(hand, "actions")];
    return { share: model === null ? -Infinity : 1 - model / byHand, model, hand: byHand };
  }

  function verdict(row, hand) {
    const found = saving(row, hand);
    if (!found) return "too few to tell";
    if (found.share === -Infinity) return "costs: nothing of it was kept";
    return found.share >= 0 ? `saves ${dom.percent(found.share)}` : `costs ${dom.percent(-found.share)} more`;
  }

  // the ledger's rows as sentences, the whole first
  function sentences(rows) {
    const model = rows.filter(({ checkpoint }) => checkpoint !== "");
    const hand = rows.filter(({ checkpoint }) => checkpoint === "");
    if (model.length === 0) return ["Nothing was pre-labelled yet, so there is nothing to compare."];
    const [all, drawn] = [sum(model), hand.length > 0 ? sum(hand) : null];
    const found = saving(all, drawn);
    if (!found) return [tooFew(seen(all), drawn?.drawn ?? 0)];
    const bad = model.filter((row) => (saving(row, baseline(row, hand))?.share ?? 0) < 0);
    return [whole(found), ...bad.map((row) => `Stop pre-labelling ${row.category}${model.some((one) => one !== row && one.category_id === row.category_id) ? ` with ${row.checkpoint_name}` : ""}: it costs you.`)];
  }

  function whole({ share, model, hand }) {
    if (model === null) return "Nothing that the model proposed was kept: pre-labelling costs you.";
    const costs = `Correcting costs ${model.toFixed(1)} actions per instance, drawing ${hand.toFixed(1)}`;
    return share >= 0 ? `${costs}: pre-labelling saves ${dom.percent(share)}.` : `${costs}: pre-labelling costs you ${dom.percent(-share)} more.`;
  }

  function tooFew(corrected, drawn) {
    return `Too few to tell: ${forms.count(corrected, "proposal")} looked at and ${forms.count(drawn, "instance")} drawn by hand, of each it takes ${LEAST}.`;
  }

  // drawing the same class by hand, or any where too few of it were
  function baseline(row, hand) {
    const same = hand.find((one) => one.category_id === row.category_id);
    if (same && same.drawn >= LEAST) return same;
    return hand.length > 0 ? sum(hand) : null;
  }

  class Ledger {
    constructor(labelling) {
      this.labelling = labelling;
      this.latest = new api.Latest(0);
    }

    open() {
      this.text = element("div", { role: "status", "data-testid": "ledger-text" }, element("p", { class: "cs-said" }, "Adding up"));
      this.body = element("tbody", {});
      const heads = HEADS.map(([word, meaning]) => element("th", { scope: "col", title: meaning ?? false }, word));
      this.table = element("table", { "data-testid": "ledger-table", hidden: true }, element("thead", {}, element("tr", {}, ...heads)), this.body);
      this.note = element("p", { class: "cs-quiet", "data-testid": "ledger-note", hidden: true });
      const scroll = element("div", { class: "cs-scroll", tabindex: "0", role: "region", "aria-label": "Effort by checkpoint and class" }, this.table);
      this.element = element("div", { class: "cs-form cs-wide cs-ledger", "data-testid": "ledger" }, this.text, scroll, this.note);
      forms.open(this.labelling, "Effort", this.element);
      const url = api.address("/api/labels/ledger", { project: this.labelling.project });
      this.latest.ask(url, "The ledger", { done: (answer) => this.show(answer), failed: (text) => this.fail(text), now: true });
    }

    fail(text) {
      this.text.replaceChildren(element("p", { class: "cs-complaint", "data-testid": "ledger-complaint" }, text));
    }

    show({ rows, actions = 0, seconds = 0 }) {
      const hand = rows.filter(({ checkpoint }) => checkpoint === "");
      this.text.replaceChildren(...sentences(rows).map((text) => element("p", { class: "cs-said" }, text)));
      this.table.hidden = this.note.hidden = rows.length === 0;
      this.note.textContent = `${NOTE}${actions > 0 ? ` In all: ${forms.count(actions, "action")} in ${time(seconds)}, looking included.` : ""}`;
      const sorted = [...rows].sort((a, b) => (a.checkpoint === "") - (b.checkpoint === "") || a.checkpoint_name.localeCompare(b.checkpoint_name) || made(b) - made(a));
      this.body.replaceChildren(...sorted.map((row) => this.row(row, hand)));
    }

    row(row, hand) {
      const byHand = row.checkpoint === "";
      const counts = byHand ? [element("td", { colspan: COUNTS.length, class: "cs-drawn" }, `${dom.grouped(row.drawn)} drawn`)] : COUNTS.map((name) => element("td", {}, dom.grouped(row[name])));
      const costs = ["actions", "seconds"].map((name) => element("td", {}, each(row, name) === null ? "–" : each(row, name).toFixed(1)));
      const said = byHand ? "" : verdict(row, baseline(row, hand));
      const heads = [byHand ? "By hand" : row.checkpoint_name, row.category].map((text) => element("th", { scope: "row" }, text));
      return element("tr", { "data-testid": "ledger-row", "data-by-hand": byHand }, ...heads, ...counts, ...costs, element("td", { "data-testid": "ledger-verdict" }, said));
    }
  }

  Object.assign(parts, { Ledger, ledger: { sentences, verdict, baseline } });
})();
