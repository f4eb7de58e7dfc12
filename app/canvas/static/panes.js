// Which part of the canvas shows which layer: one picture, or truth and prediction against each other.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});

  const PANELS = [
    ["truth", "Truth", "What people drew, alone"],
    ["prediction", "Prediction", "What the model found; when coloured by verdict, also what it missed"],
    ["both", "Both", "Truth and prediction over each other"],
    ["swipe", "Swipe", "Truth left of the line, prediction right of it: drag the line"],
    ["blink", "Blink", "Truth and prediction in turn; X turns by hand"],
    ["side", "Side by side", "Two pictures that move together"],
  ];
  const NAMES = { truth: "Truth", prediction: "Prediction", both: "Truth and prediction" };

  // does a pane of this name show the instance?
  function admits(name, one, store) {
    if (name === "both") return true;
    if (name === "truth") return one.truth;
    if (!one.truth) return true;
    return store.colouring === "verdict" && store.verdictOf(one)?.verdict === "fn";
  }

  // [{name, left, width, shift}] in CSS pixels: what lies in [left, left + width) is drawn moved by shift
  function layout(store, width) {
    const whole = (name) => [{ name, left: 0, width, shift: 0 }];
    const half = Math.floor(width / 2);
    switch (store.panelShown) {
      case "swipe": {
        const line = Math.round(width * store.swipe);
        return [
          { name: "truth", left: 0, width: line, shift: 0 },
          { name: "prediction", left: line, width: width - line, shift: 0 },
        ];
      }
      case "side":
        return [
          { name: "truth", left: 0, width: half, shift: 0 },
          { name: "prediction", left: half, width: width - half, shift: half },
        ];
      case "blink":
        return whole(store.blink ? "truth" : "prediction");
      default:
        return whole(store.panelShown);
    }
  }

  // is the instance in any pane?
  function shows(store, one) {
    const { panelShown: panel } = store;
    const names = panel === "swipe" || panel === "side" || panel === "blink" ? ["truth", "prediction"] : [panel];
    return names.some((name) => admits(name, one, store));
  }

  parts.panes = { PANELS, NAMES, admits, layout, shows };
})();
