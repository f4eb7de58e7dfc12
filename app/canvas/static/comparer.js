// Truth against prediction: which panel, coloured by what, matched from which IoU on, and this image's numbers.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { dom, panes } = parts;

  const TURN = 800; // milliseconds between two pictures of the panel Blink
  const STEP = 0.02; // of the width: the swipe line by one press of an arrow key

  class Comparer {
    constructor(find, store, viewer) {
      Object.assign(this, { find, store, viewer });
      this.timer = null;
      this.fillPanels();
      this.wire();
      viewer.onpanes = () => this.showPanes();
      store.listen((changed) => this.follow(changed));
      this.follow(new Set(["document", "panel", "colouring", "iou", "kind", "judged", "swipe"]));
    }

    fillPanels() {
      const buttons = panes.PANELS.map(([name, text, meaning]) => {
        const made = dom.element("button", { type: "button", "data-testid": `panel-${name}`, title: `${meaning} ( V )` }, text);
        made.addEventListener("click", () => this.choose(name));
        return made;
      });
      this.find("panels").replaceChildren(...buttons);
    }

    wire() {
      const { find, store } = this;
      find("iou").addEventListener("input", (event) => store.setIou(Number(event.target.value)));
      find("iou-reset").addEventListener("click", () => store.set({ iou: 0.5 }));
      for (const kind of ["mask", "box"]) find(`kind-${kind}`).addEventListener("click", () => store.set({ kind }));
      for (const colouring of ["instance", "verdict"]) {
        find(`colour-${colouring}`).addEventListener("click", () => store.set({ colouring }));
      }
      const line = find("swipe");
      line.addEventListener("pointerdown", (event) => line.setPointerCapture(event.pointerId));
      line.addEventListener("pointermove", (event) => {
        if (!line.hasPointerCapture(event.pointerId)) return;
        const { left, width } = find("view").getBoundingClientRect();
        this.swipeTo((event.clientX - left) / width);
      });
      line.addEventListener("keydown", (event) => {
        const by = { ArrowLeft: -STEP, ArrowRight: STEP }[event.key];
        if (!by) return;
        event.preventDefault();
        event.stopPropagation();
        this.swipeTo(store.swipe + by);
      });
    }

    swipeTo(share) {
      this.store.set({ swipe: Math.min(1, Math.max(0, Math.round(share * 1000) / 1000)) });
    }

    choose(panel) {
      this.store.set({ panel });
    }

    step(by) {
      if (!this.store.comparable) return;
      const at = panes.PANELS.findIndex(([name]) => name === this.store.panel);
      this.choose(panes.PANELS[(at + by + panes.PANELS.length) % panes.PANELS.length][0]);
    }

    toggleColouring() {
      if (this.store.document?.judged) this.store.set({ colouring: this.store.colouring === "verdict" ? "instance" : "verdict" });
    }

    // by hand: the clock stops
    flip() {
      if (this.store.panelShown !== "blink") return;
      this.stopTurning();
      this.store.set({ blink: !this.store.blink });
    }

    follow(changed) {
      if (changed.has("document") || changed.has("panel")) this.showPanel();
      if (["iou", "kind", "colouring"].some((name) => changed.has(name))) this.showControls();
      if (changed.has("judged")) this.find("colours").hidden = !this.store.judged.totals;
      if (changed.has("judged") || changed.has("colouring")) this.showLines();
    }

    // whether lines mean verdicts, or layers
    showLines() {
      const verdicts = this.store.colouring === "verdict" && Boolean(this.store.judged.totals);
      for (const name of ["legend", "layers-section"]) this.find(name).toggleAttribute("data-verdicts", verdicts);
    }

    showPanel() {
      const { find, store } = this;
      const { panelShown: panel } = store;
      find("compare-bar").hidden = !store.document?.layers.includes("truth");
      for (const [name] of panes.PANELS) find(`panel-${name}`).disabled = !store.comparable;
      for (const [name] of panes.PANELS) find(`panel-${name}`).setAttribute("aria-pressed", name === panel);
      this.stopTurning();
      const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
      if (panel === "blink" && store.comparable && !still) {
        this.timer = setInterval(() => store.set({ blink: !store.blink }), TURN);
      }
    }

    stopTurning() {
      clearInterval(this.timer);
      this.timer = null;
    }

    // each pane's name stays in sight, whatever is zoomed
    showPanes() {
      const { find, store, viewer } = this;
      const named = store.document ? viewer.panes.filter(({ width }) => width > 0) : [];
      find("pane-names").replaceChildren(
        ...named.map(({ name, left, width }) => {
          const made = dom.element("span", { class: "cs-pane", "data-testid": `pane-${name}` }, panes.NAMES[name]);
          made.style.left = `${left + 8}px`;
          made.style.maxWidth = `${Math.max(0, width - 16)}px`;
          return made;
        }),
      );
      const swiping = store.document && store.panelShown === "swipe";
      const line = find("swipe");
      line.hidden = !swiping;
      find("divide").hidden = !(store.document && store.panelShown === "side");
      line.style.left = `${100 * store.swipe}%`;
      line.setAttribute("aria-valuenow", Math.round(100 * store.swipe));
    }

    // the place under the pointer, in the other picture
    echo(at) {
      const mark = this.find("echo");
      const side = this.store.panelShown === "side" && at !== null;
      mark.hidden = !side;
      if (!side) return;
      const [first, second] = this.viewer.panes;
      const other = this.viewer.pointerPane === first ? second : first;
      mark.style.transform = `translate(${at[0] + other.shift}px, ${at[1]}px)`;
    }

    showControls() {
      const { find, store } = this;
      const slider = find("iou");
      if (Number(slider.value) !== store.iou) slider.value = store.iou;
      slider.setAttribute("aria-valuetext", `at least ${store.iou.toFixed(2)}`);
      find("iou-value").textContent = store.iou.toFixed(2);
      find("iou-reset").disabled = store.iou === 0.5;
      for (const kind of ["mask", "box"]) find(`kind-${kind}`).setAttribute("aria-pressed", store.kind === kind);
      for (const name of ["instance", "verdict"]) find(`colour-${name}`).setAttribute("aria-pressed", store.colouring === name);
    }
  }

  parts.Comparer = Comparer;
})();
