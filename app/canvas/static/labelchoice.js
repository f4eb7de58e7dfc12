// What commands act on: the picked label, and those that Shift-click or the lasso added to it.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});

  class LabelChoice {
    constructor(labelling) {
      this.labelling = labelling;
      this.ids = new Set();
      this.adding = false;
    }

    // every label that a command acts on
    get targets() {
      const { opened, store } = this.labelling;
      const ids = new Set([...this.ids, ...(store.selected === null ? [] : [store.selected])]);
      return [...ids].map((id) => opened?.byId.get(id)).filter(Boolean);
    }

    // one more to the choice, or, where one that is in it is named alone, one less
    add(...ids) {
      const { store, viewer, panel } = this.labelling;
      if (store.selected !== null) this.ids.add(store.selected);
      for (const id of ids) {
        if (ids.length === 1 && this.ids.has(id)) this.ids.delete(id);
        else this.ids.add(id);
      }
      this.adding = true;
      store.set({ selected: [...this.ids].at(-1) ?? null });
      this.adding = false;
      viewer.redraw("marks");
      panel.draw();
    }

    // all that is shown
    all() {
      const { store, viewer, panel } = this.labelling;
      this.ids = new Set(store.shown.map(({ id }) => id));
      viewer.redraw("marks");
      panel.draw();
    }

    // a pick on its own ends the choice
    picked() {
      if (!this.adding) this.ids.clear();
    }

    clear() {
      this.ids.clear();
      this.labelling.viewer.redraw("marks");
    }

    // what is not there any more is not chosen
    prune() {
      const { opened } = this.labelling;
      for (const id of this.ids) if (!opened?.byId.has(id)) this.ids.delete(id);
    }

    // a click on the picture: Shift adds to the choice
    click(event) {
      const { labelling } = this;
      if (!labelling.opened || !event?.shiftKey) return false;
      const { left, top } = labelling.find("canvas").getBoundingClientRect();
      const [one] = labelling.viewer.under(event.clientX - left, event.clientY - top);
      if (one) this.add(one.id);
      return true;
    }

    draw(context, pane) {
      const { opened, store, viewer } = this.labelling;
      context.save();
      context.setTransform(1, 0, 0, 1, Math.round(pane.shift * viewer.dpr), 0);
      for (const id of this.ids) {
        const one = opened.byId.get(id);
        if (one && id !== store.selected) viewer.halo.draw(context, one, viewer.device, "selected");
      }
      context.restore();
    }
  }

  parts.LabelChoice = LabelChoice;
})();
