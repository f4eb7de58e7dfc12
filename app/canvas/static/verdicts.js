// How an instance looks: in its own colour, or in the colour and line of what became of it.
//
// Three of Okabe and Ito's hues that stay apart for every colour vision, and three kinds of line, so that
// colour never speaks alone.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { palette } = parts;

  const LOOKS = {
    tp: { colour: [86, 180, 233], line: "solid", word: "True positive", short: "TP", sign: "●", plural: "true positives" },
    fp: { colour: [213, 94, 0], line: "dotted", word: "False positive", short: "FP", sign: "✕", plural: "false positives" },
    fn: { colour: [240, 228, 66], line: "dashed", word: "Missed", short: "FN", sign: "○", plural: "missed" },
    ignored: { colour: [160, 160, 166], line: "dotted", word: "Not counted", short: "–", sign: "–", plural: "not counted" },
  };
  const ERRORS = {
    class: "wrong class",
    localisation: "poor fit",
    both: "wrong class and poor fit",
    duplicate: "found twice",
    background: "nothing there",
    missed: "missed altogether",
  };
  const MEANINGS = {
    class: "The mask fits an object of another class.",
    localisation: "The class is right, the overlap with the object is too small.",
    both: "It touches an object of another class, and not well enough.",
    duplicate: "It fits an object that a better ranked instance has taken.",
    background: "No object overlaps it by a tenth or more.",
    missed: "A truth object that was missed, and that no wrong class and no poor fit accounts for.",
  };

  for (const look of Object.values(LOOKS)) {
    look.css = `rgb(${look.colour.join(" ")})`;
    look.ink = palette.luminance(look.colour) > 0.179 ? "#000" : "#fff";
  }

  // {colour, css, ink, line: "solid" | "dashed" | "dotted" | "truth"} of an instance as the store has it drawn
  function lookOf(one, store) {
    const verdict = store.colouring === "verdict" ? store.verdictOf(one)?.verdict : undefined;
    if (verdict !== undefined) return LOOKS[verdict ?? "ignored"];
    one.look ??= {
      colour: one.colour,
      css: palette.css(one.index),
      ink: palette.ink(one.index),
      line: one.line ?? (one.truth ? "truth" : "solid"),
    };
    return one.look;
  }

  parts.verdicts = { LOOKS, ERRORS, MEANINGS, lookOf };
})();
