// The keys of the page Label, which everybody may choose for themselves: they drive the keyboard, the tooltips
// and the page's own sheet.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { dom } = parts;

  const NAME = "comask-keys";
  const PAN = 80;
  const tool = (name) => (l) => l.use(name);

  // [id, group, keys, what it does, action(labelling, event), whether it counts as work]
  const TABLE = [
    ["accept", "Review", ["A"], "Accept, and on to the next", (l) => l.review.accept(), true],
    ["reject", "Review", ["X", "Delete"], "Reject (what was drawn by hand goes), and on to the next", (l) => l.review.reject(), true],
    ["next", "Review", ["J"], "Next in the queue", (l) => l.review.step(1), true],
    ["previous", "Review", ["K"], "Previous in the queue", (l) => l.review.step(-1), true],
    ["acceptAll", "Review", ["Shift+A"], "Accept every proposal of the image that the score slider shows", (l) => l.review.acceptAll(), true],
    ["done", "Review", ["Enter"], "This image is done: the next one with something to review", (l) => l.review.done(), true],
    ["revert", "Review", ["Backspace"], "Back to the model's proposal", (l) => l.panel.revert(), true],
    ["image", "Images", ["N", "PageDown"], "Next image", (l) => l.pages.step(1), true],
    ["imageBack", "Images", ["Shift+N", "PageUp"], "Previous image", (l) => l.pages.step(-1), true],
    ...Array.from({ length: 9 }, (_, at) => [`class${at + 1}`, "Class", [String(at + 1)], `Class ${at + 1} of the list`, (l) => l.classes.nth(at), true]),
    ["class", "Class", ["C"], "Choose a class by its name", (l) => l.classes.ask(), true],
    ["select", "Tools", ["V"], "Select; Shift-click adds to the choice", tool("select"), true],
    ["brush", "Tools", ["B"], "Brush; Alt erases, Shift begins another label", tool("brush"), true],
    ["erase", "Tools", ["E"], "Eraser", tool("erase"), true],
    ["polygon", "Tools", ["P"], "Polygon; Enter closes it, Backspace takes a point back", tool("polygon"), true],
    ["box", "Tools", ["O"], "Box", tool("box"), true],
    ["refit", "Tools", ["R"], "Refit: drag a box, the model draws inside it", tool("refit"), true],
    ["lasso", "Tools", ["L"], "Lasso: choose many", tool("lasso"), true],
    ["split", "Tools", ["S"], "Split along a line", tool("split"), true],
    ["hand", "Tools", ["W"], "Hand: move the image", tool("hand"), true],
    ["smaller", "Tools", ["["], "Smaller brush", (l) => l.resize(1 / 1.25), true],
    ["larger", "Tools", ["]"], "Larger brush", (l) => l.resize(1.25), true],
    ["all", "Shape", ["Ctrl+A"], "Choose all labels that are shown", (l) => l.choice.all(), true],
    ["grow", "Shape", ["."], "Grow by one pixel: the picked label, or all that are chosen", (l) => l.panel.shape("grow"), true],
    ["shrink", "Shape", [","], "Shrink by one pixel", (l) => l.panel.shape("shrink"), true],
    ["merge", "Shape", ["M"], "Merge what is chosen into one", (l) => l.panel.shape("merge"), true],
    ["fill", "Shape", ["F"], "Fill holes", (l) => l.panel.shape("fillHoles"), true],
    ["specks", "Shape", ["D"], "Drop specks", (l) => l.panel.shape("dropSpecks"), true],
    ["top", "Shape", ["T"], "To the top", (l) => l.panel.shape("toTop"), true],
    ["bottom", "Shape", ["Shift+T"], "To the bottom", (l) => l.panel.shape("toBottom"), true],
    ["undo", "Undo", ["Ctrl+Z", "U"], "Undo what you did last, here or in another image", (l) => l.undo(), true],
    ["redo", "Undo", ["Ctrl+Shift+Z", "Ctrl+Y", "Shift+U"], "Redo", (l) => l.redo(), true],
    ["hide", "Look", ["H"], "Hide everything while held", (l) => l.store.set({ hidden: true })],
    ["zoom", "Look", ["Z"], "Zoom to the picked label", (l) => l.studio.zoomToPicked()],
    ["fit", "Look", ["0"], "Fit the image", (l) => l.studio.view.fit()],
    ["in", "Look", ["+", "="], "Zoom in", (l) => l.studio.view.zoomBy(1.25)],
    ["out", "Look", ["-", "_"], "Zoom out", (l) => l.studio.view.zoomBy(1 / 1.25)],
    ["pan", "Look", ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"], "Move the image", pan],
    ["escape", "More", ["Escape"], "Step back: the tool, the pick, back to the images", (l) => l.escape()],
    ["sheet", "More", ["?"], "This sheet", (l) => l.studio.sheet.toggle()],
  ].map(([id, group, keys, meaning, act, work = false]) => ({ id, group, keys, meaning, act, work }));
  const FIXED = new Set(["pan", "escape", "sheet"]); // keys that stay what they are
  const SHOWN = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", PageDown: "PgDn", PageUp: "PgUp", Escape: "Esc", "-": "−", Delete: "Del" };

  function pan(l, { key }) {
    const [x, y] = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[key];
    l.studio.view.panBy(x * PAN, y * PAN);
  }

  // what was pressed: "A", "Shift+A", "Ctrl+Z", "[", "Enter"; signs bring their Shift along
  function combo(event) {
    const letter = event.key.length === 1 && event.key.toLowerCase() !== event.key.toUpperCase();
    const name = letter ? event.key.toUpperCase() : event.key;
    const shift = event.shiftKey && (letter || name.length > 1) ? "Shift+" : "";
    return `${event.ctrlKey || event.metaKey ? "Ctrl+" : ""}${event.altKey ? "Alt+" : ""}${shift}${name}`;
  }

  const shown = (keys) => keys.map((key) => key.split(/(?<=.)\+/).map((part) => SHOWN[part] ?? part).join(" + ")).join(", ");

  class Keys {
    constructor(labelling) {
      this.labelling = labelling;
      this.own = {}; // id -> keys
      try {
        const kept = JSON.parse(localStorage.getItem(NAME)) ?? {};
        for (const { id } of TABLE) if (Array.isArray(kept[id])) this.own[id] = kept[id].filter((key) => typeof key === "string").slice(0, 4);
      } catch {
        // the usual ones
      }
      this.held = null;
      this.index();
      document.addEventListener("keyup", (event) => this.up(event));
    }

    index() {
      this.byKey = new Map(TABLE.flatMap((command) => this.of(command.id).map((key) => [key, command])));
    }

    of(id) {
      return this.own[id] ?? TABLE.find((one) => one.id === id).keys;
    }

    // "( A )" for a tooltip
    hint(id) {
      const keys = this.of(id);
      return keys.length ? ` ( ${shown(keys)} )` : "";
    }

    // says whether the key was the page's
    down(event) {
      const { labelling } = this;
      if (this.learning) return this.learn(event);
      const command = this.byKey.get(combo(event));
      if (event.ctrlKey || event.metaKey || event.altKey) {
        if (!command) return false;
      } else if (labelling.tools?.key?.(event)) {
        labelling.gesture();
        event.preventDefault();
        return true;
      }
      if (!command) return false;
      event.preventDefault();
      if (event.repeat && command.work && !["smaller", "larger", "grow", "shrink", "next", "previous"].includes(command.id)) return true;
      if (command.work) labelling.gesture();
      if (command.id === "hide") this.held = event.key.toLowerCase();
      command.act(labelling, event);
      return true;
    }

    up(event) {
      if (this.held === null || event.key.toLowerCase() !== this.held) return;
      this.held = null;
      this.labelling.store.set({ hidden: false });
    }

    // -- the sheet ------------------------------------------------------------------------------

    // the page's table, each command's keys a button that learns another one
    rows() {
      const groups = [...new Set(TABLE.map(({ group }) => group))];
      const reset = parts.labelButton("keys-reset", "Reset", "All keys as they were at first", () => this.reset());
      const said = dom.element("p", { class: "cs-quiet", role: "status", "data-testid": "keys-said" }, this.said ?? "Click on a key to choose another one for it.");
      const sections = groups.map((group) =>
        dom.element(
          "section",
          {},
          dom.element("h2", {}, group),
          dom.element("dl", {}, ...TABLE.filter((one) => one.group === group).flatMap((one) => [dom.element("dt", {}, this.keyOf(one)), dom.element("dd", {}, one.meaning)])),
        ),
      );
      const pointer = [["Drag", "The tool in hand; with Space or the middle button it moves the image"], ["Wheel", "Zoom where the pointer is"], ["Shift + click", "One more, or one less, in the choice"]];
      const mouse = dom.element("section", {}, dom.element("h2", {}, "Pointer"), dom.element("dl", {}, ...pointer.flatMap(([key, meaning]) => [dom.element("dt", {}, dom.element("kbd", {}, key)), dom.element("dd", {}, meaning)])));
      return [dom.element("div", { class: "cs-keys-head" }, said, reset), ...sections, mouse];
    }

    keyOf({ id, meaning }) {
      const text = shown(this.of(id)) || "no key";
      if (FIXED.has(id)) return dom.element("kbd", {}, text);
      const made = parts.labelButton(`key-${id}`, this.learning === id ? "press a key" : text, `Another key for: ${meaning}`, () => {
        this.learning = this.learning === id ? null : id;
        this.said = this.learning ? "Press the new key; Esc keeps the old one." : null;
        this.labelling.studio.sheet.refresh();
      });
      made.className = "cs-key";
      made.setAttribute("aria-pressed", String(this.learning === id));
      return made;
    }

    learn(event) {
      event.preventDefault();
      event.stopPropagation();
      if (["Shift", "Control", "Alt", "Meta"].includes(event.key)) return true;
      const id = this.learning;
      const key = combo(event);
      this.learning = null;
      const fixed = this.byKey.get(key);
      if (key === "Escape") this.said = null;
      else if (fixed && FIXED.has(fixed.id)) this.said = `${shown([key])} cannot be given away.`;
      else this.give(key, id);
      this.labelling.studio.sheet.refresh();
      return true;
    }

    // a key does one thing: whatever had it loses it
    give(key, id) {
      const before = this.byKey.get(key);
      const meaning = (one) => TABLE.find((other) => other.id === one).meaning;
      if (before && before.id !== id) this.own[before.id] = this.of(before.id).filter((other) => other !== key);
      this.own[id] = [key];
      this.said = before && before.id !== id ? `${shown([key])} was for “${meaning(before.id)}”, and is now for “${meaning(id)}”.` : `${shown([key])} is now for “${meaning(id)}”.`;
      this.keep();
    }

    reset() {
      this.own = {};
      this.said = "All keys are as they were at first.";
      this.keep();
      this.labelling.studio.sheet.refresh();
    }

    keep() {
      try {
        localStorage.setItem(NAME, JSON.stringify(this.own));
      } catch {
        // for this page only
      }
      this.index();
      this.labelling.bar.build();
    }
  }

  parts.labelkeys = { TABLE, Keys, combo, shown };
})();
