// The right rail of the page Label: the picked label, its state, its class, its outline; and the image.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { api, dom, labels } = parts;

  class LabelPanel {
    constructor(labelling) {
      this.labelling = labelling;
      this.box = labelling.find("label-panel");
      this.history = null;
      labelling.store.listen((changed) => {
        if (["document", "selected", "shown"].some((name) => changed.has(name))) this.draw();
      });
    }

    button(id, title, meaning, act) {
      return parts.labelButton(id, title, meaning, act);
    }

    draw() {
      const { labelling } = this;
      const { opened } = labelling;
      if (!opened) return this.box.replaceChildren();
      const one = labelling.store.picked;
      const focused = document.activeElement?.dataset?.testid;
      this.box.replaceChildren(...(one ? this.one(one) : this.nothing(opened)), ...this.image(opened));
      // a control that is drawn again keeps the focus
      if (focused && document.activeElement === document.body) this.box.querySelector(`[data-testid="${focused}"]`)?.focus({ preventScroll: true });
      return undefined;
    }

    nothing(opened) {
      const { labelling } = this;
      const { categories } = labelling;
      if (categories.length === 0) {
        return [dom.element("p", { class: "cs-quiet", "data-testid": "label-empty" }, "This project has no class yet."), dom.element("div", { class: "cs-buttons" }, this.button("first-class", "Add the first class", "Nothing can be drawn without one", () => labelling.classes.first()))];
      }
      const hint = opened.instances.length === 0 ? "No label in this image yet: draw one, or pre-label." : "Pick a label to see it here.";
      return [dom.element("p", { class: "cs-quiet", "data-testid": "label-empty" }, hint), this.classRow(labelling.category, "New labels")];
    }

    classRow(id, title) {
      const { labelling } = this;
      const made = dom.element("select", { "data-testid": "label-class", "aria-label": title, title: `${title}${labelling.keys.hint("class")}` });
      labelling.categories.forEach(({ id: its, name }, at) => made.append(dom.element("option", { value: String(its) }, at < 9 ? `${at + 1}  ${name}` : name)));
      made.value = String(id);
      made.addEventListener("change", () => labelling.classes.choose(Number(made.value)));
      const find = this.button("label-class-find", "Find…", `Choose a class by its name, or add one${labelling.keys.hint("class")}`, () => labelling.classes.ask());
      return dom.element("div", { class: "cs-label-class" }, dom.element("span", { class: "cs-quiet" }, title), made, find);
    }

    one(one) {
      const { labelling } = this;
      const { keys, targets } = labelling;
      const { word, meaning } = labels.STATES[one.state];
      const title = targets.length > 1 ? `${targets.length} chosen` : one.name;
      const zoom = this.button("label-zoom", "Zoom to it", `Zoom to it${keys.hint("zoom")}`, () => labelling.studio.zoomToPicked());
      const crowd = dom.element("input", { type: "checkbox", "data-testid": "label-crowd" });
      crowd.checked = one.crowd;
      crowd.addEventListener("change", () => labelling.commit({ kind: "crowd", put: labelling.targets.map(({ id }) => ({ id, iscrowd: crowd.checked })) }));
      const facts = this.facts(one).flatMap(([name, value, explains]) => [dom.element("dt", { title: explains }, name), dom.element("dd", { title: explains }, value)]);
      return [
        dom.element("header", {}, dom.chip(one, labelling.store), dom.element("h2", { class: "cs-name", "data-testid": "label-name" }, title), zoom),
        dom.element("p", { "data-testid": "label-state", title: meaning }, labels.badge(one.state), ` ${word}, ${labels.ORIGINS[one.origin] ?? one.origin}`),
        this.classRow(one.categoryId, "Class"),
        dom.element("dl", { "data-testid": "label-facts" }, ...facts),
        ...this.shaping(one),
        dom.element("label", { class: "cs-check", title: "A group that is drawn as one: COCO's iscrowd" }, crowd, dom.element("span", {}, "Crowd")),
      ];
    }

    facts(one) {
      const rows = [["Area", `${dom.grouped(one.area)} px`, "pixels of the mask"]];
      const put = (name, value, meaning) => value !== null && rows.push([name, dom.decimals(value), meaning]);
      put("Class score", one.classScore, "0 to 1, as the model said; the slider hides proposals below it");
      put("Mask IoU", one.maskIou, "how well the model thinks its mask fits");
      put("Instability", one.instability, "0 to 1: how much its box and mask changed between the model's two passes");
      put("Disagreement", one.disagreement, "1 less the IoU with the best other opinion");
      put("IoU with proposal", one.kept, "how much of the model's mask is left");
      return rows;
    }

    // -- shapes: what the tools bring ------------------------------------------------------------

    shaping(one) {
      const { tools } = parts;
      if (!tools) return [];
      const { keys, targets } = this.labelling;
      return [
        ...this.simplifying(one),
        dom.element("div", { class: "cs-buttons" },
          this.button("label-grow", "Grow", `One pixel larger on all sides${keys.hint("grow")}`, () => this.shape("grow")),
          this.button("label-shrink", "Shrink", `One pixel smaller${keys.hint("shrink")}`, () => this.shape("shrink")),
          this.button("label-fill", "Fill holes", `Fill holes${keys.hint("fill")}`, () => this.shape("fillHoles")),
          this.button("label-specks", "Drop specks", `Its small loose parts go${keys.hint("specks")}`, () => this.shape("dropSpecks")),
          ...(targets.length > 1 ? [this.button("label-merge", "Merge", `One label of all that is chosen${keys.hint("merge")}`, () => this.shape("merge"))] : []),
          this.button("label-top", "To top", `Above all others${keys.hint("top")}`, () => this.shape("toTop")),
          this.button("label-bottom", "To bottom", `Below all others${keys.hint("bottom")}`, () => this.shape("toBottom")),
          ...(one.record.proposed_rle ? [this.button("label-revert", "Back to proposal", `The model's own mask again${keys.hint("revert")}`, () => this.revert())] : []),
        ),
      ];
    }

    shape(name) {
      parts.tools?.[name](this.labelling);
    }

    // fewer points of the outline: what the mask would become is told before it is
    simplifying(one) {
      const said = dom.element("span", { class: "cs-number cs-quiet", "data-testid": "simplify-said" });
      const slider = dom.element("input", { type: "range", min: "0", max: "8", step: "0.25", value: "0", "data-testid": "simplify", "aria-label": "Simplify the outline", title: "Simplify the outline: by how many pixels it may move" });
      const show = () => {
        const made = parts.tools.simplified(one.mask, Number(slider.value));
        said.textContent = `${dom.grouped(made.points)} points, IoU ${dom.decimals(made.iou, 3)}`;
        return made;
      };
      slider.addEventListener("input", show);
      slider.addEventListener("change", () => {
        const { mask } = show();
        if (Number(slider.value) > 0) this.labelling.commit({ kind: "simplify", put: [{ id: one.id, mask }] });
      });
      show();
      return [dom.element("label", { class: "cs-choice cs-simplify" }, dom.element("span", { class: "cs-quiet" }, "Simplify"), slider, said)];
    }

    revert() {
      const { labelling } = this;
      const put = labelling.targets
        .filter(({ record }) => record.proposed_rle)
        .map(({ id, record, categoryId }) => ({ id, mask: labels.maskOf(record.proposed_rle), categoryId: record.proposed_category_id ?? categoryId, state: "proposed" }));
      if (put.length > 0) labelling.commit({ kind: "revert", put });
      else labelling.notes.brief("It is as the model proposed it.");
    }

    // -- the image ------------------------------------------------------------------------------

    image(opened) {
      const { labelling } = this;
      const done = opened.label.state === "done";
      const act = done ? () => labelling.review.reopen() : () => labelling.commit({ kind: "done", state: "done" });
      const state = dom.element("p", { class: "cs-image-state", "data-testid": "image-state" }, dom.element("span", { class: "cs-name" }, done ? "✓ This image is done" : "This image is open"), this.button("image-state-set", done ? "Open again" : "Done", done ? "There is still something to do here" : "Nothing is left to do here", act));
      return [state, this.historyPart(opened)];
    }

    historyPart(opened) {
      const made = dom.element("details", { class: "cs-history", "data-testid": "history" }, dom.element("summary", {}, "Who did what"));
      const list = dom.element("ul");
      made.append(list);
      made.open = this.told ?? false;
      made.addEventListener("toggle", () => {
        this.told = made.open;
        if (made.open) this.tell(opened.key, list);
      });
      if (this.heard?.key === opened.key) list.replaceChildren(...this.heard.rows.map(historyRow));
      this.historyList = list;
      return made;
    }

    async tell(key, list) {
      try {
        const { rows } = await api.get(`/api/labels/${encodeURIComponent(key)}/history?limit=50`, "This image's history");
        this.heard = { key, rows };
        (this.historyList ?? list).replaceChildren(...(rows.length ? rows.map(historyRow) : [dom.element("li", {}, "Nobody has changed anything here.")]));
      } catch (error) {
        list.replaceChildren(dom.element("li", {}, api.sentence(error)));
      }
    }

    acknowledged() {
      const { key } = this.labelling;
      if (this.told && key !== null) this.tell(key, this.historyList);
    }
  }

  function historyRow({ when, actor, kind, put = [], drop = [] }) {
    const at = new Date(typeof when === "number" ? when * 1000 : when);
    const time = Number.isNaN(at.getTime()) ? "" : at.toLocaleString([], { dateStyle: "short", timeStyle: "short" });
    const count = put.length + drop.length;
    const what = count === 0 ? "" : count === 1 ? ", 1 label" : `, ${count} labels`;
    return dom.element("li", {}, dom.element("strong", {}, parts.actor.nameOf(actor)), ` ${parts.gestures.word(kind)}${what} `, dom.element("span", { class: "cs-quiet cs-number" }, time));
  }

  parts.LabelPanel = LabelPanel;
})();
