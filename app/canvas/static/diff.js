// Two checkpoints over the same images: which objects one finds and the other does not, and what changed.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { dom, api } = parts;

  const PAUSE = 250;
  const KINDS = {
    gained: ["+", "gained", "objects that the first missed and the second found"],
    lost: ["−", "lost", "objects that the first found and the second missed"],
    changed: ["~", "changed", "objects that both found, with another score or overlap"],
    false_gained: ["+", "false gained", "instances of the second that are wrong, with none like them in the first"],
    false_lost: ["−", "false lost", "instances of the first that are wrong, with none like them in the second"],
  };

  class Diff {
    constructor(find, place, { onopen }) {
      Object.assign(this, { find, place });
      this.url = undefined; // nothing was asked for yet
      this.rows = new parts.Rows(find("diff-rows"), {
        what: "The comparison",
        high: 46,
        make: diffRow,
        onpick: onopen,
        onlist: (about) => this.showCounts(about),
      });
      find("diff-other").addEventListener("change", (event) => place.set({ other: event.target.value || null }));
    }

    // the checkpoints that can be chosen
    offer(names, first) {
      const others = names.filter((name) => name !== first);
      const options = [["", others.length ? "choose a checkpoint" : "no other checkpoint"], ...others.map((name) => [name, name])];
      this.find("diff-other").replaceChildren(...options.map(([value, text]) => dom.element("option", { value }, text)));
      this.find("diff-other").value = this.place.other ?? "";
      this.find("diff-first").textContent = first ?? "no checkpoint";
    }

    // {dataset, checkpoint, score, iou, kind}
    open(asked) {
      const { other } = this.place;
      const ready = asked && other && other !== asked.checkpoint;
      const { checkpoint, ...rest } = asked ?? {};
      const url = ready ? api.address("/api/compare", { ...rest, a: checkpoint, b: other, sort: "change", only: this.place.change }) : null;
      if (url === this.url) return;
      this.url = url;
      clearTimeout(this.timer);
      if (url === null) this.showCounts(null);
      const nothing = ready ? "No difference at this score and IoU." : "Choose a second checkpoint to see what it gains and loses.";
      this.timer = setTimeout(() => this.rows.open(url, nothing), url === null ? 0 : PAUSE);
    }

    showCounts(about) {
      const made = Object.entries(KINDS).map(([kind, [sign, word, meaning]]) => {
        const on = this.place.change === kind;
        const button = dom.element("button", { type: "button", "data-testid": `diff-${kind}`, "aria-pressed": String(on), title: `Only ${meaning}` }, `${sign} `, dom.element("strong", { class: "cs-number" }, dom.grouped(about?.[kind] ?? 0)), ` ${word}`);
        button.addEventListener("click", () => this.place.set({ change: on ? "" : kind }));
        return button;
      });
      this.find("diff-counts").replaceChildren(...(about ? made : []));
    }
  }

  function diffRow(row) {
    const [sign, word] = KINDS[row.kind] ?? ["", row.kind];
    const pair = (name, a, b) => `${name} ${dom.decimals(a ?? null)} → ${dom.decimals(b ?? null)}`;
    const overlap = row.truth === null ? "no true object" : pair("IoU", row.iou_a, row.iou_b);
    return [
      dom.element("span", { class: "cs-diff-kind", "data-kind": row.kind }, `${sign} ${word}`),
      dom.element("span", { class: "cs-name" }, row.file_name),
      dom.element("span", { class: "cs-quiet cs-number" }, pair("score", row.score_a, row.score_b)),
      dom.element("span", { class: "cs-quiet cs-number" }, overlap),
    ];
  }

  parts.Diff = Diff;
})();
