// Boxes and labels over the masks: lines and text, in CSS pixels, in the colours that `look` gives.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});

  const DASHES = { solid: [], truth: [5, 4], dashed: [9, 4], dotted: [2, 3] };
  const FONT = "600 11px system-ui, sans-serif";
  const HIGH = 17;
  const PAD = 5;
  const LONGEST = 28; // characters of a name
  const MOST = 500; // labels; beyond it nobody reads them

  const widths = new Map();

  function labelOf(one, { labels, scores }) {
    const words = [];
    const name = one.name.length > LONGEST ? `${one.name.slice(0, LONGEST - 1)}…` : one.name;
    if (labels) words.push(one.truth ? `${name} (truth)` : name);
    if (scores && one.classScore !== null) words.push(one.classScore.toFixed(2));
    return words.join(" ");
  }

  function boxes(context, view, instances, look) {
    for (const layer of [true, false]) {
      for (const one of instances) {
        if (one.truth !== layer) continue;
        const { css, line } = look(one);
        const [left, top] = view.toScreen(one.box[0], one.box[1]);
        const [right, bottom] = view.toScreen(one.box[2], one.box[3]);
        context.setLineDash(DASHES[line]);
        context.lineWidth = 3;
        context.strokeStyle = "rgb(0 0 0 / 0.35)";
        context.strokeRect(left, top, right - left, bottom - top);
        context.lineWidth = 1.5;
        context.strokeStyle = css;
        context.strokeRect(left, top, right - left, bottom - top);
      }
    }
    context.setLineDash([]);
  }

  // the first in rank order wins its place; one that would cover it is left out until there is room
  function labels(context, view, instances, { first = null, look, ...switches }) {
    context.font = FONT;
    context.textBaseline = "middle";
    const taken = [];
    const order = first ? [first, ...instances.filter((one) => one !== first)] : instances;
    for (const one of order) {
      if (taken.length >= MOST) return;
      const text = labelOf(one, switches);
      if (!text) continue;
      const place = placeOf(context, view, one, text);
      if (!place || taken.some((other) => overlap(place, other))) continue;
      taken.push(place);
      const [x, y, width] = place;
      const { css, ink } = look(one);
      context.fillStyle = css;
      context.beginPath();
      context.roundRect(x, y, width, HIGH, 3);
      context.fill();
      context.fillStyle = ink;
      context.fillText(text, x + PAD, y + HIGH / 2 + 0.5);
    }
  }

  function placeOf(context, view, one, text) {
    if (!widths.has(text)) {
      if (widths.size > 5000) widths.clear();
      widths.set(text, context.measureText(text).width + 2 * PAD);
    }
    const width = widths.get(text);
    const [left, top] = view.toScreen(one.box[0], one.box[1]);
    const [right, bottom] = view.toScreen(one.box[2], one.box[3]);
    if (right < 0 || bottom < 0 || left > view.size[0] || top > view.size[1]) return null;
    const x = Math.max(2, Math.min(view.size[0] - width - 2, left));
    const y = top - HIGH - 1 < 2 ? Math.max(2, top + 2) : top - HIGH - 1;
    return [Math.round(x), Math.round(y), width];
  }

  const overlap = ([ax, ay, aw], [bx, by, bw]) =>
    ax < bx + bw + 1 && bx < ax + aw + 1 && Math.abs(ay - by) < HIGH + 1;

  parts.marks = { boxes, labels, labelOf };
})();
