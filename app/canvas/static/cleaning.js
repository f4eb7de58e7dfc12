// What one key does to the labels that are picked or chosen: holes, specks, merging, order; and their simplification.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { masks } = parts;

  const SHARE = 0.001; // of a mask's area: what is smaller is a speck
  const SPECK = 8; // and always what is below so many pixels

  const byOrder = (a, b) => a.z - b.z || (a.id < b.id ? -1 : 1);
  const chosen = (labelling) => [...labelling.targets].sort(byOrder);
  const leastSpeck = ({ area }) => Math.max(SPECK, Math.round(SHARE * area));

  // a change of each mask on its own, as one gesture; says how many labels changed
  function change(labelling, kind, of) {
    const put = [];
    for (const { id, mask } of chosen(labelling)) {
      const changed = of(mask);
      if (!masks.same(mask, changed)) put.push({ id, mask: changed });
    }
    if (put.length) labelling.commit({ kind, put });
    return put.length;
  }

  // one pixel to all sides, or back. What nobody has looked at one by one stays a proposal
  function resize(labelling, kind, of) {
    const targets = chosen(labelling);
    if (targets.length === 0) return void missing(labelling, "it grows or shrinks then; Ctrl + A chooses all that are shown");
    const changed = targets.map((one) => [one, of(one.mask)]).filter(([{ mask }, now]) => now.area > 0 && !masks.same(mask, now));
    const put = changed.map(([{ id, state }, mask]) => (targets.length > 1 ? { id, mask, state } : { id, mask }));
    if (put.length) labelling.commit({ kind, put });
    else labelling.say(kind === "shrink" ? "Nothing would be left of it: reject or delete it instead." : "It fills the image already.");
  }

  const grow = (labelling) => resize(labelling, "grow", masks.larger);
  const shrink = (labelling) => resize(labelling, "shrink", masks.smaller);

  const missing = (labelling, what) => labelling.say(`Pick a label first: ${what}.`);

  function fillHoles(labelling, most = Infinity) {
    if (chosen(labelling).length === 0) return void missing(labelling, "its holes are filled then");
    if (!change(labelling, "fill", (mask) => masks.fillHoles(mask, most))) labelling.say("There are no holes to fill.");
  }

  // least: pixels; without it a thousandth of the label, and 8 at least. The largest part always stays
  function dropSpecks(labelling, least = null) {
    if (chosen(labelling).length === 0) return void missing(labelling, "its specks are dropped then");
    const cleaned = (mask) => {
      const largest = masks.components(mask).reduce((most, { area }) => Math.max(most, area), 0);
      return masks.dropSpecks(mask, Math.min(largest, least ?? leastSpeck(mask)));
    };
    if (!change(labelling, "specks", cleaned)) labelling.say("There are no specks to drop.");
  }

  // all that is chosen becomes the lowest one
  function merge(labelling) {
    const [lowest, ...others] = chosen(labelling);
    if (others.length === 0) return void labelling.say("Choose two labels or more to merge them: Shift-click, or the lasso.");
    const mask = masks.joined(lowest.mask.size, [lowest, ...others].map((one) => one.mask));
    labelling.commit({ kind: "merge", put: [{ id: lowest.id, mask }], drop: others.map(({ id }) => id), select: lowest.id });
  }

  // above (1) or below (-1) all others; among themselves they stay as they were
  function order(labelling, side) {
    const moved = chosen(labelling);
    if (moved.length === 0) return void missing(labelling, side > 0 ? "it goes to the top then" : "it goes to the bottom then");
    const ids = new Set(moved.map(({ id }) => id));
    const rest = labelling.store.document.instances.filter(({ id }) => !ids.has(id)).map(({ z }) => z);
    if (rest.length === 0) return undefined;
    const from = side > 0 ? Math.max(...rest) + 1 : Math.min(...rest) - moved.length;
    const put = moved.map(({ id }, at) => ({ id, z: from + at }));
    if (put.some(({ z }, at) => z !== moved[at].z)) labelling.commit({ kind: "order", put });
    return undefined;
  }

  const toTop = (labelling) => order(labelling, 1);
  const toBottom = (labelling) => order(labelling, -1);

  // the polygon of a mask with points at most `tolerance` pixels off, and how much of the mask it keeps
  function simplified(mask, tolerance) {
    const rings = masks.simplify(masks.outline(mask), tolerance);
    const made = masks.polygon(rings, mask.size);
    const points = rings.reduce((sum, ring) => sum + ring.length, 0);
    return { mask: made, points, iou: masks.iou(mask, made), rings };
  }

  parts.tools = { grow, shrink, fillHoles, dropSpecks, leastSpeck, merge, toTop, toBottom, simplified };
})();
