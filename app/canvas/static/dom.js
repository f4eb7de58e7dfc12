// Small helpers for elements. Text only ever goes in as text: names come from strangers' files.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});

  // element("li", {class: "row", "data-testid": "x"}, "text", child, ...)
  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value === true) made.setAttribute(name, "");
      else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
    }
    made.append(...children.filter((child) => child !== null));
    return made;
  }

  // the element of the template that carries data-testid="name"
  function finder(root) {
    return (name) => {
      const found = root.querySelector(`[data-testid="${name}"]`);
      if (!found) throw new Error(`the template has no ${name}`);
      return found;
    };
  }

  const decimals = (value, digits = 2) => (value === null ? "–" : value.toFixed(digits));
  const numbers = new Intl.NumberFormat("en-GB");
  const grouped = (value) => numbers.format(Math.round(value)).replaceAll(",", " ");
  const percent = (share) => `${Math.round(share * 100)} %`;

  function zoomText(scale) {
    const share = scale * 100;
    return `${share < 10 ? share.toFixed(1) : Math.round(share)} %`;
  }

  // a chip in the instance's colour; the truth's is dashed, so that colour never speaks alone
  function chip(one, store) {
    const made = element("span", { class: one.truth ? "cs-chip cs-chip-truth" : "cs-chip", "aria-hidden": "true" });
    made.style.setProperty("--chip", parts.verdicts.lookOf(one, store).css);
    return made;
  }

  // the verdict as a small badge: sign, colour and short word
  function badge(verdict) {
    const { css, sign, short, word } = parts.verdicts.LOOKS[verdict ?? "ignored"];
    const made = element("span", { class: "cs-badge", title: word }, `${sign} ${short}`);
    made.style.setProperty("--chip", css);
    return made;
  }

  // what is known of an instance, as [name, value, explanation]
  function facts(one, store) {
    const [x1, y1, x2, y2] = one.box.map((value) => Math.round(value * 10) / 10);
    const scores = [
      ["Class score", decimals(one.classScore), "0 to 1; the slider compares this one"],
      ["Mask IoU", decimals(one.maskIou), "how well the model thinks its mask fits, about 0 to 1"],
      ["Ranking score", decimals(one.score), "class score + 0.3 × mask IoU: the order of the list"],
    ];
    return [
      ...verdictFacts(store.verdictOf(one), one),
      ...(one.truth ? [] : scores),
      ["Area", `${grouped(one.area)} px`, "pixels of the mask"],
      ...(one.levels ? [["Pyramid level", parts.levels.text(one.levels), parts.levels.MEANING]] : []),
      ["Box", `${x1}, ${y1} – ${x2}, ${y2}`, "left, top – right, bottom in image pixels"],
    ];
  }

  function verdictFacts(judged, one) {
    if (!judged) return [];
    const { LOOKS, ERRORS, MEANINGS } = parts.verdicts;
    const { word } = LOOKS[judged.verdict ?? "ignored"];
    const kind = judged.error ? ` (${ERRORS[judged.error]})` : "";
    const found = [["Verdict", `${word}${kind}`, MEANINGS[judged.error] ?? "at the score and the IoU of the sliders"]];
    if (judged.with !== null) found.push(["Matched IoU", decimals(judged.iou), `with ${one.truth ? "instance" : "truth object"} ${judged.with}`]);
    return found;
  }

  parts.dom = { element, finder, decimals, grouped, percent, zoomText, chip, badge, facts };
})();
