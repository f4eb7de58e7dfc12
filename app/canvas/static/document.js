// One image's document: fetched, checked, and turned into instances that decode themselves.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { rle, palette } = parts;

  const SCHEMA = 1;

  class LoadError extends Error {}

  async function fetchJson(url, what, signal) {
    let answer;
    try {
      answer = await fetch(url, { signal, headers: { Accept: "application/json" } });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new LoadError(`${what} could not be fetched: the Studio's server does not answer.`);
    }
    if (answer.status === 404) throw new LoadError(`${what} is not on the server any more.`);
    if (!answer.ok) throw new LoadError(await reason(answer, what));
    try {
      return await answer.json();
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new LoadError(`${what} could not be read: the server's answer is not JSON.`);
    }
  }

  // the server's own sentence where it gave one: {"detail": "..."}
  async function reason(answer, what) {
    const said = await answer.json().catch(() => null);
    if (typeof said?.detail === "string" && said.detail) return said.detail.slice(0, 300);
    return `${what} could not be fetched: the server answered ${answer.status}.`;
  }

  async function load(url, signal) {
    return open(await fetchJson(url, "This image's document", signal));
  }

  // the document's JSON -> {key, image, categories, layers, instances}
  function open(json) {
    if (json?.schema !== SCHEMA) {
      throw new LoadError(`This page reads documents of schema ${SCHEMA} and got ${json?.schema}: reload the page.`);
    }
    const { image } = json;
    if (!(image?.width > 0 && image?.height > 0) || !Array.isArray(json.instances)) {
      throw new LoadError(json.note || "This image's document is incomplete: the image's size or its instances are missing.");
    }
    const names = new Map((json.categories ?? []).map(({ id, name }) => [id, String(name)]));
    const unknown = new Set((json.categories ?? []).filter(({ truth }) => truth === false).map(({ id }) => id));
    const instances = json.instances.map((record, index) => new Instance(record, index, names, unknown));
    return {
      key: String(image.key),
      revision: json.revision ?? 0,
      image,
      categories: [...names].map(([id, name]) => ({ id, name })),
      layers: (json.layers ?? []).map(({ name }) => String(name)),
      pending: json.pending?.url ? json.pending : null, // {text, url}: there will be more at url
      note: json.note ?? "", // why there are no predictions
      suits: typeof json.suits?.checkpoint === "string" ? json.suits : null, // {checkpoint, text}: another one finds what is annotated
      pairs: Array.isArray(json.pairs) ? json.pairs : [], // [found, truth, mask IoU, box IoU]
      limit: json.limit, // instances of a class that count
      judged: Array.isArray(json.pairs), // whether truth and prediction were compared
      instances,
      byId: new Map(instances.map((one) => [one.id, one])),
    };
  }

  class Instance {
    constructor(record, index, names, unknown) {
      this.id = String(record.id);
      this.index = index; // its place in the document: rank order, and its colour
      this.layer = record.layer;
      this.truth = record.layer === "truth";
      this.categoryId = record.category_id;
      this.name = names.get(record.category_id) ?? `class ${record.category_id}`;
      this.unknown = unknown.has(record.category_id); // the truth has no such class
      this.classScore = record.class_score ?? null;
      this.maskIou = record.mask_iou ?? null;
      this.score = record.score ?? null;
      this.bbox = record.bbox ?? [0, 0, 0, 0]; // tight around the mask: x, y, w, h
      this.area = record.area ?? 0;
      const [x, y, width, height] = this.bbox;
      this.box = record.box ?? [x, y, x + width, y + height]; // the model's own, if it is the model's
      this.levels = record.levels ?? null; // of the pyramid: in the first and the second pass
      this.proposal = record.proposal ?? null; // the box that it began with
      this.crowd = record.iscrowd === true || record.iscrowd === 1;
      this.colour = palette.rgb(index);
      this.damaged = false;
      this.record = record;
      this.decoded = null;
    }

    // decoded when first drawn or picked, and kept
    get mask() {
      if (this.decoded === null) {
        try {
          this.decoded = rle.decode(this.record.rle);
        } catch {
          this.damaged = true;
          this.decoded = rle.nothing(this.record.rle?.size ?? [0, 0]);
        }
      }
      return this.decoded;
    }
  }

  parts.document = { LoadError, Instance, fetchJson, reason, load, open };
})();
