// Which map of the feature pyramid an object is cut from: its share of the image decides, so a tile decides anew.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { dom } = parts;

  const MEANING = "The map of the feature pyramid that it was cut from, by its share of the image: in the first pass, and after refinement. P2 is the finest.";
  const TILES = [128, 256, 512, 1024, 2048, 4096]; // sides in image pixels
  let chosen = 512;

  // box: [x1, y1, x2, y2]; more than half of the image is P5, a quarter P4, an eighth P3, the rest P2
  function of(box, [width, height]) {
    const area = (box[2] - box[0]) * (box[3] - box[1]);
    if (!(area > 0)) return 2;
    return 2 + Math.min(3, Math.max(0, Math.ceil(3 - Math.log2((width * height) / area))));
  }

  // the level that a box would get in a square tile around it, cut off at the image's edges
  function inTile(box, [width, height], side) {
    const tile = [Math.min(width, side), Math.min(height, side)];
    const part = [Math.min(box[2] - box[0], tile[0]), Math.min(box[3] - box[1], tile[1])];
    return of([0, 0, ...part], tile);
  }

  const text = ([first, second]) => `P${first} → P${second}`;
  const chip = (level, moved) => dom.element("span", { class: moved ? "cs-level cs-moved" : "cs-level" }, `P${level}`);

  // for a row of the list: the level of both passes, told apart where they differ
  function badge([first, second]) {
    const made = chip(first === second ? first : `${first}→P${second}`, first !== second);
    made.classList.add("cs-row-level");
    made.title = `Cut from P${first} in the first pass and from P${second} in the second. ${MEANING}`;
    return made;
  }

  // rows of the inspector's list of facts; `onchange` draws it again
  function rows(one, size, onchange) {
    if (!one.levels) return [];
    const [first, second] = one.levels;
    const now = dom.element("span", { "data-testid": "picked-levels" }, chip(first), " → ", chip(second, first !== second));
    return [dom.element("dt", { title: MEANING }, "Pyramid level"), dom.element("dd", { title: MEANING }, now), ...tileRows(one, size, onchange)];
  }

  function tileRows(one, size, onchange) {
    const sides = TILES.filter((side) => side < Math.max(...size));
    if (!one.proposal || sides.length === 0) return [];
    const side = sides.includes(chosen) ? chosen : sides.at(-1);
    const options = sides.map((value) => dom.element("option", { value: String(value) }, `${value} px`));
    const select = dom.element("select", { "data-testid": "tile-side", "aria-label": "Side of a tile", title: "Cut into tiles, an object is a larger share of what the model sees" }, ...options);
    select.value = String(side);
    select.addEventListener("change", () => {
      chosen = Number(select.value);
      onchange();
    });
    const level = inTile(one.proposal, size, side);
    const moved = level !== one.levels[0];
    const made = [dom.element("dt", {}, "In a tile of ", select), dom.element("dd", { "data-testid": "tile-level" }, chip(level, moved))];
    if (moved) made.push(dom.element("dd", { class: "cs-warning", "data-testid": "tile-warning" }, `Tiles of ${side} px would have it cut from P${level} instead of P${one.levels[0]}: another map, another result.`));
    return made;
  }

  parts.levels = { of, inTile, rows, badge, text, MEANING };
})();
