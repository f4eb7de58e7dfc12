// The points of the picked label's outline, to be moved one by one. Until one is, the mask stays as it is; from
// then on it is the polygon of these points, a ring for each part and each hole.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { masks, sketch } = parts;

  const REACH = 12; // CSS pixels around a point: 24 to aim at
  const BESIDE = 6; // CSS pixels beside an edge, where a press puts a new point
  const MOVED = 3; // CSS pixels: a press that trembles is no change
  const TOLERANCE = 1; // image pixels that the first points may lie off the outline
  const SMALL = 8; // a ring with so few corners keeps all of them
  const MOST = 2000; // points that are shown: nobody moves more by hand

  class Vertices {
    constructor(tools) {
      this.tools = tools;
      this.known = null; // {id, mask, rings}
      this.drag = null; // {ring, at, before}
    }

    get busy() {
      return this.drag !== null;
    }

    // the picked label's rings; after a change those that were moved, and not the outline's once more
    get rings() {
      const { picked } = this.tools;
      if (!picked) return [];
      const { known } = this;
      if (known?.id === picked.id && (known.mask === picked.mask || masks.same(known.mask, picked.mask))) return known.rings;
      const rings = masks.outline(picked.mask).flatMap((ring) => (ring.length <= SMALL ? [ring] : masks.simplify([ring], TOLERANCE)));
      this.known = { id: picked.id, mask: picked.mask, rings };
      return rings;
    }

    begin(point, event) {
      const { rings } = this;
      const found = this.nearest(rings, point) ?? (event.altKey ? null : this.inserted(rings, point));
      if (!found) return false;
      if (event.altKey) return this.remove(rings, found);
      this.drag = { id: this.known.id, ...found, from: point, rings: found.rings ?? rings.map((ring) => [...ring]), moved: false };
      return true;
    }

    // the point within reach, as {ring, at}
    nearest(rings, [x, y]) {
      const reach = REACH / this.tools.view.scale;
      let best = null;
      let least = reach * reach;
      rings.forEach((points, ring) =>
        points.forEach(([px, py], at) => {
          const square = (px - x) ** 2 + (py - y) ** 2;
          if (square <= least) [best, least] = [{ ring, at }, square];
        }),
      );
      return best;
    }

    // rings with one point more on an edge that is near
    inserted(rings, [x, y]) {
      let least = BESIDE / this.tools.view.scale;
      let best = null;
      rings.forEach((points, ring) =>
        points.forEach((from, at) => {
          const foot = footOn(from, points[(at + 1) % points.length], [x, y]);
          const distance = Math.hypot(x - foot[0], y - foot[1]);
          if (distance <= least) [best, least] = [{ ring, at: at + 1, foot }, distance];
        }),
      );
      if (!best) return null;
      const more = rings.map((ring) => [...ring]);
      more[best.ring].splice(best.at, 0, best.foot);
      return { ring: best.ring, at: best.at, rings: more };
    }

    remove(rings, { ring, at }) {
      const fewer = rings.map((points, index) => (index === ring ? points.filter((_, other) => other !== at) : points));
      this.put(this.known.id, fewer.filter((points) => points.length > 2));
      return true;
    }

    extend([x, y]) {
      const { drag } = this;
      drag.moved ||= Math.hypot(x - drag.from[0], y - drag.from[1]) * this.tools.view.scale >= MOVED;
      if (drag.moved) drag.rings[drag.ring][drag.at] = [x, y];
    }

    // a point that was put on an edge and not moved changes no pixel yet
    finish() {
      const { id, rings, moved } = this.drag;
      this.drag = null;
      if (moved) this.put(id, rings);
      else if (this.known.id === id) this.known = { ...this.known, rings };
    }

    put(id, rings) {
      const { tools } = this;
      const target = tools.labelled(id);
      const mask = masks.polygon(rings, tools.size);
      if (!target) return;
      if (mask.area === 0) return void tools.say("The polygon would hold no pixel: reject or delete the label instead.");
      this.known = { id, mask, rings };
      tools.replace("vertex", target, mask);
    }

    cancel() {
      this.drag = null;
    }

    draw(context, view, pointer) {
      const rings = this.drag?.rings ?? this.rings;
      if (rings.length === 0) return;
      if (this.drag) this.drawMoved(context, view);
      const near = this.drag ?? (pointer ? this.nearest(rings, pointer) : null);
      let left = MOST;
      rings.forEach((points, ring) =>
        points.forEach(([x, y], at) => {
          const [column, row] = view.toScreen(x, y);
          if (column < -8 || row < -8 || column > view.size[0] + 8 || row > view.size[1] + 8 || left-- <= 0) return;
          sketch.handle(context, column, row, { strong: near?.ring === ring && near.at === at, square: true });
        }),
      );
    }

    drawMoved(context, view) {
      context.beginPath();
      for (const ring of this.drag.rings) {
        ring.forEach(([x, y], at) => (at ? context.lineTo(...view.toScreen(x, y)) : context.moveTo(...view.toScreen(x, y))));
        context.closePath();
      }
      const colour = this.tools.labelled(this.drag.id)?.colour;
      if (colour) context.fillStyle = sketch.css(colour, 0.35);
      if (colour) context.fill("evenodd");
      sketch.ink(context);
    }
  }

  // the place of a segment that is next to a point
  function footOn([x1, y1], [x2, y2], [x, y]) {
    const [dx, dy] = [x2 - x1, y2 - y1];
    const length = dx * dx + dy * dy;
    const share = length ? Math.max(0, Math.min(1, ((x - x1) * dx + (y - y1) * dy) / length)) : 0;
    return [x1 + share * dx, y1 + share * dy];
  }

  parts.Vertices = Vertices;
})();
