// What an exported file was found to hold when it was read again: checks, classes, polygons.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { dom, forms } = parts;
  const { element } = dom;

  const SHOWN = 4; // rows of a check before its list scrolls by itself
  const HIGH = 28;

  // passed or not, by sign, colour and word
  function mark(passed) {
    return element("span", { class: passed ? "cs-passed" : "cs-not-passed" }, passed ? "✓ passed" : "✕ failed");
  }

  class Certificate {
    // onjump(row): to {key, id}
    constructor({ labelling, onjump }) {
      Object.assign(this, { labelling, onjump });
      this.element = element("section", { "data-testid": "certificate" });
    }

    // answer: of the export, with the bar that it was asked with
    show({ certificate, polygons, bar }) {
      const { passed, checks, categories } = certificate;
      const bad = checks.filter((check) => !check.passed).length;
      const head = element("h2", { "data-testid": "certificate-verdict" }, mark(passed), ` Certificate: ${passed ? `the file was read again, and ${checks.length === 1 ? "its check" : `all ${checks.length} checks`} passed.` : `${forms.count(bad, "check")} of ${checks.length} failed.`}`);
      const listed = checks.map((check) => this.check(check));
      this.element.replaceChildren(head, element("ul", { class: "cs-checks" }, ...listed), this.classes(categories), ...(polygons ? this.polygons(polygons, bar) : []));
    }

    check({ name, passed, sentence, rows = [] }) {
      const made = element("li", { "data-testid": "certificate-check", "data-passed": String(passed) }, mark(passed), element("strong", {}, name.replaceAll("_", " ")), element("span", {}, sentence));
      if (rows.length > 0) made.append(this.list("certificate-rows", passed ? `About ${name}` : `Where ${name} failed`, rows, (row) => [element("span", { class: "cs-name" }, `${forms.nameOfImage(this.labelling, row)}: ${row.sentence}`)]));
      return made;
    }

    list(testid, label, rows, make) {
      const box = forms.listBox(testid, `${label}: Enter goes there`);
      box.style.height = `${Math.min(rows.length, SHOWN) * HIGH}px`;
      const made = new forms.Listed(box, { what: label, high: HIGH, make, onpick: (row) => this.onjump(row) });
      made.fill(rows);
      return box;
    }

    classes(categories) {
      const rows = categories.map(({ name, instances, evaluated, ap }) => {
        const right = instances === evaluated && (ap === null || ap >= 1);
        const numbers = [dom.grouped(instances), dom.grouped(evaluated), ap === null ? "–" : ap.toFixed(3)];
        return element("tr", { "data-testid": "certificate-class" }, element("th", { scope: "row" }, name), ...numbers.map((text) => element("td", {}, text)), element("td", {}, instances === 0 ? element("span", { class: "cs-quiet" }, "none") : mark(right)));
      });
      const head = ["Class", "Instances", "Evaluated", "AP with itself", "Verdict"].map((text) => element("th", { scope: "col" }, text));
      return element("div", { class: "cs-scroll cs-short" }, element("table", { "data-testid": "certificate-classes" }, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows)));
    }

    polygons({ drawn, fallen_back: back, worst_iou: worst, rows }, bar) {
      const reached = (worst ?? 1) >= bar ? "every polygon reaches the bar" : "some fall under the bar";
      const kept = back === 0 ? reached : `${forms.count(back, "instance")} stayed ${back === 1 ? "a mask" : "masks"} of pixels, because a polygon would fall under the bar`;
      const text = `${forms.count(drawn, "instance")} drawn as polygons; ${kept}.${worst === null || worst === undefined ? "" : ` The worst polygon that was written has an IoU of ${worst.toFixed(3)}.`}${rows.length < drawn + back && rows.length > 0 ? ` The worst ${dom.grouped(rows.length)} are listed.` : ""}`;
      const made = [element("p", { "data-testid": "polygons-text" }, text)];
      const make = ({ iou, points, ...row }) => [
        element("span", { class: "cs-name" }, forms.nameOfImage(this.labelling, row)),
        element("span", { class: "cs-quiet cs-number" }, `${points > 0 ? forms.count(points, "point") : "pixels"} · IoU ${iou.toFixed(3)}`),
      ];
      if (rows.length > 0) made.push(this.list("polygons-rows", "IoU of every polygon", rows, make));
      return made;
    }
  }

  Object.assign(parts, { Certificate });
})();
