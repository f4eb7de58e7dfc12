// A mask cut along a drawn line. Two neighbouring pixels are cut apart where the line passes between their centres.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { masks, regions } = parts;

  // a line through a pixel's very centre would be on neither side, so all lines lie a little beside themselves
  const ASIDE = [3.1e-7, 1.7e-7];
  const DUST = 2000; // so many uncut parts are not looked at one by one: they stay with the largest piece

  // the line's crossings with the steps from pixel to pixel
  class Cut {
    constructor(points, [height, width]) {
      this.points = points.map(([x, y]) => [x + ASIDE[0], y + ASIDE[1]]);
      this.height = height;
      this.width = width;
      this.columns = new Map(); // row -> columns that the line leaves to the left of them, an odd number of times
      this.steps = new Set(); // row * width + column: cut off from the pixel above
      for (let at = 1; at < this.points.length; at++) this.cross(this.points[at - 1], this.points[at]);
    }

    cross(a, b) {
      each(a, b, 1, this.height, (row, x) => {
        if (!this.columns.has(row)) this.columns.set(row, new Set());
        toggle(this.columns.get(row), Math.ceil(x - 0.5));
      });
      each(a, b, 0, this.width, (column, y) => toggle(this.steps, Math.ceil(y - 0.5) * this.width + column));
    }

    // is the step from the pixel above (x, y) cut?
    above(x, y) {
      return this.steps.has(y * this.width + x);
    }

    // is the step between two pixels that meet at a corner cut?
    corner(x1, y1, x2, y2) {
      let odd = false;
      for (let at = 1; at < this.points.length; at++) {
        if (meet([x1 + 0.5, y1 + 0.5], [x2 + 0.5, y2 + 0.5], this.points[at - 1], this.points[at])) odd = !odd;
      }
      return odd;
    }
  }

  // every middle of a row (axis 1) or column (axis 0) between two points, and where the segment crosses it
  function each(a, b, axis, most, call) {
    const [from, to] = a[axis] < b[axis] ? [a, b] : [b, a];
    const low = Math.max(0, Math.ceil(from[axis] - 0.5));
    const high = Math.min(most, Math.ceil(to[axis] - 0.5));
    const slope = (to[1 - axis] - from[1 - axis]) / (to[axis] - from[axis]);
    for (let line = low; line < high; line++) call(line, from[1 - axis] + (line + 0.5 - from[axis]) * slope);
  }

  function toggle(set, value) {
    if (!set.delete(value)) set.add(value);
  }

  const side = ([ax, ay], [bx, by], [x, y]) => (bx - ax) * (y - ay) - (by - ay) * (x - ax);
  const meet = (a, b, c, d) => side(a, b, c) > 0 !== side(a, b, d) > 0 && side(c, d, a) > 0 !== side(c, d, b) > 0;

  // the spans of each row, ended where the line passes
  function divided({ rows: { first, count, starts, edges } }, cut) {
    const made = { first, count, starts: new Int32Array(count + 1), edges: [] };
    for (let line = 0; line < count; line++) {
      const columns = [...(cut.columns.get(first + line) ?? [])].sort((a, b) => a - b);
      for (let at = starts[line]; at < starts[line + 1]; at += 2) {
        let open = edges[at];
        for (const column of columns) {
          if (column <= open || column >= edges[at + 1]) continue;
          made.edges.push(open, column);
          open = column;
        }
        made.edges.push(open, edges[at + 1]);
      }
      made.starts[line + 1] = made.edges.length;
    }
    return made;
  }

  // Do two spans of neighbouring rows hang together, the line considered? By a corner only where nothing else
  // of the mask is beside it: around the end of a line straight steps would say otherwise.
  function linked(mask, { first, edges }, cut) {
    const has = (x, y) => parts.rle.contains(mask, x, y);
    return (line, above, below) => {
      const y = first + line;
      const low = Math.max(edges[above], edges[below]);
      const high = Math.min(edges[above + 1], edges[below + 1]);
      for (let x = low; x < high; x++) if (!cut.above(x, y)) return true;
      if (low < high) return false;
      const [up, down] = edges[above + 1] === edges[below] ? [low - 1, low] : [low, low - 1];
      return !has(down, y - 1) && !has(up, y) && !cut.corner(up, y - 1, down, y);
    };
  }

  // the masks that a line makes of one, the largest first; one alone where it does not cut. Parts that the line
  // does not cut stay with the nearest piece; a line between the parts of a mask parts these.
  function split(mask, points) {
    if (points.length < 2 || !mask.area) return [mask];
    const cut = new Cut(points, mask.size);
    const whole = masks.components(mask);
    const pieces = [];
    const uncut = [];
    for (const part of whole) {
      const rows = divided(part, cut);
      const found = regions.collected(mask.size, rows, regions.grouped(rows, 1, linked(part, rows, cut)));
      if (found.length > 1) pieces.push(...found);
      else uncut.push(part);
    }
    if (pieces.length === 0) return bySize(between(uncut, points));
    const stay = pieces.map((piece) => [piece]);
    for (const part of uncut) stay[uncut.length > DUST ? largest(pieces) : nearest(part, pieces)].push(part);
    return bySize(stay.map((list) => masks.joined(mask.size, list)));
  }

  const bySize = (list) => list.sort((a, b) => b.area - a.area || a.bbox[1] - b.bbox[1] || a.bbox[0] - b.bbox[0]);
  const middle = ({ bbox: [x, y, width, height] }) => [x + width / 2, y + height / 2];

  const largest = (pieces) => pieces.reduce((best, { area }, at) => (area > pieces[best].area ? at : best), 0);

  // the parts on this side of the line and on that, where it passes between the two
  function between(list, points) {
    const join = (some) => masks.joined(list[0].size, some);
    const [from, to] = [points[0], points[points.length - 1]];
    const left = join(list.filter((part) => side(from, to, middle(part)) > 0));
    const right = join(list.filter((part) => side(from, to, middle(part)) <= 0));
    const passes = points.some((point, at) => at > 0 && meet(middle(left), middle(right), points[at - 1], point));
    return left.area && right.area && passes ? [left, right] : [join(list)];
  }

  function nearest(part, pieces) {
    const [x, y] = middle(part);
    const distances = pieces.map((piece) => distance(piece, x, y));
    return distances.indexOf(Math.min(...distances));
  }

  function distance({ rows: { first, count, starts, edges } }, x, y) {
    let least = Infinity;
    for (let line = 0; line < count; line++) {
      const down = Math.max(0, first + line - y, y - first - line - 1);
      for (let at = starts[line]; at < starts[line + 1]; at += 2) {
        least = Math.min(least, down ** 2 + Math.max(0, edges[at] - x, x - edges[at + 1]) ** 2);
      }
    }
    return least;
  }

  masks.split = split;
})();
