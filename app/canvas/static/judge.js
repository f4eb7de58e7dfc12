// The verdict on every instance of the open document, kept up to date by the store: never a request.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { matching } = parts;

  const NOTHING = { byId: new Map(), totals: null };

  // the parts of a document that matching reads, made once a document
  function prepare(opened) {
    const found = opened.instances.filter((one) => !one.truth);
    const truth = opened.instances.filter((one) => one.truth);
    return { found, truth, rows: matching.index(opened.pairs ?? [], truth), limit: opened.limit ?? undefined };
  }

  // {document, threshold, iou, kind} -> {byId: id -> {verdict, with, iou, error}, totals}
  function judge({ document: opened, threshold, iou, kind }) {
    if (!opened?.judged) return NOTHING;
    opened.prepared ??= prepare(opened);
    const { found, truth, rows, limit } = opened.prepared;
    const line = { iou, threshold, kind, limit };
    const result = matching.match(opened.prepared, line);
    const byId = new Map();
    result.found.forEach((one, at) => {
      const error = one.verdict === "fp" ? matching.errorKind(found[at], rows.get(at) ?? [], truth, line) : null;
      byId.set(found[at].id, { ...one, with: truth[one.with]?.id ?? null, error });
    });
    result.truth.forEach((one, at) => {
      byId.set(truth[at].id, { ...one, with: found[one.with]?.id ?? null, error: null });
    });
    return { byId, totals: matching.totals(result) };
  }

  // the best mask IoU of a prediction with any truth object; null where nobody compared them
  judge.trueIou = ({ document: opened }, one) => {
    if (!opened?.judged || one.truth) return null;
    const { found, rows } = (opened.prepared ??= prepare(opened));
    const row = rows.get(found.indexOf(one)) ?? [];
    return Math.max(0, ...row.filter(({ crowd }) => !crowd).map(({ mask }) => mask));
  };

  parts.judge = judge;
})();
