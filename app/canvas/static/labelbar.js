// The toolbar of the page Label: the tools, undo and redo, the review's place, and whether everything is kept.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { dom } = parts;

  const TOOLS = [
    ["select", "Select", "Pick labels; Shift-click adds to the choice"],
    ["brush", "Brush", "Paint; Alt erases, Shift begins another label"],
    ["erase", "Eraser", "Take away from the picked label"],
    ["polygon", "Polygon", "Click points; drag the picked label's; Enter closes"],
    ["box", "Box", "Drag a rectangle"],
    ["refit", "Refit", "Drag a box: the model draws inside it"],
    ["lasso", "Lasso", "Choose many labels at once"],
    ["split", "Split", "Cut the picked label along a line"],
    ["hand", "Hand", "Move the image"],
  ];
  const SIZED = new Set(["brush", "erase"]);

  class LabelBar {
    constructor(labelling) {
      this.labelling = labelling;
      this.box = labelling.find("label-bar");
      this.build();
      labelling.store.listen((changed) => {
        if (changed.has("document") || changed.has("selected")) this.draw();
      });
    }

    button(id, title, meaning, act) {
      return parts.labelButton(id, title, meaning, act);
    }

    build() {
      const { labelling } = this;
      const { keys, tools, review } = labelling;
      this.tools = new Map(TOOLS.map(([name, title, meaning]) => [name, this.button(`tool-${name}`, title, `${meaning}${keys.hint(name)}`, () => labelling.use(name))]));
      if (tools) tools.onchange = () => this.draw();
      this.radius = dom.element("input", { type: "range", min: "1", max: "100", step: "1", "data-testid": "brush-size", "aria-label": "Size of the brush", title: `Size of the brush${keys.hint("smaller")}${keys.hint("larger")}` });
      this.radius.addEventListener("input", () => labelling.tools?.setRadius(Number(this.radius.value)));
      this.radiusText = dom.element("span", { class: "cs-number cs-quiet", "data-testid": "brush-size-value" });
      this.size = dom.element("label", { class: "cs-choice cs-brush-size" }, this.radius, this.radiusText);
      this.undo = this.button("label-undo", "↶", "", () => labelling.undo());
      this.redo = this.button("label-redo", "↷", "", () => labelling.redo());
      this.undo.className = this.redo.className = "cs-icon";
      const accept = this.button("label-accept", "Accept", `Accept, and on to the next${keys.hint("accept")}`, () => review.accept());
      const reject = this.button("label-reject", "Reject", `Reject, and on to the next${keys.hint("reject")}`, () => review.reject());
      const done = this.button("label-done", "Done", `This image is done: the next one with something to review${keys.hint("done")}`, () => review.done());
      this.queue = dom.element("span", { class: "cs-quiet cs-number cs-queue", role: "status", "data-testid": "label-queue" });
      const group = dom.element("div", { class: "cs-segments cs-tools", role: "group", "aria-label": "Tools" }, ...this.tools.values());
      group.hidden = !tools;
      this.box.replaceChildren(
        group,
        this.size,
        dom.element("span", { class: "cs-line" }),
        this.undo,
        this.redo,
        dom.element("span", { class: "cs-space" }),
        this.queue,
        accept,
        reject,
        done,
      );
      this.draw();
    }

    draw() {
      if (!this.queue) return;
      const { labelling } = this;
      const { opened, tools, keys, review } = labelling;
      const current = tools?.current ?? "select";
      for (const [name, made] of this.tools) made.setAttribute("aria-pressed", String(name === current));
      this.size.hidden = !SIZED.has(current);
      if (tools) this.radius.value = tools.radius;
      this.radiusText.textContent = tools ? `${Math.round(tools.radius)} px` : "";
      const { undo = null, redo = null } = opened?.label ?? {};
      this.revertible(this.undo, "Undo", undo, keys.hint("undo"));
      this.revertible(this.redo, "Redo", redo, keys.hint("redo"));
      const [, order, meaning] = parts.Review.ORDERS.find(([name]) => name === review.order);
      this.queue.textContent = review.total === null ? "" : review.total === 0 ? "nothing to review" : `${review.left} left, ${review.order}`;
      this.queue.title = `In the order ${order}. ${meaning}`;
    }

    revertible(made, title, kind, hint) {
      made.disabled = !kind;
      made.setAttribute("aria-label", kind ? `${title}: ${parts.gestures.word(kind)}` : title);
      made.title = kind ? `${title}: ${parts.gestures.word(kind)}${hint}` : `Nothing to ${title.toLowerCase()}${hint}`;
    }
  }

  parts.LabelBar = LabelBar;
})();
