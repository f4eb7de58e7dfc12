// Tools that follow a drawn line or ask the model: lasso, split, refit.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { masks, sketch, api } = parts;

  const STEP = 1.5; // CSS pixels between two points of a drawn line

  class Line {
    constructor(tools) {
      this.tools = tools;
      this.points = null;
    }

    get busy() {
      return this.points !== null;
    }

    begin(point) {
      this.points = [point];
      return true;
    }

    extend(points) {
      const step = STEP / this.tools.view.scale;
      for (const point of points) {
        const [x, y] = this.points[this.points.length - 1];
        if (Math.hypot(point[0] - x, point[1] - y) >= step) this.points.push(point);
      }
      this.end = points[points.length - 1];
    }

    // the drawn points, the very last one too
    take() {
      const points = this.end ? [...this.points, this.end] : this.points;
      this.cancel();
      return points;
    }

    cancel() {
      this.points = null;
      this.end = null;
    }

    draw(context, view) {
      if (!this.points) return;
      const points = this.end ? [...this.points, this.end] : this.points;
      this.shade?.(context, view, points);
      sketch.trace(context, view, points);
      sketch.ink(context, [7, 4]);
    }
  }

  // chooses what lies in it by half at least; with Shift besides what is chosen already
  class Lasso extends Line {
    begin(point, event) {
      this.adds = event.shiftKey;
      return super.begin(point);
    }

    finish() {
      const points = this.take();
      if (points.length < 3) return;
      const { labelling } = this.tools;
      const ring = masks.polygon([points], this.tools.size);
      const found = labelling.store.shown.filter(({ mask }) => mask.area > 0 && 2 * masks.shared(mask, ring) >= mask.area);
      const known = this.adds ? labelling.targets.map(({ id }) => id) : [];
      const ids = [...new Set([...known, ...found.map(({ id }) => id)])];
      labelling.chosen.clear();
      labelling.store.set({ selected: null });
      if (ids.length) labelling.choose(...ids);
    }

    shade(context, view, points) {
      sketch.trace(context, view, points, true);
      context.fillStyle = "rgb(255 255 255 / 0.2)";
      context.fill("evenodd");
    }
  }

  // cuts the picked label along the line: the largest piece stays it, the others are new
  class Split extends Line {
    begin(point) {
      const { picked } = this.tools;
      if (!picked) {
        this.tools.say("Pick a label first, then draw a line across it.");
        return false;
      }
      this.id = picked.id;
      return super.begin(point);
    }

    finish() {
      const { tools } = this;
      const points = this.take();
      const target = tools.labelled(this.id);
      if (!target || points.length < 2) return;
      const [largest, ...others] = masks.split(target.mask, points);
      if (others.length === 0) return void tools.say("The line does not cut the label in two: draw it right across, from outside to outside.");
      const { id, categoryId, z, crowd } = target;
      const put = others.map((mask) => ({ id: tools.newId(), mask, categoryId, z, iscrowd: crowd }));
      tools.labelling.commit({ kind: "split", put: [{ id, mask: largest }, ...put], select: id });
    }
  }

  // the model's own mask in a dragged box: for the picked label, or as a new one
  class Refit extends parts.shapes.Box {
    constructor(tools) {
      super(tools, (box) => this.ask(box));
      this.waits = null; // {box, key} while the model works
    }

    get busy() {
      return this.corners !== null || this.waits !== null;
    }

    begin(point) {
      if (this.waits) return false; // one question at a time
      return super.begin(point);
    }

    async ask(box) {
      const { tools } = this;
      const { labelling, picked } = tools;
      const { key } = labelling.store.document;
      const asked = { box, checkpoint: labelling.checkpoint ?? null, category_id: picked ? picked.categoryId : (labelling.category ?? null) };
      const waits = { box, key, id: picked?.id ?? null };
      this.waits = waits;
      tools.redraw();
      try {
        const answer = await api.post(`/api/labels/${encodeURIComponent(key)}/refit`, asked, "The model's mask");
        if (this.waits === waits) this.answered(waits, parts.rle.decode(answer.rle), answer);
      } catch (error) {
        if (this.waits === waits) tools.say(api.sentence(error));
      } finally {
        if (this.waits === waits) this.waits = null;
        tools.redraw();
      }
    }

    answered({ key, id }, mask, { category_id: categoryId }) {
      const { tools } = this;
      if (tools.labelling.store.document?.key !== key) return;
      if (mask.area === 0) return void tools.say("The model finds nothing in this box: draw it a little larger.");
      if (id === null) return void tools.add("refit", mask, categoryId ?? undefined);
      const target = tools.labelled(id);
      if (target) tools.replace("refit", target, mask);
    }

    // Esc while the model works: its answer is not wanted any more
    key({ key }) {
      if (key !== "Escape" || !this.waits) return false;
      this.waits = null;
      return true;
    }

    draw(context, view) {
      if (!this.waits) return super.draw(context, view);
      const [x1, y1, x2, y2] = this.waits.box;
      sketch.trace(context, view, [[x1, y1], [x2, y1], [x2, y2], [x1, y2]], true);
      sketch.ink(context, [5, 5]);
      const [left, top] = view.toScreen(x1, y1);
      sketch.words(context, "The model works …", Math.max(4, left), Math.max(12, top - 10));
      return undefined;
    }
  }

  parts.lines = { Lasso, Split, Refit };
})();
