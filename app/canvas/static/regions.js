// The parts of a mask, the holes in it, and what a line makes of it. Pixels that meet at a corner are one part;
// a hole is background that no way of straight steps leads out of.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { Builder } = parts.masks;

  // which spans hang together, found from one row to the next
  class Groups {
    constructor(count) {
      this.above = Int32Array.from({ length: count }, (_, at) => at);
    }

    find(at) {
      while (this.above[at] !== at) at = this.above[at] = this.above[this.above[at]];
      return at;
    }

    // the first one in reading order stands for the group
    join(a, b) {
      const [one, other] = [this.find(a), this.find(b)];
      if (one < other) this.above[other] = one;
      else this.above[one] = other;
    }
  }

  // {first, count, starts, edges} -> Groups of its spans, numbered in reading order; spans that overlap by at
  // least 1 - reach columns are neighbours (reach 1: a common corner is enough)
  function grouped({ count, starts, edges }, reach, linked = null) {
    const groups = new Groups(edges.length >> 1);
    for (let line = 1; line < count; line++) {
      let above = starts[line - 1];
      for (let at = starts[line]; at < starts[line + 1]; at += 2) {
        while (above < starts[line] && edges[above + 1] + reach <= edges[at]) above += 2;
        for (let other = above; other < starts[line] && edges[other] < edges[at + 1] + reach; other += 2) {
          if (linked === null || linked(line, other, at)) groups.join(other >> 1, at >> 1);
        }
      }
    }
    return groups;
  }

  // a mask for every group, in reading order
  function collected(size, rows, groups) {
    const made = new Map();
    for (let line = 0; line < rows.count; line++) {
      for (let at = rows.starts[line]; at < rows.starts[line + 1]; at += 2) {
        const group = groups.find(at >> 1);
        if (!made.has(group)) made.set(group, []);
        made.get(group).push(line, rows.edges[at], rows.edges[at + 1]);
      }
    }
    return [...made.values()].map((spans) => built(size, rows.first, spans));
  }

  // [line, from, to, line, from, to, ...] in reading order -> a mask
  function built(size, first, spans) {
    const low = spans[0];
    const high = spans[spans.length - 3] + 1;
    const made = new Builder(size, first + low, high - low);
    let line = low;
    for (let at = 0; at < spans.length; at += 3) {
      for (; line < spans[at]; line++) made.endRow();
      made.push(spans[at + 1], spans[at + 2]);
    }
    made.endRow();
    return made.finish();
  }

  const components = (mask) => collected(mask.size, mask.rows, grouped(mask.rows, 1));

  // the background within the mask's box, as rows like a mask's
  function gaps({ bbox: [x, , width], rows }) {
    const starts = new Int32Array(rows.count + 1);
    const edges = [];
    for (let line = 0; line < rows.count; line++) {
      let open = x;
      for (let at = rows.starts[line]; at < rows.starts[line + 1]; at += 2) {
        if (rows.edges[at] > open) edges.push(open, rows.edges[at]);
        open = rows.edges[at + 1];
      }
      if (open < x + width) edges.push(open, x + width);
      starts[line + 1] = edges.length;
    }
    return { first: rows.first, count: rows.count, starts, edges };
  }

  // what is enclosed: background that does not reach the edge of the mask's box
  function holes(mask) {
    const [x, y, width, height] = mask.bbox;
    const found = gaps(mask);
    return collected(mask.size, found, grouped(found, 0)).filter(
      ({ bbox: [left, top, wide, tall] }) => left > x && top > y && left + wide < x + width && top + tall < y + height,
    );
  }

  const whole = (size, list) => list.reduce((all, one) => parts.masks.union(all, one), parts.rle.nothing(size));

  // halves of halves, so that many small ones cost no more than a few large ones
  function joined(size, list) {
    if (list.length < 3) return whole(size, list);
    const middle = list.length >> 1;
    return parts.masks.union(joined(size, list.slice(0, middle)), joined(size, list.slice(middle)));
  }

  // holes of at most `most` pixels become mask
  function fillHoles(mask, most = Infinity) {
    const small = holes(mask).filter(({ area }) => area <= most);
    return small.length ? parts.masks.union(mask, joined(mask.size, small)) : mask;
  }

  // parts of fewer than `least` pixels go
  function dropSpecks(mask, least) {
    const found = components(mask);
    const kept = found.filter(({ area }) => area >= least);
    return kept.length === found.length ? mask : joined(mask.size, kept);
  }

  Object.assign(parts.masks, { components, holes, fillHoles, dropSpecks, joined });
  parts.regions = { grouped, collected };
})();
