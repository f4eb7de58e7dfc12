// What a round brush covers: every pixel whose centre is at most the radius away from the pointer's path.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { Builder } = parts.masks;

  // grows with the pointer, so that the end of a long stroke costs no more than its beginning
  class Sweep {
    constructor(size, radius) {
      this.size = size;
      this.radius = radius;
      this.lines = new Map(); // row -> [start, end, start, end, ...], apart and in order
      this.last = null;
      this.changed = null; // the mask, until the next point
    }

    add([x, y]) {
      const [fromX, fromY] = this.last ?? [x, y];
      this.last = [x, y];
      this.changed = null;
      const { radius } = this;
      const low = Math.max(0, Math.ceil(Math.min(y, fromY) - radius - 0.5));
      const high = Math.min(this.size[0] - 1, Math.floor(Math.max(y, fromY) + radius - 0.5));
      const piece = new Capsule(fromX, fromY, x, y, radius);
      for (let row = low; row <= high; row++) {
        const found = piece.row(row);
        if (found) this.insert(row, Math.max(0, found[0]), Math.min(this.size[1], found[1]));
      }
    }

    insert(row, start, end) {
      if (start >= end) return;
      const own = this.lines.get(row);
      if (!own) return void this.lines.set(row, [start, end]);
      let low = 0;
      while (low < own.length && own[low + 1] < start) low += 2;
      let high = low;
      while (high < own.length && own[high] <= end) high += 2;
      if (high === low) own.splice(low, 0, start, end);
      else own.splice(low, high - low, Math.min(start, own[low]), Math.max(end, own[high - 1]));
    }

    get mask() {
      if (this.changed) return this.changed;
      let first = this.size[0];
      let last = -1;
      for (const row of this.lines.keys()) {
        first = Math.min(first, row);
        last = Math.max(last, row);
      }
      const made = new Builder(this.size, first, last + 1 - first);
      for (let row = first; row <= last; row++) {
        const own = this.lines.get(row) ?? [];
        for (let at = 0; at < own.length; at += 2) made.push(own[at], own[at + 1]);
        made.endRow();
      }
      return (this.changed = made.finish());
    }
  }

  // a disc moved along a segment
  class Capsule {
    constructor(x1, y1, x2, y2, radius) {
      Object.assign(this, { x1, y1, x2, y2, radius });
      this.dx = x2 - x1;
      this.dy = y2 - y1;
      this.length = this.dx * this.dx + this.dy * this.dy; // squared
    }

    // is a point at most the radius away? Without roots: what lies on the edge to the bit belongs to it
    holds(x, y) {
      const square = this.radius * this.radius;
      const [px, py] = [x - this.x1, y - this.y1];
      const along = px * this.dx + py * this.dy;
      if (along <= 0 || this.length === 0) return px * px + py * py <= square;
      const [qx, qy] = [x - this.x2, y - this.y2];
      if (along >= this.length) return qx * qx + qy * qy <= square;
      const across = px * this.dy - py * this.dx;
      return across * across <= square * this.length;
    }

    // the columns [start, end) of a row whose centres it holds: it is convex, so they are one run
    row(row) {
      const y = row + 0.5;
      let low = Infinity;
      let high = -Infinity;
      const reach = (from, to) => {
        low = Math.min(low, from);
        high = Math.max(high, to);
      };
      for (const [x, middle] of [[this.x1, this.y1], [this.x2, this.y2]]) {
        const half = this.radius * this.radius - (y - middle) ** 2;
        if (half >= 0) reach(x - Math.sqrt(half), x + Math.sqrt(half));
      }
      this.sides(y, (x) => reach(x, x));
      if (low > high) return null;
      let start = Math.ceil(low - 0.5);
      let end = Math.floor(high + 0.5);
      while (this.holds(start - 0.5, y)) start--;
      while (start < end && !this.holds(start + 0.5, y)) start++;
      while (this.holds(end + 0.5, y)) end++;
      while (end > start && !this.holds(end - 0.5, y)) end--;
      return [start, end];
    }

    // where the height y crosses the two long sides
    sides(y, call) {
      if (this.dy === 0) return;
      const shift = this.radius / Math.sqrt(this.length);
      for (const side of [shift, -shift]) {
        const share = (y - this.y1 - side * this.dx) / this.dy;
        if (share >= 0 && share <= 1) call(this.x1 - side * this.dy + share * this.dx);
      }
    }
  }

  function stroke(points, radius, size) {
    const made = new Sweep(size, radius);
    for (const point of points) made.add(point);
    return made.mask;
  }

  Object.assign(parts.masks, { Sweep, stroke });
})();
