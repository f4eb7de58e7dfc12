// Shapes that are drawn from points: the box, and the polygon with its holes. What they make is a mask at once.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { masks, sketch } = parts;

  const REACH = 12; // CSS pixels around a handle: 24 to aim at
  const MOVED = 4; // a press that moves less is a click
  const TWICE = 400; // milliseconds between the two presses of a double click

  // a box is dragged from corner to corner; `make` says what becomes of it
  class Box {
    constructor(tools, make) {
      Object.assign(this, { tools, make });
      this.corners = null;
    }

    get busy() {
      return this.corners !== null;
    }

    begin(point) {
      this.corners = [point, point];
      return true;
    }

    extend(points) {
      this.corners[1] = points[points.length - 1];
    }

    finish() {
      const [[x1, y1], [x2, y2]] = this.corners;
      const { scale } = this.tools.view;
      this.cancel();
      if (Math.max(Math.abs(x2 - x1), Math.abs(y2 - y1)) * scale < MOVED) return; // a click
      const [height, width] = this.tools.size;
      const within = (value, most) => Math.min(most, Math.max(0, value));
      const sorted = [Math.min(x1, x2), Math.min(y1, y2), Math.max(x1, x2), Math.max(y1, y2)];
      this.make(sorted.map((value, at) => within(value, at % 2 ? height : width)));
    }

    cancel() {
      this.corners = null;
    }

    draw(context, view) {
      if (!this.corners) return;
      const [[x1, y1], [x2, y2]] = this.corners;
      sketch.trace(context, view, [[x1, y1], [x2, y1], [x2, y2], [x1, y2]], true);
      sketch.ink(context);
      const [left, top] = view.toScreen(Math.max(x1, x2), Math.max(y1, y2));
      const wide = Math.round(Math.abs(x2 - x1));
      sketch.words(context, `${wide} × ${Math.round(Math.abs(y2 - y1))} px`, Math.min(left, view.size[0] - 90), Math.min(top + 12, view.size[1] - 10));
    }
  }

  // Points are clicked; the first one, Enter or a double click closes. On a picked label it moves that one's
  // points instead, and with Shift it cuts a hole.
  class Polygon {
    constructor(tools) {
      this.tools = tools;
      this.vertices = new parts.Vertices(tools);
      this.points = []; // of the ring that is drawn
      this.hole = null; // id of the label that it will be a hole in
      this.pressed = false;
      this.at = null; // where the pointer is
    }

    get busy() {
      return this.points.length > 0 || this.vertices.busy;
    }

    begin(point, event) {
      this.at = point;
      if (this.points.length === 0) {
        if (!event.shiftKey && this.vertices.begin(point, event)) return true;
        const { picked } = this.tools;
        this.hole = event.shiftKey && picked && parts.rle.contains(picked.mask, Math.floor(point[0]), Math.floor(point[1])) ? picked.id : null;
      } else if (this.points.length > 2 && this.closes(point)) {
        this.close();
        return true;
      } else if (this.points.length > 2 && this.isSecond(point, event)) {
        this.close(); // the first of the two clicks has put the point
        return true;
      }
      this.pressed = true;
      this.time = event.timeStamp;
      this.points.push(point);
      return true;
    }

    closes([x, y]) {
      const [[firstX, firstY]] = this.points;
      return Math.hypot(x - firstX, y - firstY) * this.tools.view.scale <= REACH;
    }

    // of a double click? Pointer events do not count clicks
    isSecond([x, y], { timeStamp }) {
      const [lastX, lastY] = this.points[this.points.length - 1];
      return timeStamp - this.time < TWICE && Math.hypot(x - lastX, y - lastY) * this.tools.view.scale <= MOVED;
    }

    extend(points) {
      this.at = points[points.length - 1];
      if (this.vertices.busy) this.vertices.extend(this.at);
      else if (this.pressed) this.points[this.points.length - 1] = this.at;
    }

    hover(point) {
      this.at = point;
    }

    finish() {
      if (this.vertices.busy) this.vertices.finish();
      this.pressed = false;
    }

    key({ key }) {
      if (this.vertices.busy && key === "Escape") {
        this.vertices.cancel();
        return true;
      }
      if (this.points.length === 0) return false;
      if (key === "Enter") this.close();
      else if (key === "Backspace") this.points.pop();
      else if (key === "Escape") this.cancel();
      else return false;
      return true;
    }

    close() {
      const { tools, points, hole } = this;
      if (points.length < 3) return tools.say("A polygon needs three points at least; Esc gives it up.");
      this.cancel();
      const mask = masks.polygon([points], tools.size);
      if (mask.area === 0) return tools.say("The polygon holds no pixel's centre: nothing was drawn.");
      if (hole === null) return tools.add("polygon", mask);
      const target = tools.labelled(hole);
      if (!target) return undefined;
      const left = masks.subtract(target.mask, mask);
      if (left.area === 0) return tools.say("The hole would take all of the label: reject or delete it instead.");
      return tools.replace("hole", target, left);
    }

    cancel() {
      this.points = [];
      this.hole = null;
      this.pressed = false;
      this.vertices.cancel();
    }

    draw(context, view) {
      const { points, at } = this;
      if (points.length === 0) return void this.vertices.draw(context, view, at);
      const line = at && !this.pressed ? [...points, at] : points;
      if (line.length > 2) {
        sketch.trace(context, view, line, true);
        context.fillStyle = this.hole === null ? sketch.css(this.tools.nextColour, 0.35) : "rgb(20 20 20 / 0.5)";
        context.fill("evenodd");
      }
      sketch.trace(context, view, line);
      sketch.ink(context);
      const closes = at !== null && points.length > 2 && this.closes(at);
      points.forEach(([x, y], index) => sketch.handle(context, ...view.toScreen(x, y), { strong: index === 0 && (closes || points.length > 2) }));
      if (closes) sketch.words(context, "closes", view.toScreen(...points[0])[0] + 12, view.toScreen(...points[0])[1] - 14);
    }
  }

  parts.shapes = { Box, Polygon, REACH };
})();
