// What the page Label knows of an image: the labels as the server has them, and what is on its way there on top.
//
// A sheet is {key, revision, image, categories, label, records: id -> record, places: id -> colour}. Records are
// never written into: an instance of the page stays the same object while its record means the same.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { rle, dom } = parts;

  const STATES = {
    proposed: { sign: "?", word: "proposed", line: "dashed", meaning: "The model's proposal: nobody has looked at it yet" },
    accepted: { sign: "✓", word: "accepted", line: "solid", meaning: "Somebody found it right as it was" },
    edited: { sign: "✎", word: "edited", line: "solid", meaning: "Somebody changed its mask or its class" },
    rejected: { sign: "✕", word: "rejected", line: "dotted", meaning: "Kept as a memory, so that no run proposes it again; never exported" },
    new: { sign: "+", word: "new", line: "solid", meaning: "Drawn by hand" },
  };
  const ORIGINS = { model: "the model", person: "drawn by hand", file: "the dataset's file" };
  const SAME = ["category_id", "state", "z", "iscrowd", "origin", "class_score", "instability", "disagreement", "kept"];

  const decoded = new WeakMap(); // code -> mask, of what was drawn here

  // 32 hexadecimal digits; randomUUID is missing where the page comes over plain http
  function uid() {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  // a mask -> its code; the mask is not decoded again
  function encode(mask) {
    const code = rle.encode(mask);
    decoded.set(code, mask);
    return code;
  }

  const maskOf = (code) => decoded.get(code) ?? remember(code);

  function remember(code) {
    const mask = rle.decode(code);
    decoded.set(code, mask);
    return mask;
  }

  // the server's JSON -> a sheet; `before` is an older one of the same image, whose colours stay
  function read(json, before = null) {
    const { image } = json;
    if (!(image?.width > 0 && image?.height > 0) || !Array.isArray(json.instances)) {
      throw new parts.document.LoadError(json.note || "This image's labels are incomplete: the image's size or its instances are missing.");
    }
    const sheet = {
      key: String(image.key),
      revision: json.revision ?? 0,
      image,
      editable: json.layers?.[0]?.editable !== false,
      categories: (json.categories ?? []).map(({ id, name }) => ({ id, name: String(name) })),
      label: { project: null, state: "open", undo: null, redo: null, note: "", ...json.label },
      records: new Map(json.instances.map((one) => [String(one.id), one])),
      places: before?.places ?? new Map(),
    };
    for (const id of sheet.records.keys()) placeOf(sheet, id);
    return sheet;
  }

  // one colour for ever, whatever becomes of the others
  function placeOf(sheet, id) {
    if (!sheet.places.has(id)) sheet.places.set(id, sheet.places.size);
    return sheet.places.get(id);
  }

  // what the server answered to a gesture -> the sheet after it
  function answered(sheet, { revision, instances = [], drop = [], state, undo, redo }) {
    const records = new Map(sheet.records);
    for (const one of instances) records.set(String(one.id), one);
    for (const id of drop) records.delete(id);
    const label = { ...sheet.label, undo: undo ?? null, redo: redo ?? null, state: state ?? sheet.label.state };
    return { ...sheet, revision, records, label };
  }

  // a label as a gesture puts it, over what it was before
  function put(before, wanted) {
    const { id, category_id, rle: code, state, z, iscrowd, area, bbox } = wanted;
    if (!before) {
      const unknown = { class_score: null, mask_iou: null, score: null, instability: null, disagreement: null, kept: null, proposed_rle: null, proposed_category_id: null };
      return { ...unknown, id, layer: "label", origin: "person", checkpoint: "", box: null, category_id, rle: code, state, z, iscrowd, area, bbox };
    }
    const reshaped = before.rle.counts !== code.counts;
    const proposed = before.proposed_rle ?? (before.origin === "model" && (reshaped || before.category_id !== category_id) ? before.rle : null);
    const category = before.proposed_category_id ?? (proposed ? before.category_id : null);
    const kept = proposed && reshaped ? (parts.masks?.iou(maskOf(code), maskOf(proposed)) ?? before.kept) : before.kept;
    return { ...before, category_id, rle: code, state, z, iscrowd, area, bbox, kept, proposed_rle: proposed, proposed_category_id: category, box: reshaped ? null : before.box };
  }

  const made = new WeakMap(); // what a gesture puts -> {before, record}

  function putOnce(before, wanted) {
    const known = made.get(wanted);
    if (known && known.before === before) return known.record;
    const record = put(before, wanted);
    made.set(wanted, { before, record });
    return record;
  }

  // the sheet with gestures that are still on their way -> the document that the page shows
  function build(sheet, gestures, previous) {
    const records = new Map(sheet.records);
    const label = { ...sheet.label };
    for (const { body, kind } of gestures) {
      for (const wanted of body.put) records.set(wanted.id, putOnce(records.get(wanted.id), wanted));
      for (const id of body.drop) records.delete(id);
      if (body.state) label.state = body.state;
      Object.assign(label, { undo: kind, redo: null });
    }
    const names = new Map(sheet.categories.map(({ id, name }) => [id, name]));
    const old = previous?.labels && previous.key === sheet.key ? previous.byId : new Map();
    const instances = [...records.values()].map((record) => instance(record, old.get(String(record.id)), sheet, names));
    instances.sort((a, b) => a.index - b.index);
    return {
      key: sheet.key,
      revision: sheet.revision,
      image: sheet.image,
      categories: sheet.categories,
      layers: ["label"],
      labels: true,
      editable: sheet.editable,
      label,
      pending: null,
      note: label.note,
      pairs: [],
      judged: false,
      instances,
      byId: new Map(instances.map((one) => [one.id, one])),
    };
  }

  // the same object as before where nothing that is shown differs, and its decoded mask where the mask does not
  function instance(record, old, sheet, names) {
    const reshaped = !old || old.record.rle.counts !== record.rle.counts;
    const named = names.get(record.category_id) ?? `class ${record.category_id}`;
    if (old && !reshaped && old.name === named && SAME.every((name) => old.record[name] === record[name])) return old;
    const one = new parts.document.Instance(record, placeOf(sheet, String(record.id)), names, new Set());
    one.decoded = decoded.get(record.rle) ?? (reshaped ? null : old.decoded);
    const { state, origin, z = 0, checkpoint = "", instability = null, disagreement = null, kept = null } = record;
    return Object.assign(one, { state, origin, z, checkpoint, instability, disagreement, kept, line: STATES[state]?.line ?? "solid" });
  }

  // the state as a small sign with its word
  function badge(state) {
    const { sign, word, meaning } = STATES[state] ?? { sign: "·", word: String(state), meaning: "" };
    return dom.element("span", { class: `cs-state cs-state-${word}`, title: `${word}: ${meaning}` }, sign);
  }

  parts.labels = { STATES, ORIGINS, uid, encode, maskOf, read, answered, build, badge };
})();
