// Between masks and rings of points: a pixel belongs to a polygon if its centre lies inside, by the even-odd rule.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { Builder } = parts.masks;

  // the rows whose centre an edge passes, as [low, high)
  const passed = (y1, y2, height) => [Math.max(0, Math.ceil(Math.min(y1, y2) - 0.5)), Math.min(height, Math.ceil(Math.max(y1, y2) - 0.5))];

  function eachEdge(rings, height, call) {
    for (const ring of rings) {
      let [x1, y1] = ring[ring.length - 1] ?? [0, 0];
      for (const [x2, y2] of ring) {
        const [low, high] = passed(y1, y2, height);
        // always from above, so that an edge that two polygons share cuts both at the same place
        if (low < high) y1 < y2 ? call(low, high, x1, y1, x2, y2) : call(low, high, x2, y2, x1, y1);
        [x1, y1] = [x2, y2];
      }
    }
  }

  // rings [[x, y], ...] in image pixels -> a mask; a ring in a ring is a hole
  function polygon(rings, size) {
    const [height, width] = size;
    let first = height;
    let end = 0;
    eachEdge(rings, height, (low, high) => {
      first = Math.min(first, low);
      end = Math.max(end, high);
    });
    const count = Math.max(0, end - first);
    const starts = new Int32Array(count + 1);
    eachEdge(rings, height, (low, high) => {
      for (let y = low; y < high; y++) starts[y - first + 1]++;
    });
    for (let line = 0; line < count; line++) starts[line + 1] += starts[line];
    const filled = starts.slice();
    const columns = new Int32Array(starts[count]);
    eachEdge(rings, height, (low, high, x1, y1, x2, y2) => {
      const slope = (x2 - x1) / (y2 - y1);
      for (let y = low; y < high; y++) {
        const x = x1 + (y + 0.5 - y1) * slope;
        columns[filled[y - first]++] = Math.max(0, Math.min(width, Math.ceil(x - 0.5)));
      }
    });
    const made = new Builder(size, first, count);
    for (let line = 0; line < count; line++) {
      const own = columns.subarray(starts[line], starts[line + 1]).sort();
      for (let at = 0; at + 1 < own.length; at += 2) made.push(own[at], own[at + 1]);
      made.endRow();
    }
    return made.finish();
  }

  // a mask -> rings along its pixels' corners, holes too; pixels that meet at a corner only are apart.
  // Every edge of a span is a piece of a ring: down along a right side, up along a left one.
  function outline(mask) {
    const { first, edges, starts, count } = mask.rows;
    const next = follow(mask.rows);
    const rowOf = new Int32Array(edges.length);
    for (let line = 0; line < count; line++) rowOf.fill(first + line, starts[line], starts[line + 1]);
    const done = new Uint8Array(edges.length);
    const rings = [];
    for (let begin = 0; begin < edges.length; begin++) {
      if (done[begin]) continue;
      const ring = [];
      for (let at = begin; !done[at]; at = next[at]) {
        done[at] = 1;
        const after = next[at];
        if (edges[after] === edges[at]) continue; // straight on
        const y = rowOf[at] + (at % 2);
        ring.push([edges[at], y], [edges[after], y]);
      }
      rings.push(ring);
    }
    return rings;
  }

  // for the edge of every span the one that follows it on its ring
  function follow({ count, starts, edges }) {
    const next = new Int32Array(edges.length);
    for (let line = 0; line <= count; line++) {
      let above = line ? starts[line - 1] : 0;
      const aboveEnd = line ? starts[line] : 0;
      let below = line < count ? starts[line] : 0;
      const belowEnd = line < count ? starts[line + 1] : 0;
      let open = null; // the corner where the last horizontal piece began
      while (above < aboveEnd || below < belowEnd) {
        const a = above < aboveEnd ? edges[above] : Infinity;
        const b = below < belowEnd ? edges[below] : Infinity;
        const corner = { a: a <= b ? above++ : -1, b: b <= a ? below++ : -1 };
        if (a === b && corner.a % 2 === corner.b % 2) {
          // spans both begin or both end here: the side goes on
          if (corner.a % 2) next[corner.a] = corner.b;
          else next[corner.b] = corner.a;
          continue;
        }
        if (open) link(next, open, corner);
        open = inside(above, aboveEnd) !== inside(below, belowEnd) ? corner : null;
        if (open) open.down = inside(below, belowEnd);
      }
    }
    return next;
  }

  // edges come in pairs, so an odd number is left within a span
  const inside = (at, end) => (end - at) % 2 === 1;

  // the horizontal piece between two corners: to the right with the mask below, to the left with it above
  function link(next, left, right) {
    const opens = (at) => at >= 0 && at % 2 === 0;
    const closes = (at) => at >= 0 && at % 2 === 1;
    if (left.down) next[opens(left.b) ? left.b : left.a] = closes(right.b) ? right.b : right.a;
    else next[closes(right.a) ? right.a : right.b] = opens(left.a) ? left.a : left.b;
  }

  // rings with fewer points, each dropped point at most `tolerance` pixels off (Douglas and Peucker)
  function simplify(rings, tolerance) {
    return rings.map((ring) => thinned(ring, tolerance)).filter((ring) => ring.length > 2);
  }

  function thinned(ring, tolerance) {
    if (ring.length < 4) return ring;
    const far = farthest(ring, 0, ring.length, ring[0], ring[0]);
    const kept = new Uint8Array(ring.length + 1);
    kept[0] = kept[far.at] = 1;
    const closed = [...ring, ring[0]];
    const spans = [[0, far.at], [far.at, ring.length]];
    let best = { at: -1, distance: 0 };
    while (spans.length) {
      const [low, high] = spans.pop();
      const found = farthest(closed, low + 1, high, closed[low], closed[high]);
      if (found.distance > best.distance) best = found;
      if (found.at < 0 || found.distance <= tolerance) continue;
      kept[found.at] = 1;
      spans.push([low, found.at], [found.at, high]);
    }
    const result = ring.filter((_, at) => kept[at]);
    // two points are no ring: the one farthest off makes it a triangle
    if (result.length === 2 && best.distance > 0) {
      kept[best.at] = 1;
      return ring.filter((_, at) => kept[at]);
    }
    return result;
  }

  // the point of points[low .. high) that is farthest from the segment
  function farthest(points, low, high, [x1, y1], [x2, y2]) {
    const [dx, dy] = [x2 - x1, y2 - y1];
    const length = dx * dx + dy * dy;
    let at = -1;
    let most = -1;
    for (let index = low; index < high; index++) {
      const [x, y] = points[index];
      const along = length ? Math.max(0, Math.min(1, ((x - x1) * dx + (y - y1) * dy) / length)) : 0;
      const square = (x - x1 - along * dx) ** 2 + (y - y1 - along * dy) ** 2;
      if (square > most) [at, most] = [index, square];
    }
    return { at, distance: Math.sqrt(Math.max(0, most)) };
  }

  Object.assign(parts.masks, { polygon, outline, simplify });
})();
