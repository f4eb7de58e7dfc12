// What was found against what is there, at any IoU and any score: pycocotools' matching, in the browser.
//
// A document brings the IoUs of all pairs worth matching, so moving a slider asks nobody. Within a class the
// found are taken in rank order; each takes the free truth object with the highest IoU of at least the line
// (of equals the later one), or is absorbed by a crowd region, which is never used up.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});

  const MOST = 1 - 1e-10; // a line of 1 must still let a perfect mask through
  const NO_LIMIT = 1e9;
  const LEAST = 0.1; // of any class: an IoU below it is no relation at all

  // the document's pairs by found instance, in the order in which truth objects are tried: crowds last
  function index(pairs, truth) {
    const rows = new Map();
    for (const [found, column, mask, box] of pairs) {
      if (!rows.has(found)) rows.set(found, []);
      rows.get(found).push({ truth: column, mask, box, crowd: truth[column]?.crowd === true });
    }
    for (const row of rows.values()) row.sort((a, b) => a.crowd - b.crowd || a.truth - b.truth);
    return rows;
  }

  // found [{classScore, categoryId}] in rank order, truth [{categoryId, crowd}]
  // -> {found, truth}: for each {verdict: "tp" | "fp" | "fn" | "ignored" | null, with, iou}; null counts for nothing
  function match({ rows, found, truth }, { iou, threshold, kind, limit = NO_LIMIT }) {
    const line = Math.min(iou, MOST);
    const gate = Math.fround(threshold);
    const counted = new Map();
    const results = truth.map(({ crowd }) => ({ verdict: crowd ? "ignored" : "fn", with: null, iou: 0 }));
    const judged = found.map((one, at) => {
      const before = counted.get(one.categoryId) ?? 0;
      const counts = Math.fround(one.classScore) > gate && !one.unknown && before < limit;
      if (!counts) return { verdict: null, with: null, iou: 0 };
      counted.set(one.categoryId, before + 1);
      const taken = best(one, rows.get(at) ?? [], truth, results, line, kind);
      if (!taken) return { verdict: "fp", with: null, iou: 0 };
      if (taken.crowd) return { verdict: "ignored", with: taken.truth, iou: taken[kind] };
      results[taken.truth] = { verdict: "tp", with: at, iou: taken[kind] };
      return { verdict: "tp", with: taken.truth, iou: taken[kind] };
    });
    return { found: judged, truth: results };
  }

  function best(one, row, truth, results, line, kind) {
    let least = line;
    let chosen = null;
    for (const pair of row) {
      if (truth[pair.truth].categoryId !== one.categoryId) continue;
      if (!pair.crowd && results[pair.truth].verdict === "tp") continue;
      if (chosen && !chosen.crowd && pair.crowd) break;
      if (pair[kind] < least) continue;
      least = pair[kind];
      chosen = pair;
    }
    return chosen;
  }

  // which of the error kinds a false positive is, by its best overlaps with each sort of truth object
  function errorKind(one, row, truth, { iou, kind }) {
    let same = 0;
    let other = 0;
    for (const pair of row) {
      if (pair.crowd) continue;
      if (truth[pair.truth].categoryId === one.categoryId) same = Math.max(same, pair[kind]);
      else other = Math.max(other, pair[kind]);
    }
    if (same >= LEAST && same < iou) return "localisation";
    if (other >= iou) return "class";
    if (same >= iou) return "duplicate";
    return other >= LEAST ? "both" : "background";
  }

  function totals({ found, truth }) {
    const count = (list, verdict) => list.filter((one) => one.verdict === verdict).length;
    const tp = count(found, "tp");
    const fp = count(found, "fp");
    const fn = count(truth, "fn");
    const share = (part, whole) => (whole > 0 ? part / whole : null);
    return { tp, fp, fn, precision: share(tp, tp + fp), recall: share(tp, tp + fn), f1: share(2 * tp, 2 * tp + fp + fn) };
  }

  parts.matching = { index, match, errorKind, totals };
})();
