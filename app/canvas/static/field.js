// Receptive fields: which pixels decide what a branch gives, at a clicked cell or for an instance.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { dom, api } = parts;

  const TARGETS = [
    ["cell", "Clicked cell", "Click the image: the cell of each level that looks there"],
    ["instance", "Picked instance", "The mean over all cells inside the mask of the instance that is picked"],
    ["class", "Its class", "The mean over up to 12 instances of its class in this image, one cell each, laid over each other"],
    ["set", "Dataset", "The mean over the middle cells of a dataset's images, laid over each other; also for two checkpoints side by side"],
  ];
  const PATHS = [
    ["own", "Own path", "Through the branch's own convolutions only: what the deeper branch gave is a constant"],
    ["cascade", "With cascade", "Also through the deeper branches that feed it"],
  ];
  const NORMS = [
    ["frozen", "Norm frozen", "Norm statistics are constants: the field is local, and exactly zero outside the theoretical box"],
    ["live", "Norm live", "Norm statistics move with the input: the field is global, every pixel counts a little"],
  ];
  const FRAMES = [
    ["image", "In pixels", "Through pyramid and backbone to the pixels of the image"],
    ["level", "In cells", "Only through the MSFEM, to the cells that it takes in"],
  ];
  const SHARES = ["50 %", "90 %", "99 %"];
  const COLOURS = ["#ffffff", "#f0e442", "#e69f00"];
  const GREY = [150, 150, 158];

  class Field {
    constructor(page) {
      this.page = page;
      this.range = "map"; // fields of one cell differ by magnitudes
      page.studio.viewer.extras.push((context, view) => this.drawMarks(context, view));
    }

    drawnBy() {
      const { target, path, norm, frame } = this.page.place;
      return [target, path, norm, frame, this.page.place.images, this.page.place.other, this.page.info?.id];
    }

    controls() {
      const { page } = this;
      const ofSet = page.place.target === "set" ? [this.countChoice(), this.otherChoice()] : [];
      return [page.segments("target", TARGETS), ...ofSet, page.segments("path", PATHS), page.segments("norm", NORMS), page.segments("frame", FRAMES)];
    }

    countChoice() {
      const { place } = this.page;
      const made = dom.element("select", { "data-testid": "field-images", "aria-label": "Images", title: "How many of the dataset's images, from the first on" }, ...[4, 8, 16, 32, 64].map((count) => dom.element("option", { value: String(count) }, `${count} images`)));
      made.value = String(place.images);
      made.addEventListener("change", () => place.set({ images: Number(made.value) }));
      return made;
    }

    otherChoice() {
      const { place, studio } = this.page;
      const names = studio.browse.names.filter((name) => name !== place.checkpoint);
      const made = dom.element("select", { "data-testid": "field-other", "aria-label": "Beside", title: "A second checkpoint whose fields are measured on the same images" }, dom.element("option", { value: "" }, names.length ? "no other checkpoint" : "no other checkpoint here"), ...names.map((name) => dom.element("option", { value: name }, `beside ${name}`)));
      made.value = names.includes(place.other) ? place.other : "";
      made.addEventListener("change", () => place.set({ other: made.value || null }));
      return made;
    }

    get needsNoImage() {
      return this.page.place.target === "set";
    }

    get picked() {
      const { picked } = this.page.store;
      return picked && !picked.truth ? picked : null;
    }

    needs() {
      const { place, studio } = this.page;
      if (place.target === "set" && !studio.browse.info) return "Open a dataset: the mean field over its images stands here.";
      if (place.target === "instance" && !this.picked) return "Pick an instance that the model found, on the image or in the list: its receptive field stands here.";
      return place.target === "class" && !this.picked ? "Pick an instance that the model found: the mean field of its class stands here." : "";
    }

    offers() {
      const { place, studio } = this.page;
      if (place.target !== "set" || studio.browse.inDataset) return [];
      return [this.page.button("open-dataset", "Open a dataset", "The mean is over its images", () => this.page.openDataset())];
    }

    get query() {
      const { target, point, path, norm, frame } = this.page.place;
      return { path, norm, frame, point: target === "cell" ? point : null, instance: target === "cell" ? null : this.picked?.id, alike: target === "class" ? 1 : null };
    }

    address(key, checkpoint) {
      const { target, path, norm, frame, images, other } = this.page.place;
      if (target === "set") return api.address(`/api/fields-set/${encodeURIComponent(this.page.studio.browse.info.id)}`, { checkpoint, path, norm, frame, images, other });
      return api.address(`/api/fields/${encodeURIComponent(key)}`, { checkpoint, ...this.query });
    }

    onselect() {
      if (["instance", "class"].includes(this.page.place.target)) this.page.ask();
    }

    // a click names a cell; with the target "instance" it picks, as everywhere
    click([x, y]) {
      const { place, store } = this.page;
      const { width, height } = store.document?.image ?? {};
      if (place.target !== "cell" || !(x >= 0 && y >= 0 && x < width && y < height)) return false;
      place.set({ point: `${x.toFixed(1)},${y.toFixed(1)}` });
      return true;
    }

    get unit() {
      return `Influence of each ${this.page.place.frame === "image" ? "pixel" : "cell"}: its gradient, on a square-root scale.`;
    }

    // what the picture shows, as it is asked
    help() {
      const { target, path, norm, frame } = this.page.place;
      const whose = { cell: "at the clicked cell", instance: "inside the picked instance", class: "in instances of one class, on average", set: "in the middle of the dataset's images, on average" }[target];
      const way = path === "own" ? "by its own convolutions" : "by its own convolutions and the deeper branches that feed it";
      const far = norm === "live" ? "; as normalisation adapts to the whole image, every pixel counts a little" : "";
      return `Bright ${frame === "image" ? "pixels" : "cells"} decide most what a branch gives ${whose}, ${way}${far}.`;
    }

    take(head) {
      this.head = head;
      if (this.page.place.target === "set") this.lay(head);
      const rows = head.levels.map((one) => ({
        ...parts.maps.levelOf(one.level),
        meaning: `every ${one.stride} network pixels a cell`,
        panels: one.panels.map((panel) => ({
          name: panel.name,
          map: panel.values,
          kind: "root",
          first: panel.first,
          step: panel.step,
          note: panel.mass > 0 ? meanOf(this.page.place.target, one.count) : "No pixel moves it: this checkpoint's branch gives the same whatever the image",
          caption: panel.mass > 0 ? `${panel.sides[1].toFixed(0)} px` : "no pixel",
        })),
      }));
      const columns = rows[0].panels.map(({ name }) => parts.maps.column(name));
      this.standBack();
      return { rows, columns, scale: head.scale };
    }

    // a mean over many images lies around nothing: put it in the middle of the open one
    lay(head) {
      const { width = 0, height = 0 } = this.page.store.document?.image ?? {};
      const [x, y] = [width / 2 - (head.laid?.[0] ?? 0), height / 2 - (head.laid?.[1] ?? 0)];
      head.laid = [width / 2, height / 2];
      for (const panel of head.levels.flatMap(({ panels }) => panels)) {
        panel.first = [panel.first[0] + x, panel.first[1] + y];
        panel.theory = panel.theory.map((side, at) => side + (at % 2 ? y : x));
        for (const contour of panel.contours) contour.polygons = contour.polygons.map((points) => points.map(([left, top]) => [left + x, top + y]));
      }
    }

    panel(level, name) {
      return this.head?.levels.find((one) => one.level === level)?.panels.find((one) => one.name === name) ?? null;
    }

    files(level, name) {
      if (this.page.place.target === "set") return [];
      const { key, checkpoint } = this.page;
      return ["npy", "csv"].map((kind) => [kind, api.address(`/api/fields/${encodeURIComponent(key)}/${encodeURIComponent(`P${level}-${name}.${kind}`)}`, { checkpoint, ...this.query })]);
    }

    facts(level) {
      const one = this.head.levels.find((row) => row.level === level);
      const { object, thresholds } = this.head;
      const px = (value) => (value > 0 ? value.toFixed(0) : "–");
      const cell = (text) => dom.element("td", { class: "cs-number" }, text);
      const head = (...texts) => dom.element("thead", {}, dom.element("tr", {}, ...texts.map(([text, meaning]) => dom.element("th", { scope: "col", title: meaning ?? "" }, text))));
      const body = (values) => dom.element("tbody", {}, ...one.panels.map((panel) => dom.element("tr", {}, dom.element("th", { scope: "row" }, panel.name), ...values(panel).map(cell))));
      const theory = ([x1, , x2]) => (x2 - x1).toFixed(0);
      const sizes = dom.element("table", { "data-testid": "field-sizes" }, head(["side, px"], ["at most", "Width of the box that convolutions can reach (the theoretical receptive field), cut at the image's edges"], ...SHARES.map((share) => [share, `Side of a square as large as the smallest set of pixels that holds ${share} of all influence; its contour is drawn after a slight blur`])), body((panel) => [theory(panel.theory), ...panel.sides.map(px)]));
      const ratios = dom.element("table", { "data-testid": "field-ratios" }, head(["area, % of map"], ...thresholds.map((share) => [`${Math.round(100 * share)} %`, `Share of the whole map that the smallest square around the cell covers which holds ${Math.round(100 * share)} % of all influence: the high-contribution area ratio`])), body((panel) => panel.ratios.map((value) => (100 * value).toFixed(2))));
      const key = dom.element("p", { class: "cs-contours" }, ...SHARES.map((share, at) => {
        const line = dom.element("i");
        line.style.borderColor = COLOURS[at];
        return dom.element("span", {}, line, share);
      }), dom.element("span", {}, dom.element("i", { class: "cs-theory" }), "at most"));
      const beyond = this.page.place.norm === "live" ? "beyond the dashed box, only normalisation carries it" : "nothing beyond the dashed box can count";
      const reading = dom.element("p", { class: "cs-quiet" }, `A line holds this share of all influence; ${beyond}.`);
      const made = [key, reading, sizes, ratios, ...this.beside(level)];
      if (object) made.unshift(dom.element("p", { "data-testid": "field-object" }, `The object's side: ${object.side.toFixed(0)} px; cut from P${object.levels[1]}.`));
      const outside = Math.max(...one.panels.map((panel) => panel.outside));
      made.push(dom.element("p", { class: "cs-quiet", "data-testid": "field-outside" }, this.page.place.norm === "live" ? `Global: up to ${(100 * outside).toFixed(1)} % of all influence comes from outside the theoretical box, through norm statistics.` : `Outside the theoretical box: ${outside === 0 ? "exactly 0" : outside.toExponential(1)}.`));
      return made;
    }

    // the same numbers for both checkpoints
    beside(level) {
      const rows = (this.head.rows ?? []).filter((one) => one.level === level);
      const names = [...new Set(rows.map(({ checkpoint }) => checkpoint))];
      if (names.length < 2) return [];
      const branches = [...new Set(rows.map(({ name }) => name))];
      const of = (checkpoint, name) => rows.find((one) => one.checkpoint === checkpoint && one.name === name);
      const cell = (one) => dom.element("td", { class: "cs-number" }, one ? `${one.sides[1].toFixed(0)} px, ${(100 * one.ratios[3]).toFixed(1)} %` : "–");
      return [dom.element("table", { "data-testid": "field-beside" }, dom.element("caption", { class: "cs-quiet" }, "Side that holds 90 %, and area that holds 99 %"), dom.element("thead", {}, dom.element("tr", {}, dom.element("th", {}), ...names.map((name) => dom.element("th", { scope: "col" }, name)))), dom.element("tbody", {}, ...branches.map((name) => dom.element("tr", {}, dom.element("th", { scope: "row" }, name), ...names.map((checkpoint) => cell(of(checkpoint, name)))))))];
    }

    // contours, the theoretical box and the clicked place, over the image
    drawMarks(context, view) {
      const { page } = this;
      if (page.view !== this || !page.chosen) return;
      const panel = this.panel(page.chosen.row.level, page.chosen.panel.name);
      if (!panel) return;
      const { width, height } = page.store.document.image;
      context.save();
      context.beginPath();
      context.rect(...view.toScreen(0, 0), width * view.scale, height * view.scale);
      context.clip(); // the mean of many images is larger than this one
      panel.contours.forEach(({ polygons }, at) => outline(context, view, polygons, COLOURS[at]));
      context.restore();
      const [left, top] = view.toScreen(panel.theory[0], panel.theory[1]);
      const [right, bottom] = view.toScreen(panel.theory[2], panel.theory[3]);
      context.save();
      for (const [width, colour] of [[3, "rgb(0 0 0 / 0.6)"], [1.4, "#56b4e9"]]) {
        context.setLineDash([7, 5]);
        context.lineWidth = width;
        context.strokeStyle = colour;
        context.strokeRect(left, top, right - left, bottom - top);
      }
      context.restore();
      if (page.place.target === "cell") cross(context, view.toScreen(...this.point));
    }

    get point() {
      const given = this.page.place.point.split(",").map(Number);
      if (given.length === 2 && given.every(Number.isFinite)) return given;
      const { width = 0, height = 0 } = this.page.store.document?.image ?? {};
      return [width / 2, height / 2];
    }

    mark() {
      this.page.studio.viewer.redraw("marks");
    }

    onstore(changed) {
      if (this.page.table && ["shown", "switches"].some((name) => changed.has(name))) this.standBack();
    }

    // instances are thin and grey: the colours belong to the field's lines
    standBack() {
      const { viewer, store } = this.page.studio;
      const shown = store.switches.outline ? store.shown.filter(({ truth }) => !truth) : [];
      viewer.stand = shown.map(({ mask }) => ({ mask, truth: false, colour: GREY, line: "solid" }));
      viewer.redraw("masks");
    }

    oncleared() {
      this.page.studio.viewer.stand = null;
      this.page.studio.viewer.redraw("masks", "marks");
    }

    leave() {
      this.oncleared();
    }

    get state() {
      const chosen = this.page.chosen;
      const panel = chosen && this.panel(chosen.row.level, chosen.panel.name);
      return { point: this.point, field: panel && { mass: panel.mass, outside: panel.outside, theory: panel.theory, sides: panel.sides, ratios: panel.ratios } };
    }
  }

  const meanOf = (target, count) => (target === "set" ? `The mean over ${count} images, laid in the middle of this one` : target === "class" ? `The mean over ${count} instances, laid on the picked one` : "");

  function outline(context, view, polygons, colour) {
    const path = new Path2D();
    for (const points of polygons) {
      points.forEach(([x, y], at) => {
        const [left, top] = view.toScreen(x, y);
        if (at === 0) path.moveTo(left, top);
        else path.lineTo(left, top);
      });
      path.closePath();
    }
    for (const [width, style] of [[3, "rgb(0 0 0 / 0.55)"], [1.5, colour]]) {
      context.lineWidth = width;
      context.strokeStyle = style;
      context.stroke(path);
    }
  }

  function cross(context, [x, y]) {
    for (const [width, colour] of [[4, "rgb(0 0 0 / 0.7)"], [2, "#fff"]]) {
      context.lineWidth = width;
      context.strokeStyle = colour;
      context.beginPath();
      context.moveTo(x - 8, y);
      context.lineTo(x + 8, y);
      context.moveTo(x, y - 8);
      context.lineTo(x, y + 8);
      context.stroke();
    }
  }

  (parts.inspections ??= {}).field = Field;
})();
