// Masks as values: united, cut and compared, pixel by pixel, on the rows of spans of rle.js; never by way of a
// polygon. What a function costs is what the outlines of its masks cost, not what the image does.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});

  // Spans in reading order -> a mask. Every row of `first` .. `first + rows` is ended once; of its pairs none
  // begins before the last one began, and those that touch become one.
  class Builder {
    constructor(size, first, rows) {
      this.size = size;
      this.first = first;
      this.rows = 0;
      this.used = 0;
      this.starts = new Int32Array(Math.max(0, rows) + 1);
      this.edges = new Int32Array(64);
    }

    push(from, to) {
      const start = Math.max(0, from);
      const end = Math.min(this.size[1], to);
      if (start >= end) return;
      if (this.used > this.starts[this.rows] && this.edges[this.used - 1] >= start) {
        if (this.edges[this.used - 1] < end) this.edges[this.used - 1] = end;
        return;
      }
      if (this.used + 2 > this.edges.length) {
        const larger = new Int32Array(2 * this.edges.length);
        larger.set(this.edges);
        this.edges = larger;
      }
      this.edges[this.used++] = start;
      this.edges[this.used++] = end;
    }

    endRow() {
      this.starts[++this.rows] = this.used;
    }

    // less the empty rows above and below
    finish() {
      const { size, starts, edges, used } = this;
      let low = 0;
      let high = this.rows;
      while (low < high && starts[low + 1] === 0) low++;
      while (high > low && starts[high - 1] === used) high--;
      const rows = { first: this.first + low, count: high - low, starts: starts.slice(low, high + 1), edges: edges.slice(0, used) };
      return measured(size, rows);
    }
  }

  // rows whose first and last are not empty -> a mask with its area and box
  function measured(size, rows) {
    const { first, count, edges } = rows;
    if (edges.length === 0) return parts.rle.nothing(size);
    let area = 0;
    let left = Infinity;
    let right = 0;
    for (let at = 0; at < edges.length; at += 2) {
      area += edges[at + 1] - edges[at];
      if (edges[at] < left) left = edges[at];
      if (edges[at + 1] > right) right = edges[at + 1];
    }
    return { size, area, bbox: [left, first, right - left, count], rows };
  }

  const from = ({ rows }, y) => (y < rows.first || y >= rows.first + rows.count ? 0 : rows.starts[y - rows.first]);
  const to = ({ rows }, y) => (y < rows.first || y >= rows.first + rows.count ? 0 : rows.starts[y - rows.first + 1]);
  const bottom = ({ rows }) => rows.first + rows.count;

  // the spans of row y where `keep[in a + 2 * in b]`, from left to right
  function eachSpan(a, b, y, keep, emit) {
    const [edgesA, edgesB] = [a.rows.edges, b.rows.edges];
    let atA = from(a, y);
    let atB = from(b, y);
    const endA = to(a, y);
    const endB = to(b, y);
    let inside = 0;
    let open = 0;
    while (atA < endA || atB < endB) {
      const edgeA = atA < endA ? edgesA[atA] : Infinity;
      const edgeB = atB < endB ? edgesB[atB] : Infinity;
      const edge = Math.min(edgeA, edgeB);
      const before = inside;
      if (edgeA === edge) {
        inside ^= 1;
        atA++;
      }
      if (edgeB === edge) {
        inside ^= 2;
        atB++;
      }
      if (!keep[before] && keep[inside]) open = edge;
      else if (keep[before] && !keep[inside]) emit(open, edge);
    }
  }

  const EITHER = [false, true, true, true];
  const FIRST = [false, true, false, false];
  const BOTH = [false, false, false, true];

  function combine(a, b, keep, low, high) {
    if (a.size[0] !== b.size[0] || a.size[1] !== b.size[1]) throw new Error("the masks are of images of different sizes");
    const made = new Builder(a.size, low, high - low);
    const push = (start, end) => made.push(start, end);
    for (let y = low; y < high; y++) {
      eachSpan(a, b, y, keep, push);
      made.endRow();
    }
    return made.finish();
  }

  function union(a, b) {
    if (!a.area) return b;
    if (!b.area) return a;
    return combine(a, b, EITHER, Math.min(a.rows.first, b.rows.first), Math.max(bottom(a), bottom(b)));
  }

  const subtract = (a, b) => (meets(a, b) ? combine(a, b, FIRST, a.rows.first, bottom(a)) : a);

  function intersect(a, b) {
    if (!meets(a, b)) return parts.rle.nothing(a.size);
    return combine(a, b, BOTH, Math.max(a.rows.first, b.rows.first), Math.min(bottom(a), bottom(b)));
  }

  // do their boxes overlap?
  function meets(a, b) {
    const [ax, ay, aw, ah] = a.bbox;
    const [bx, by, bw, bh] = b.bbox;
    return ax < bx + bw && bx < ax + aw && ay < by + bh && by < ay + ah;
  }

  // pixels that both have
  function shared(a, b) {
    if (!meets(a, b)) return 0;
    let area = 0;
    const count = (start, end) => (area += end - start);
    const high = Math.min(bottom(a), bottom(b));
    for (let y = Math.max(a.rows.first, b.rows.first); y < high; y++) eachSpan(a, b, y, BOTH, count);
    return area;
  }

  // 0 where both are empty
  function iou(a, b) {
    const common = shared(a, b);
    return common ? common / (a.area + b.area - common) : 0;
  }

  // the same pixels?
  const same = (a, b) => a.area === b.area && shared(a, b) === a.area;

  // whole pixels to the right and down; what leaves the image is gone
  function move(mask, dx, dy) {
    const { first, count, starts, edges } = mask.rows;
    const low = Math.max(0, first + dy);
    const high = Math.min(mask.size[0], first + count + dy);
    const made = new Builder(mask.size, low, high - low);
    for (let y = low; y < high; y++) {
      const line = y - dy - first;
      for (let at = starts[line]; at < starts[line + 1]; at += 2) made.push(edges[at] + dx, edges[at + 1] + dx);
      made.endRow();
    }
    return made.finish();
  }

  const STEPS = [[1, 0], [-1, 0], [0, 1], [0, -1]];

  // one pixel larger, to all four sides
  const larger = (mask) => STEPS.reduce((all, [dx, dy]) => union(all, move(mask, dx, dy)), mask);

  // one pixel smaller; what the image's edge cuts off goes on beyond it, so nothing goes there
  function smaller(mask) {
    const [height, width] = mask.size;
    const beyond = [[0, 0, 1, height], [width - 1, 0, width, height], [0, 0, width, 1], [0, height - 1, width, height]];
    return STEPS.reduce((left, [dx, dy], side) => intersect(left, union(move(mask, dx, dy), box(beyond[side], mask.size))), mask);
  }

  // the pixels whose centre lies in the box (x1, y1, x2, y2)
  function box([x1, y1, x2, y2], size) {
    const low = Math.max(0, Math.ceil(Math.min(y1, y2) - 0.5));
    const high = Math.min(size[0], Math.ceil(Math.max(y1, y2) - 0.5));
    const made = new Builder(size, low, high - low);
    for (let y = low; y < high; y++) {
      made.push(Math.ceil(Math.min(x1, x2) - 0.5), Math.ceil(Math.max(x1, x2) - 0.5));
      made.endRow();
    }
    return made.finish();
  }

  // is at least half of the mask within the ring of points?
  function touches(mask, ring) {
    return mask.area > 0 && 2 * shared(mask, parts.masks.polygon([ring], mask.size)) >= mask.area;
  }

  parts.masks = { Builder, from, to, bottom, union, subtract, intersect, meets, shared, iou, same, move, larger, smaller, box, touches };
})();
