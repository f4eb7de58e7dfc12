// What is to be done to labels, as the server takes it; who does it; and the words for it.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { labels } = parts;

  const WORDS = {
    prelabel: "pre-labelling",
    relabel: "change of class",
    accept: "acceptance",
    reject: "rejection",
    drop: "deletion",
    done: "image done",
    reopen: "image open again",
    order: "order",
    crowd: "crowd",
    fill: "holes filled",
    specks: "specks dropped",
    grow: "growing",
    shrink: "shrinking",
    revert: "return to the proposal",
    simplify: "simplification",
    undo: "undone",
    redo: "done again",
  };
  const word = (kind) => WORDS[kind] ?? String(kind);

  // [{id, mask, categoryId, state, z, iscrowd}] -> {made: whole labels, gone: ids whose mask was erased}
  function wanted(put, byId, { category, top }) {
    const made = [];
    const gone = [];
    let highest = top;
    for (const one of put) {
      const before = byId.get(one.id)?.record ?? null;
      if (one.mask && one.mask.area === 0) {
        if (before) gone.push(one.id);
        continue;
      }
      if (!before && !one.mask) continue;
      made.push(whole(one, before, before ? 0 : ++highest, category));
    }
    return { made, gone };
  }

  function whole(one, before, highest, category) {
    const code = one.mask ? labels.encode(one.mask) : before.rle;
    const result = {
      id: one.id ?? `n${labels.uid().slice(0, 20)}`,
      category_id: one.categoryId ?? before?.category_id ?? category,
      rle: code,
      z: one.z ?? before?.z ?? highest,
      iscrowd: one.iscrowd ?? before?.iscrowd ?? false,
      area: one.mask ? one.mask.area : before.area,
      bbox: [...(one.mask ? one.mask.bbox : before.bbox)],
    };
    return { ...result, state: one.state ?? stateOf(before, result) };
  }

  // what a person changed is the person's, unless the gesture says otherwise
  function stateOf(before, { category_id, rle, iscrowd }) {
    if (!before) return "new";
    if (before.origin === "person") return "new";
    const same = before.category_id === category_id && before.rle.counts === rle.counts && Boolean(before.iscrowd) === iscrowd;
    return same ? before.state : "edited";
  }

  const NAME = "comask-actor";

  // who sits here: made once for each browser, said with every gesture
  function read() {
    try {
      const { id } = JSON.parse(localStorage.getItem(NAME));
      if (/^.{1,64}$/.test(id)) return id;
    } catch {
      // nobody yet
    }
    return become("annotator");
  }

  // a name and six digits, so that two people of one name stay two
  function become(name) {
    const id = `${name.trim().slice(0, 50) || "annotator"}-${labels.uid().slice(0, 6)}`;
    try {
      localStorage.setItem(NAME, JSON.stringify({ id, name }));
    } catch {
      // for this page only
    }
    return id;
  }

  // the name alone where somebody gave one
  const nameOf = (actor) => (/^annotator-/.test(actor) ? actor : String(actor).replace(/-[0-9a-f]{6}$/, ""));

  function names(actors) {
    const all = [...new Set(actors.map(nameOf))];
    if (all.length === 0) return "Somebody";
    return all.length === 1 ? all[0] : `${all.slice(0, -1).join(", ")} and ${all.at(-1)}`;
  }

  parts.gestures = { wanted, word };
  parts.actor = { read, become, nameOf, names };
})();
