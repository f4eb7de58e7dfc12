// Brush and eraser: a disc swept along the pointer's path, on the picked label or as a new one.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { masks } = parts;

  const ERASER = 32; // among a pen's buttons: its other end

  class Brush {
    constructor(tools, erases) {
      this.tools = tools;
      this.erases = erases;
      this.sweep = null; // of the stroke that goes on
    }

    get busy() {
      return this.sweep !== null;
    }

    // what the stroke would do, for the ring around the pointer
    erasing(event) {
      return this.erases || event?.altKey === true || ((event?.buttons ?? 0) & ERASER) !== 0;
    }

    begin(point, event) {
      const { tools } = this;
      const erases = this.erasing(event);
      const target = event.shiftKey && !erases ? null : tools.picked;
      if (erases && !target) {
        tools.say("Pick a label first: the eraser takes pixels away from the one that is picked.");
        return false;
      }
      this.stroke = { id: target?.id ?? null, erases, colour: target?.colour ?? tools.nextColour };
      this.sweep = new masks.Sweep(tools.size, tools.radius);
      this.extend([point]);
      return true;
    }

    extend(points) {
      // the finest brush is one pixel wide, wherever in the pixel the pointer is
      const fine = this.sweep.radius < 1;
      for (const [x, y] of points) this.sweep.add(fine ? [Math.floor(x) + 0.5, Math.floor(y) + 0.5] : [x, y]);
    }

    finish() {
      const { id, erases } = this.stroke;
      const { mask } = this.sweep;
      this.cancel();
      if (mask.area === 0) return; // beside the image
      const target = id === null ? null : this.tools.labelled(id);
      if (id !== null && !target) return; // somebody took it away meanwhile
      if (erases) this.erase(target, mask);
      else if (!target) this.tools.add("brush", mask);
      else this.tools.replace("brush", target, masks.union(target.mask, mask));
    }

    erase(target, mask) {
      const left = masks.subtract(target.mask, mask);
      if (left.area === 0) this.tools.say("That would erase all of the label: reject or delete it instead.");
      else this.tools.replace("erase", target, left);
    }

    cancel() {
      this.sweep = null;
    }

    draw(context, view) {
      if (!this.sweep) return;
      const { erases, colour } = this.stroke;
      const target = erases ? this.tools.labelled(this.stroke.id)?.mask : null;
      const shown = erases ? masks.intersect(this.sweep.mask, target ?? this.sweep.mask) : this.sweep.mask;
      parts.sketch.fill(context, view, shown, erases ? "rgb(20 20 20 / 0.6)" : parts.sketch.css(colour, 0.7));
    }

    // the ring is as wide as the stroke will be, at every zoom
    drawPointer(context, view, [x, y], event) {
      const [left, top] = view.toScreen(x, y);
      const radius = this.tools.radius * view.scale;
      context.beginPath();
      context.arc(left, top, Math.max(1.5, radius), 0, 2 * Math.PI);
      parts.sketch.ink(context, this.erasing(event) ? [4, 4] : []);
      if (!this.tools.resized) return;
      const side = left + radius + 60 > view.size[0] ? -1 : 1;
      parts.sketch.words(context, `${this.tools.radius} px`, left + side * (radius + 8), top, side < 0 ? "right" : "left");
    }
  }

  parts.Brush = Brush;
})();
