// Every key in one table: it drives the keyboard, the tooltips and the sheet that `?` opens.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});

  const PAN = 80;

  // [group, shown as, event keys, what it does, action(studio, event), whether it works without a picture too]
  const TABLE = [
    ["Look", "+", ["+", "="], "Zoom in", (s) => s.view.zoomBy(1.25)],
    ["Look", "−", ["-", "_"], "Zoom out", (s) => s.view.zoomBy(1 / 1.25)],
    ["Look", "0", ["0"], "Fit the image", (s) => s.view.fit()],
    ["Look", "1", ["1"], "One screen pixel for each image pixel", (s) => s.view.zoomTo(1)],
    ["Look", "← ↑ → ↓", ["ArrowLeft", "ArrowUp", "ArrowRight", "ArrowDown"], "Move the image", pan],
    ["Look", "Drag", [], "Move the image; with Space held too", null],
    ["Look", "Wheel", [], "Zoom where the pointer is", null],
    ["Look", "H (hold)", ["h", "H"], "Hide everything but the photograph", (s) => s.store.set({ hidden: true })],
    ["Show", "M", ["m", "M"], "Masks", (s) => s.store.toggle("fill")],
    ["Show", "O", ["o", "O"], "Outlines", (s) => s.store.toggle("outline")],
    ["Show", "B", ["b", "B"], "Boxes", (s) => s.store.toggle("boxes")],
    ["Show", "L", ["l", "L"], "Labels", (s) => s.store.toggle("labels")],
    ["Show", "S", ["s", "S"], "Scores", (s) => s.store.toggle("scores")],
    ["Show", "P", ["p", "P"], "Prediction", (s) => s.store.toggleLayer("prediction")],
    ["Show", "T", ["t", "T"], "Truth", (s) => s.store.toggleLayer("truth")],
    ["Show", "[", ["["], "Lower the score limit by 0.01", (s) => s.store.setThreshold(s.store.threshold - 0.01), true],
    ["Show", "]", ["]"], "Raise the score limit by 0.01", (s) => s.store.setThreshold(s.store.threshold + 0.01), true],
    ["Compare", "V", ["v"], "Next panel: truth, prediction, both, swipe, blink, side by side", (s) => s.comparer.step(1)],
    ["Compare", "Shift + V", ["V"], "Previous panel", (s) => s.comparer.step(-1)],
    ["Compare", "X", ["x", "X"], "In the panel Blink: the other picture", (s) => s.comparer.flip()],
    ["Compare", "C", ["c", "C"], "Colours of instances, or of verdicts", (s) => s.comparer.toggleColouring()],
    ["Compare", "{", ["{"], "Lower the IoU line by 0.05", (s) => s.store.setIou(s.store.iou - 0.05), true],
    ["Compare", "}", ["}"], "Raise the IoU line by 0.05", (s) => s.store.setIou(s.store.iou + 0.05), true],
    ["Compare", "I", ["i", "I"], "IoU of masks, or of boxes", (s) => s.store.set({ kind: s.store.kind === "mask" ? "box" : "mask" }), true],
    ["Pick", "Click", [], "Pick the smallest instance there; again for the one below it", null],
    ["Pick", "J, K", ["j", "J"], "Next, previous instance", (s) => s.step(1)],
    ["Pick", "", ["k", "K"], "", (s) => s.step(-1)],
    ["Pick", "Z", ["z", "Z"], "Zoom to the picked instance", (s) => s.zoomToPicked()],
    ["Pick", "Esc", ["Escape"], "Step back: close the sheet, drop the pick, back to the images", (s) => s.escape(), true],
    ["Film", "R", ["r"], "How the picked instance was made: the next stage, and after the last none", (s) => s.film.next()],
    ["Film", "Shift + R", ["R"], "Play it, or stop it where it is", (s) => s.film.toggle()],
    ["Film", ", .", [","], "Back and forth in time", (s) => s.film.scrub(-1)],
    ["Film", "", ["."], "", (s) => s.film.scrub(1)],
    ["Film", "F", ["f", "F"], "Of all instances at once, or of the picked one", (s) => s.film.setAll(!s.film.all)],
    ["Images", "N", ["n"], "Next image with mistakes; without a dataset, next instance", (s) => s.nextWorst(1), true],
    ["Images", "Shift + N", ["N"], "The one before", (s) => s.nextWorst(-1), true],
    ["Images", "PgDn", ["PageDown"], "Next image", (s) => s.stepImage(1)],
    ["Images", "PgUp", ["PageUp"], "Previous image", (s) => s.stepImage(-1)],
    ["Images", "Enter", [], "In the grid: open the image", null],
    ["Images", "G", ["g", "G"], "Back to the grid", (s) => s.browse.back()],
    ["More", "?", ["?"], "This sheet", (s) => s.sheet.toggle(), true],
  ];

  const byKey = new Map(TABLE.flatMap(([, , keys, , action, always]) => keys.map((key) => [key, { action, always }])));

  function pan(studio, { key }) {
    const [x, y] = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[key];
    studio.view.panBy(x * PAN, y * PAN);
  }

  // keys belong to the studio while the focus is in it, or nowhere
  function isOurs(root, target) {
    if (root.clientWidth === 0) return false; // another page is in front
    return target === document.body || target === document.documentElement || root.contains(target);
  }

  // what the focused control needs for itself
  function isTaken(target, key) {
    if (target.closest("dialog") && key !== "Escape" && key !== "?") return true;
    if (target.closest("textarea, select, [contenteditable=true]")) return key !== "Escape";
    if (target.matches("input:not([type=range], [type=checkbox])")) return key !== "Escape";
    const moves = key.startsWith("Arrow") || key.startsWith("Page");
    return moves && target.closest("input[type=range], [role=listbox]") !== null;
  }

  // a button that has the focus is pressed by these
  const pressed = (target, key) => (key === "Enter" || key === " ") && target.closest("button, a, summary, [role=listbox]") !== null;

  function attach(root, studio) {
    const down = (event) => {
      const { labelling } = studio;
      if (labelling.active) {
        if (event.defaultPrevented || !isOurs(root, event.target)) return;
        const taken = isTaken(event.target, event.key) || pressed(event.target, event.key);
        if (!taken || labelling.keys.learning) labelling.keys.down(event);
        return;
      }
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      if (!isOurs(root, event.target)) return;
      if (isTaken(event.target, event.key)) return;
      const { front, pictured } = studio.browse.place;
      const known = byKey.get(event.key);
      if (front === "grid" && !known?.always) return void studio.browse.grid.key(event);
      if (!known || (!pictured && !known.always)) return;
      event.preventDefault();
      known.action(studio, event);
    };
    const up = (event) => {
      if (event.key.toLowerCase() === "h") studio.store.set({ hidden: false });
    };
    const away = () => studio.store.set({ hidden: false });
    document.addEventListener("keydown", down);
    document.addEventListener("keyup", up);
    window.addEventListener("blur", away);
    return () => {
      document.removeEventListener("keydown", down);
      document.removeEventListener("keyup", up);
      window.removeEventListener("blur", away);
    };
  }

  parts.keys = { TABLE, attach };
})();
