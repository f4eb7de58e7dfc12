// What tests, and the page around, may ask: `window.studio`. Answers are copies; writing into them changes nothing.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { rle } = parts;

  const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1] ?? null;

  function state(studio) {
    const { store, view, viewer } = studio;
    return structuredClone({
      document: store.document?.key ?? null,
      url: studio.opener.url,
      ready: Boolean(store.document) && !store.loading && !viewer.frame && viewer.photo.levels.length > 0,
      loading: store.loading,
      pending: Boolean(store.document?.pending),
      error: store.error?.text ?? null,
      threshold: store.threshold,
      opacity: store.opacity,
      shown: store.shown.map(({ id }) => id),
      total: store.document?.instances.length ?? 0,
      hidden: (store.document?.instances.length ?? 0) - store.shown.length,
      hiddenAll: store.hidden,
      selected: store.selected,
      hovered: store.hovered,
      zoom: view.scale,
      pan: [view.x, view.y],
      size: view.size,
      switches: store.switches,
      layers: store.layers,
      classes: studio.panel.classes().map(([name]) => name).filter((name) => !store.off.has(name)),
      iou: store.iou,
      kind: store.kind,
      panel: store.panelShown,
      colouring: store.colouring,
      swipe: store.swipe,
      panes: viewer.panes,
      place: { ...studio.browse.place, listeners: undefined },
      front: studio.browse.place.front,
      inspection: studio.inspection.state,
      grid: { total: studio.browse.grid.total, selected: studio.browse.grid.selected, url: studio.browse.listed ?? null },
      dataset: studio.browse.info?.id ?? null,
      film: studio.film.state,
      label: labelled(studio.labelling),
      totals: store.judged.totals,
      verdicts: Object.fromEntries(store.judged.byId),
      paint: {
        frames: viewer.timing.frames,
        drawMs: median(viewer.timing.draw),
        inputMs: median(viewer.timing.input),
        lastInputMs: viewer.timing.input.at(-1) ?? null,
      },
    });
  }

  // the page Label
  function labelled(labelling) {
    const { outbox, opened, review, tools, store } = labelling;
    return {
      page: labelling.active,
      tool: tools?.current ?? "select",
      radius: tools?.radius ?? null,
      picked: store.selected,
      chosen: [...labelling.chosen],
      states: Object.fromEntries((opened?.instances ?? []).map(({ id, state: its }) => [id, its])),
      revision: opened?.revision ?? null,
      saved: outbox.waiting.length === 0,
      pending: outbox.waiting.length,
      conflict: outbox.hold?.detail ?? null,
      undo: opened?.label.undo ?? null,
      redo: opened?.label.redo ?? null,
      queue: { order: review.order, total: review.total, at: review.at },
      image_state: opened?.label.state ?? null,
      category: labelling.category,
      actor: labelling.actor,
      actions: labelling.actions,
      project: labelling.project,
    };
  }

  // the mask as it is drawn, encoded again from the spans that the drawing uses
  function mask(studio, id) {
    const one = studio.store.document?.byId.get(id);
    if (!one) return null;
    return { ...rle.encode(one.mask), area: one.mask.area, bbox: [...one.mask.bbox] };
  }

  // a point of the window where a click picks the instance, or null if it is out of sight
  function point(studio, id) {
    const one = studio.store.document?.byId.get(id);
    const found = one && studio.viewer.pointOf(one);
    if (!found) return null;
    const { left, top } = studio.find("canvas").getBoundingClientRect();
    return { x: left + found[0], y: top + found[1] };
  }

  parts.probe = (studio) =>
    Object.freeze({
      state: () => state(studio),
      mask: (id) => mask(studio, id),
      point: (id) => point(studio, id),
      film: () => structuredClone(studio.film.seen), // what of it is drawn at this moment
      curves: () => structuredClone(studio.browse.curvesAsked ?? null), // what Python is asked to draw
    });
})();
