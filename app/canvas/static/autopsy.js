// Why a truth object was missed: asked from the server once for each setting, drawn where it happened.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { dom, api } = parts;

  const PAUSE = 150; // milliseconds that the sliders have to stand still

  class Autopsy {
    // ask(one): the address of an autopsy, or null where nobody could know
    constructor(store, { ask, onchange }) {
      Object.assign(this, { store, ask, onchange });
      this.latest = new api.Latest(PAUSE);
      this.url = null;
      this.answer = null;
      this.text = "";
    }

    // children for the inspector: a missed object's cause, as far as it is known
    part(one) {
      const missed = this.store.verdictOf(one)?.verdict === "fn";
      const url = missed ? this.ask(one) : null;
      if (url !== this.url) this.fetch(url);
      if (url === null) return [];
      const { answer } = this;
      const made = dom.element("div", { class: "cs-autopsy", "data-testid": "autopsy", "data-cause": answer?.cause ?? "" });
      made.append(dom.element("h3", {}, "Why it was missed"), dom.element("p", { "data-testid": "autopsy-sentence" }, answer?.sentence ?? (this.text || "Looking for the stage that lost it …")));
      if (answer?.proposal) made.append(dom.element("p", { class: "cs-quiet" }, "The dashed box is the proposal that came nearest."));
      if (answer?.suppressor && this.store.document.byId.has(answer.suppressor)) {
        const go = dom.element("button", { type: "button", "data-testid": "autopsy-suppressor" }, answer.cause === "taken" ? "Show the instance" : "Show what suppressed it");
        go.addEventListener("click", () => this.store.set({ selected: answer.suppressor }));
        made.append(go);
      }
      return [made];
    }

    fetch(url) {
      this.url = url;
      this.answer = null;
      this.text = "";
      this.latest.drop();
      if (url === null) return this.onchange();
      return this.latest.ask(url, "The reason", {
        done: (answer) => this.show(answer, ""),
        failed: (text) => this.show(null, text),
      });
    }

    show(answer, text) {
      this.answer = answer;
      this.text = text;
      this.onchange();
    }

    // marks on the picture: the proposal, and the box of what took its place
    draw(context, view) {
      const { answer, store } = this;
      if (!answer || this.url === null || store.picked?.truth !== true) return;
      const box = (corners, dash) => {
        if (!corners) return;
        const [left, top] = view.toScreen(corners[0], corners[1]);
        const [right, bottom] = view.toScreen(corners[2], corners[3]);
        for (const [width, colour] of [[4, "rgb(0 0 0 / 0.6)"], [2, "#fff"]]) {
          context.setLineDash(dash);
          context.lineWidth = width;
          context.strokeStyle = colour;
          context.strokeRect(left, top, right - left, bottom - top);
        }
        context.setLineDash([]);
      };
      box(answer.proposal, [8, 5]);
      const taker = store.document.byId.get(answer.suppressor);
      box(taker?.box ?? answer.box, []);
    }
  }

  parts.Autopsy = Autopsy;
})();
