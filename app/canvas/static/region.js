// Asks for a box on the open image: drag it, or take what is in view.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { element } = parts.dom;
  const { forms } = parts;

  const LEAST = 8; // image pixels of each side

  class Region {
    constructor(labelling) {
      this.labelling = labelling;
      this.onkey = (event) => this.key(event);
      this.settle = null; // takes the answer while a box is asked for
    }

    // [x1, y1, x2, y2] in image pixels, or null where somebody gave up
    ask() {
      this.end(null);
      return new Promise((resolve) => {
        this.settle = resolve;
        this.frame = element("div", { class: "cs-region-box", hidden: true });
        this.hint = element("span", {}, "Drag a box around the region.");
        const bar = element(
          "div",
          { class: "cs-region-bar" },
          this.hint,
          forms.button("region-view", "Take what is in view", () => this.finish(this.inView())),
          forms.button("region-cancel", "Give up", () => this.end(null)),
        );
        this.cover = element("div", { class: "cs-region", tabindex: "0", role: "application", "aria-label": "Drag a box around the region. Enter takes what is in view, Escape gives up.", "data-testid": "region" }, this.frame, bar);
        this.listen(bar);
        this.labelling.find("view").append(this.cover);
        window.addEventListener("keydown", this.onkey, true); // wherever the focus is
        this.cover.focus({ preventScroll: true });
      });
    }

    listen(bar) {
      const { cover } = this;
      for (const name of ["pointerdown", "pointerup", "click"]) bar.addEventListener(name, (event) => event.stopPropagation());
      cover.addEventListener("pointerdown", (event) => this.down(event));
      cover.addEventListener("pointermove", (event) => this.move(event));
      cover.addEventListener("pointerup", () => this.up());
      cover.addEventListener("pointercancel", () => this.up(true));
      cover.addEventListener("wheel", (event) => {
        event.preventDefault();
        this.labelling.find("canvas").dispatchEvent(new WheelEvent("wheel", event)); // zooming goes on
      });
    }

    key(event) {
      event.stopPropagation();
      if (event.key === "Escape") this.end(null);
      else if (event.key === "Enter" && !event.target.closest("button")) this.finish(this.inView());
      else return;
      event.preventDefault();
    }

    place(event) {
      const { left, top } = this.cover.getBoundingClientRect();
      return [event.clientX - left, event.clientY - top];
    }

    down(event) {
      if (event.button !== 0) return;
      event.preventDefault();
      this.cover.focus({ preventScroll: true });
      this.cover.setPointerCapture(event.pointerId);
      this.from = this.to = this.place(event);
      this.draw();
    }

    move(event) {
      if (!this.from) return;
      this.to = this.place(event);
      this.draw();
    }

    up(dropped = false) {
      if (!this.from) return;
      const { from, to } = this;
      this.from = null;
      this.frame.hidden = true;
      if (!dropped) this.finish(this.boxOf(from, to));
    }

    draw() {
      const [[x1, y1], [x2, y2]] = [this.from, this.to];
      this.frame.hidden = false;
      this.frame.style.cssText = `left: ${Math.min(x1, x2)}px; top: ${Math.min(y1, y2)}px; width: ${Math.abs(x2 - x1)}px; height: ${Math.abs(y2 - y1)}px`;
    }

    inView() {
      return this.boxOf([0, 0], this.labelling.viewer.view.size);
    }

    boxOf(...corners) {
      const { view } = this.labelling.viewer;
      const [wide, high] = view.image;
      const points = corners.map(([x, y]) => view.toImage(x, y));
      const along = (at, most) => points.map((point) => Math.round(Math.min(most, Math.max(0, point[at])))).sort((a, b) => a - b);
      const [x1, x2] = along(0, wide);
      const [y1, y2] = along(1, high);
      return [x1, y1, x2, y2];
    }

    finish(box) {
      const [x1, y1, x2, y2] = box;
      if (x2 - x1 < LEAST || y2 - y1 < LEAST) this.hint.textContent = `Too small: drag a box of at least ${LEAST} pixels of the image each way.`;
      else this.end(box);
    }

    end(box) {
      const { settle } = this;
      this.settle = null;
      this.from = null;
      this.cover?.remove();
      window.removeEventListener("keydown", this.onkey, true);
      if (settle) {
        this.labelling.find("canvas").focus({ preventScroll: true });
        settle(box);
      }
    }
  }

  parts.Region = Region;
})();
