// What lies under a point: every shown instance that has the pixel, the smallest first.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { rle } = parts;

  const SMALL = 12; // an instance this small on screen may be missed by a few pixels and still be meant
  const NEAR = 5;

  const bySize = (a, b) => a.mask.area - b.mask.area || a.index - b.index;

  // instances, image point, CSS pixels per image pixel -> instances, smallest first
  function under(instances, x, y, scale) {
    const column = Math.floor(x);
    const row = Math.floor(y);
    const found = instances.filter((one) => rle.contains(one.mask, column, row));
    return (found.length ? found : near(instances, x, y, scale)).sort(bySize);
  }

  function near(instances, x, y, scale) {
    const reach = NEAR / scale;
    return instances.filter(({ mask: { area, bbox } }) => {
      if (!area || Math.max(bbox[2], bbox[3]) * scale > SMALL) return false;
      const [left, top, width, height] = bbox;
      return (
        x >= left - reach && x <= left + width + reach && y >= top - reach && y <= top + height + reach
      );
    });
  }

  // clicking one place again and again goes through everything that lies there
  class Cycle {
    constructor() {
      this.at = null;
    }

    pick(stack, x, y, selected) {
      const same = this.at && Math.hypot(x - this.at[0], y - this.at[1]) < 4;
      this.at = [x, y];
      if (stack.length === 0) return null;
      const turn = same ? stack.findIndex((one) => one.id === selected) + 1 : 0;
      return stack[turn % stack.length].id;
    }
  }

  // an image point of the instance that a click would pick it at, or null where others cover it all
  function pointOf(one, instances, visible) {
    const { first, count, starts, edges } = one.mask.rows;
    let best = null;
    for (let step = 0; step < count; step++) {
      // from the middle row outwards
      const line = (count >> 1) + (step % 2 ? (step + 1) >> 1 : -(step >> 1));
      if (line < 0 || line >= count) continue;
      for (let at = starts[line]; at < starts[line + 1]; at += 2) {
        const wide = edges[at + 1] - edges[at];
        for (const share of [0.5, 0.25, 0.75, 0.1, 0.9]) {
          const x = edges[at] + Math.min(wide - 1, Math.floor(wide * share)) + 0.5;
          const y = first + line + 0.5;
          if (!visible(x, y)) continue;
          best ??= [x, y];
          const covered = instances.some(
            (other) => bySize(other, one) < 0 && rle.contains(other.mask, Math.floor(x), Math.floor(y)),
          );
          if (!covered) return [x, y];
        }
      }
    }
    return best;
  }

  parts.hit = { under, Cycle, pointOf };
})();
