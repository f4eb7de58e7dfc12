// Masks to screen pixels: each screen pixel shows the image pixel under its centre, nothing between.
//
// A frame says where the image lies: {scale, x, y, width, height, dash} in device pixels. Painting costs
// what is on screen, whatever the size of the image. Where instances overlap the smaller is on top.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { pixel } = (globalThis.studioParts ??= {}).palette;

  const MARGIN = 8; // pixels beyond the screen, so that its edge never looks like a mask's
  // the truth is drawn in no instance's colour, so that it is never taken for a prediction
  const DASH = pixel([255, 255, 255], 255);
  const GAP = pixel([0, 0, 0], 150);

  // rows of [start, end) pairs, growing as needed and used again and again
  class Runs {
    constructor() {
      this.top = 0;
      this.rows = 0;
      this.used = 0;
      this.starts = new Int32Array(512);
      this.edges = new Int32Array(2048);
    }

    begin(top, rows) {
      this.top = top;
      this.rows = 0;
      this.used = 0;
      if (this.starts.length < rows + 1) this.starts = new Int32Array(2 * (rows + 1));
      this.starts[0] = 0;
    }

    // a pair that follows the last one; the two become one where they touch
    push(start, end) {
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

    from(row) {
      const line = row - this.top;
      return line < 0 || line >= this.rows ? 0 : this.starts[line];
    }

    to(row) {
      const line = row - this.top;
      return line < 0 || line >= this.rows ? 0 : this.starts[line + 1];
    }
  }

  // a mask's rows in image pixels -> runs in screen pixels
  function project(rows, frame, out) {
    const { scale, x, y, width, height } = frame;
    const top = Math.max(-MARGIN, Math.ceil(rows.first * scale + y - 0.5));
    const end = Math.ceil((rows.first + rows.count) * scale + y - 0.5);
    const bottom = Math.max(top, Math.min(height + MARGIN, end));
    out.begin(top, bottom - top);
    for (let row = top; row < bottom; row++) {
      const source = Math.floor((row + 0.5 - y) / scale) - rows.first;
      const line = Math.min(rows.count - 1, Math.max(0, source));
      for (let at = rows.starts[line]; at < rows.starts[line + 1]; at += 2) {
        const left = Math.ceil(rows.edges[at] * scale + x - 0.5);
        const right = Math.ceil(rows.edges[at + 1] * scale + x - 0.5);
        out.push(Math.max(-MARGIN, left), Math.min(width + MARGIN, right));
      }
      out.endRow();
    }
    return out;
  }

  const band = new Runs(); // scratch: the middle row of three, moved in or out by one pixel

  // one pixel smaller (by = -1: inside all four neighbours) or larger (by = 1: beside any of them)
  function spread(source, by, out) {
    const grow = by > 0 ? 1 : 0;
    out.begin(source.top - grow, source.rows + 2 * grow);
    for (let row = source.top - grow; row < source.top + source.rows + grow; row++) {
      band.begin(row, 1);
      for (let at = source.from(row); at < source.to(row); at += 2) {
        band.push(source.edges[at] - by, source.edges[at + 1] + by);
      }
      band.endRow();
      combine(source, row, grow ? 1 : 3, out);
      out.endRow();
    }
    return out;
  }

  // where at least `need` of the rows above, here (the band) and below have a run
  function combine(source, row, need, out) {
    const { edges } = source;
    let above = source.from(row - 1);
    let below = source.from(row + 1);
    let here = 0;
    const aboveEnd = source.to(row - 1);
    const belowEnd = source.to(row + 1);
    let inside = 0;
    let open = 0;
    while (above < aboveEnd || here < band.used || below < belowEnd) {
      const a = above < aboveEnd ? edges[above] : Infinity;
      const h = here < band.used ? band.edges[here] : Infinity;
      const b = below < belowEnd ? edges[below] : Infinity;
      const edge = Math.min(a, h, b);
      const before = inside;
      if (a === edge) inside += (above++ - source.from(row - 1)) % 2 ? -1 : 1;
      if (h === edge) inside += here++ % 2 ? -1 : 1;
      if (b === edge) inside += (below++ - source.from(row + 1)) % 2 ? -1 : 1;
      if (before < need && inside >= need) open = edge;
      else if (before >= need && inside < need) out.push(open, edge);
    }
  }

  // colour every pixel of `runs` that is not in `inner` (or every one, without it)
  function stroke(target, runs, inner, colour, pattern) {
    const first = Math.max(0, runs.top);
    const last = Math.min(target.height, runs.top + runs.rows);
    for (let row = first; row < last; row++) {
      let hole = inner ? inner.from(row) : 0;
      const holeEnd = inner ? inner.to(row) : 0;
      for (let at = runs.from(row); at < runs.to(row); at += 2) {
        let left = runs.edges[at];
        const right = runs.edges[at + 1];
        for (; hole < holeEnd && inner.edges[hole] < right; hole += 2) {
          line(target, row, left, inner.edges[hole], colour, pattern);
          left = inner.edges[hole + 1];
        }
        line(target, row, left, right, colour, pattern);
      }
    }
  }

  function line(target, row, from, to, colour, pattern) {
    const start = row * target.width + Math.max(0, from);
    const end = row * target.width + Math.min(target.width, to);
    if (end <= start) return;
    if (!pattern) {
      target.pixels.fill(colour, start, end);
      return;
    }
    dash(target.pixels, start, end, phaseOf(pattern, start - row * target.width, row), pattern, colour);
  }

  // counts the phase on, since working it out anew at every pixel doubles what a frame costs
  function dash(pixels, start, end, begin, { across, period, drawn, on, off }, colour) {
    const ink = on ?? colour;
    let phase = begin;
    for (let at = start; at < end; at++) {
      if (phase < drawn) pixels[at] = ink;
      else if (off !== 0) pixels[at] = off;
      phase += across;
      if (phase >= period) phase -= period;
    }
  }

  const positive = (value, period) => ((value % period) + period) % period;

  // Where a pixel is in a pattern: 0 .. period, drawn below `drawn`. It stays on the image while that is panned.
  // on: its colour, or null for the instance's own; off: the colour between, or 0 for none
  const phaseOf = ({ across, down, period, x, y }, column, row) => positive(across * (column - x) + down * (row - y), period);

  // no common direction of an edge hides these
  const dashes = ({ dash: [x, y], dpr }, period, drawn, on = null) => ({
    across: 5,
    down: 3,
    period: period * dpr,
    drawn: drawn * dpr,
    on,
    off: GAP,
    x,
    y,
  });
  const PATTERNS = {
    solid: () => null,
    truth: (frame) => dashes(frame, 40, 24, DASH),
    // in a colour of its own: long dashes, or dots
    dashed: (frame) => dashes(frame, 50, 32),
    dotted: (frame) => dashes(frame, 18, 9),
  };
  const hatch = ({ dash: [x, y], dpr }) => ({ across: 1, down: 1, period: 8 * dpr, drawn: 3 * dpr, on: null, off: 0, x, y });

  const whole = new Runs();
  const inner = [new Runs(), new Runs()];

  // [{mask, colour: [r, g, b], truth, line}] -> target.pixels; look: {fill, outline, opacity 0 .. 1}
  function paint(target, instances, frame, look) {
    target.pixels.fill(0);
    if (look.fill) for (const one of instances) fill(target, one, frame, look.opacity);
    if (look.outline) for (const one of instances) outline(target, one, frame);
  }

  function fill(target, { mask, colour, truth }, frame, opacity) {
    const runs = project(mask.rows, frame, whole);
    const alpha = Math.round(255 * Math.min(1, truth ? 1.5 * opacity : opacity)); // hatching is thin
    stroke(target, runs, null, pixel(colour, alpha), truth ? hatch(frame) : null);
    if (runs.used === 0 && mask.area) speck(target, mask, frame, pixel(colour, alpha));
  }

  // what is too small for the screen's grid is still worth one pixel
  function speck(target, { bbox: [x, y, width, height] }, frame, colour) {
    const column = Math.floor((x + width / 2) * frame.scale + frame.x);
    const row = Math.floor((y + height / 2) * frame.scale + frame.y);
    if (row >= 0 && row < target.height) line(target, row, column, column + 1, colour, null);
  }

  function outline(target, { mask, colour, truth, line: kind = truth ? "truth" : "solid" }, frame) {
    const small = Math.min(mask.bbox[2], mask.bbox[3]) * frame.scale < 14 * frame.dpr;
    const pattern = PATTERNS[kind](frame);
    let runs = project(mask.rows, frame, whole);
    const depth = small ? 1 : Math.round(2 * frame.dpr);
    for (let ring = 0; ring < depth; ring++) {
      const next = spread(runs, -1, inner[ring % 2]);
      const soft = !small && ring === depth - 1; // a half-clear inner edge looks smooth
      stroke(target, runs, next, pixel(colour, soft ? 130 : 255), pattern);
      runs = next;
    }
  }

  // rings around a mask, from the inside out: [[rgba pixel, width], ...]
  function halo(target, mask, frame, rings) {
    target.pixels.fill(0);
    let runs = project(mask.rows, frame, whole);
    let turn = 0;
    for (const [colour, width] of rings) {
      for (let ring = 0; ring < width; ring++) {
        const next = spread(runs, 1, inner[turn++ % 2]);
        stroke(target, next, runs, colour, null);
        runs = next;
      }
    }
  }

  parts.raster = { MARGIN, Runs, project, spread, paint, halo };
})();
