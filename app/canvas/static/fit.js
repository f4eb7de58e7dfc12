// Field fit: every true object of a dataset, its size against the receptive field that speaks for it; found or missed.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { dom, api } = parts;

  const FOUND = "#0072b2";
  const MISSED = "#d55e00";
  const PADDING = { left: 52, right: 14, top: 12, bottom: 38 };
  const NEAR = 7; // CSS pixels from a point that a click means
  const BINS = [[0, 0.25], [0.25, 0.5], [0.5, 1], [1, 2], [2, Infinity]]; // object / field

  class Fit {
    constructor(page) {
      this.page = page;
      this.needsNoImage = true;
      this.head = null;
      this.drag = null;
    }

    get info() {
      const { browse } = this.page.studio;
      return browse.inDataset ? browse.info : null;
    }

    needs() {
      if (!this.page.studio.browse.inDataset) return "Field fit looks at a whole dataset with annotations.";
      if (!this.info) return "Open a dataset on the left.";
      return this.info.truth ? "" : "This dataset has no annotations, so nothing says which objects were missed.";
    }

    // the next step, where there is nothing to show
    offers(failed) {
      const { page } = this;
      const { browse } = page.studio;
      const run = failed ? browse.runs.offer() : null;
      if (run) return [run];
      return browse.inDataset ? [] : [page.button("open-dataset", "Open a dataset", "Field fit needs one", () => page.openDataset())];
    }

    address(key, checkpoint) {
      const { store } = this.page;
      return api.address(`/api/fit/${encodeURIComponent(this.info.id)}`, { checkpoint, score: store.threshold, iou: store.iou, kind: store.kind });
    }

    drawnBy() {
      return [this.page.place.fit, Boolean(this.head) && !this.page.inquiry.busy];
    }

    controls() {
      const { place, inquiry } = this.page;
      if (!this.head || inquiry.busy) return [];
      if (!place.fit) return [dom.element("span", { class: "cs-quiet" }, "Drag over the points to choose objects")];
      const clear = dom.element("button", { type: "button", "data-testid": "fit-clear", title: "Choose no objects" }, "Choose none");
      clear.addEventListener("click", () => place.set({ fit: "" }));
      const show = dom.element("button", { type: "button", class: "cs-strong", "data-testid": "fit-browse", title: "The grid of Browse, with only the images that hold the chosen objects" }, "Show their images in Browse");
      show.addEventListener("click", () => place.set({ page: "browse", mode: "grid" }));
      return [clear, show];
    }

    take(head) {
      this.head = head;
      this.canvas = dom.element("canvas", { class: "cs-scatter", "data-testid": "scatter", tabindex: "0", role: "img", "aria-label": "Size of objects against the receptive field that speaks for them" });
      this.tip = dom.element("p", { class: "cs-quiet cs-number", "data-testid": "fit-tip" });
      this.side = dom.element("div", { class: "cs-fit-side" });
      const place = dom.element("div", { class: "cs-fit-place" }, this.canvas);
      this.page.find("matrix").replaceChildren(dom.element("div", { class: "cs-fit", role: "presentation" }, place, this.side));
      this.canvas.addEventListener("pointerdown", (event) => this.down(event));
      this.canvas.addEventListener("pointermove", (event) => this.move(event));
      this.canvas.addEventListener("pointerup", (event) => this.up(event));
      this.observer?.disconnect();
      this.observer = new ResizeObserver(() => this.draw());
      this.observer.observe(place);
      this.showSide();
      return null;
    }

    leave() {
      this.observer?.disconnect();
    }

    onplace(changed) {
      if (!this.head || !changed.has("fit")) return;
      this.showSide();
      this.draw();
    }

    onstore(changed) {
      if (["threshold", "iou", "kind"].some((name) => changed.has(name))) this.page.askLater();
    }

    // [object from, to, field from, to] in image pixels, or null
    get box() {
      const ends = this.page.place.fit.split(",").map(Number);
      return ends.length === 4 && ends.every(Number.isFinite) ? ends : null;
    }

    get values() {
      const { size, field, found, speaker } = this.head;
      return { sizes: size.values, fields: field.values, found: found.values, speakers: speaker.values };
    }

    isIn(at, box) {
      const { sizes, fields } = this.values;
      return sizes[at] >= box[0] && sizes[at] <= box[1] && fields[at] >= box[2] && fields[at] <= box[3];
    }

    get chosen() {
      const { box } = this;
      return box ? [...this.values.sizes.keys()].filter((at) => this.isIn(at, box)) : [];
    }

    // -- the picture --

    scales() {
      const { sizes, fields } = this.values;
      const ends = (values) => {
        let [low, high] = [Infinity, 0];
        for (const value of values) {
          if (value > 0 && value < low) low = value;
          if (value > high) high = value;
        }
        return high > 0 ? [low / 1.3, high * 1.3] : [1, 100];
      };
      const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight];
      const axis = ([low, high], from, to) => {
        const wide = Math.log(high / low) || 1;
        return {
          low,
          high,
          to: (value) => from + ((to - from) * Math.log(Math.max(value, low) / low)) / wide,
          back: (place) => low * Math.exp((wide * (place - from)) / (to - from)),
        };
      };
      return { x: axis(ends(sizes), PADDING.left, width - PADDING.right), y: axis(ends(fields), height - PADDING.bottom, PADDING.top), width, height };
    }

    draw() {
      const { canvas } = this;
      if (!canvas?.clientWidth) return;
      const dpr = window.devicePixelRatio || 1;
      canvas.width = Math.round(canvas.clientWidth * dpr);
      canvas.height = Math.round(canvas.clientHeight * dpr);
      const context = canvas.getContext("2d");
      context.setTransform(dpr, 0, 0, dpr, 0, 0);
      const style = getComputedStyle(canvas);
      const ink = style.getPropertyValue("--ink");
      const quiet = style.getPropertyValue("--quiet");
      const scales = this.scales();
      this.drawAxes(context, scales, quiet, style.getPropertyValue("--line"));
      this.drawPoints(context, scales);
      const box = this.drag?.box ?? this.box;
      if (!box) return;
      context.setLineDash([5, 4]);
      context.strokeStyle = ink;
      context.lineWidth = 1.5;
      const [left, right] = [scales.x.to(box[0]), scales.x.to(box[1])];
      const [bottom, top] = [scales.y.to(box[2]), scales.y.to(box[3])];
      context.strokeRect(left, top, right - left, bottom - top);
      context.setLineDash([]);
    }

    drawAxes(context, { x, y, width, height }, quiet, line) {
      context.font = "12px system-ui, sans-serif";
      context.lineWidth = 1;
      context.textAlign = "center";
      for (const value of ticks(x)) {
        rule(context, line, x.to(value), PADDING.top, x.to(value), height - PADDING.bottom);
        context.fillStyle = quiet;
        context.fillText(String(value), x.to(value), height - PADDING.bottom + 15);
      }
      context.textAlign = "right";
      for (const value of ticks(y)) {
        rule(context, line, PADDING.left, y.to(value), width - PADDING.right, y.to(value));
        context.fillStyle = quiet;
        context.fillText(String(value), PADDING.left - 6, y.to(value) + 4);
      }
      context.textAlign = "center";
      context.fillText("side of the object, image pixels", (PADDING.left + width) / 2, height - 6);
      context.save();
      context.translate(12, height / 2 - 10);
      context.rotate(-Math.PI / 2);
      context.fillText("side of the 90 % field, image pixels", 0, 0);
      context.restore();
      // where the object is as large as the field
      const [low, high] = [Math.max(x.low, y.low), Math.min(x.high, y.high)];
      context.fillStyle = quiet;
      context.textAlign = "left";
      context.fillText("← the field is larger than the object", PADDING.left + 8, PADDING.top + 12);
      context.textAlign = "right";
      context.fillText("the object is larger than the field →", width - PADDING.right - 8, height - PADDING.bottom - 8);
      if (low >= high) return;
      context.setLineDash([2, 4]);
      rule(context, quiet, x.to(low), y.to(low), x.to(high), y.to(high));
      context.setLineDash([]);
    }

    drawPoints(context, { x, y }) {
      const { sizes, fields, found } = this.values;
      const box = this.drag?.box ?? this.box;
      for (const wanted of [1, 0]) {
        for (let at = 0; at < sizes.length; at++) {
          if (found[at] !== wanted || !(fields[at] > 0)) continue;
          context.globalAlpha = box && !this.isIn(at, box) ? 0.15 : 0.75;
          mark(context, x.to(sizes[at]), y.to(fields[at]), wanted === 1);
        }
      }
      context.globalAlpha = 1;
    }

    // -- the hand --

    at(event) {
      const { left, top } = this.canvas.getBoundingClientRect();
      return [event.clientX - left, event.clientY - top];
    }

    down(event) {
      this.canvas.setPointerCapture(event.pointerId);
      this.drag = { from: this.at(event), box: null };
    }

    move(event) {
      const [x, y] = this.at(event);
      if (!this.drag) return this.showTip(this.nearest(x, y));
      const [fromX, fromY] = this.drag.from;
      if (Math.hypot(x - fromX, y - fromY) < 4) return undefined;
      const scales = this.scales();
      const ends = (axis, a, b) => [axis.back(a), axis.back(b)].sort((one, other) => one - other);
      this.drag.box = [...ends(scales.x, fromX, x), ...ends(scales.y, fromY, y)];
      return this.draw();
    }

    up(event) {
      const { drag } = this;
      this.drag = null;
      if (drag?.box) return this.page.place.set({ fit: drag.box.map((value) => Number(value.toPrecision(5))).join(",") });
      const at = this.nearest(...this.at(event));
      if (at === null) return this.page.place.set({ fit: "" });
      const { browse } = this.page.studio;
      return browse.openImage(`d${this.info.id}-${this.head.rows[at]}`, `t${this.head.ids[at]}`, null, { page: "browse" });
    }

    nearest(x, y) {
      const scales = this.scales();
      const { sizes, fields } = this.values;
      let best = null;
      let least = NEAR;
      for (let at = 0; at < sizes.length; at++) {
        const far = Math.hypot(scales.x.to(sizes[at]) - x, scales.y.to(fields[at]) - y);
        if (far < least) [best, least] = [at, far];
      }
      return best;
    }

    showTip(at) {
      this.canvas.style.cursor = at === null ? "crosshair" : "pointer";
      if (at === null) {
        this.tip.textContent = "Point at an object; click it to open its image.";
        return;
      }
      const { sizes, fields, found, speakers } = this.values;
      this.tip.textContent = `${found[at] === 1 ? "Found" : "Missed"}: object ${this.head.ids[at]}, ${sizes[at].toFixed(0)} px, spoken for by ${this.head.speakers[speakers[at]]}, whose field is ${fields[at].toFixed(0)} px.`;
    }

    // -- numbers beside it --

    showSide() {
      const { head, chosen } = this;
      const { sizes, fields, found } = this.values;
      const all = [...sizes.keys()];
      const recall = (list) => (list.length ? list.filter((at) => found[at] === 1).length / list.length : null);
      const legend = dom.element("p", { class: "cs-fit-legend" }, chip(FOUND, "●", "found"), chip(MISSED, "○", "missed"));
      const rows = BINS.map(([low, high]) => {
        const list = all.filter((at) => fields[at] > 0 && sizes[at] / fields[at] >= low && sizes[at] / fields[at] < high);
        const name = high === Infinity ? `above ${low}` : `${low} to ${high}`;
        return [name, list.length, recall(list)];
      });
      const blind = all.filter((at) => !(fields[at] > 0));
      if (blind.length) rows.push(["no field", blind.length, recall(blind)]);
      const body = rows.map(([name, count, value]) => dom.element("tr", {}, dom.element("th", { scope: "row" }, name), dom.element("td", { class: "cs-number" }, dom.grouped(count)), dom.element("td", { class: "cs-number" }, dom.decimals(value))));
      const table = dom.element("table", { "data-testid": "fit-bins" }, dom.element("thead", {}, dom.element("tr", {}, ...[["object / field", "How many times the field's side the object's side is"], ["objects", ""], ["recall", "Share that was found, at the score and IoU of the sliders"]].map(([text, meaning]) => dom.element("th", { scope: "col", title: meaning }, text)))), dom.element("tbody", {}, ...body));
      const images = head.images === head.of ? `all ${head.of} images` : `the first ${head.images} of ${dom.grouped(head.of)} images`;
      const picked = chosen.length || this.box ? dom.element("p", { "data-testid": "fit-chosen" }, `${dom.grouped(chosen.length)} chosen in ${new Set(chosen.map((at) => head.rows[at])).size} images, recall ${dom.decimals(recall(chosen))}.`) : "";
      const url = new URL(this.page.inquiry.url ?? this.address(), document.baseURI);
      url.pathname += ".csv";
      const file = dom.element("a", { class: "cs-button", href: url.pathname + url.search, download: true, "data-testid": "fit-csv", title: "Every object, its size, its field and whether it was found" }, "CSV");
      this.side.replaceChildren(legend, dom.element("p", { class: "cs-quiet" }, `${dom.grouped(all.length)} true objects of ${images}. The branch that makes up most of the fused map under an object speaks for it; its field is the smallest set of pixels that holds 90 % of what moves it, measured at two of its objects in each image.`), table, picked, this.tip, file);
      this.showTip(null);
    }

    get state() {
      if (!this.head) return { fit: null };
      const { sizes, fields, found } = this.values;
      return { fit: { count: sizes.length, chosen: this.chosen.length, images: this.head.images, found: [...found].filter((one) => one === 1).length, sizes: [...sizes], fields: [...fields] } };
    }
  }

  // round numbers along a logarithmic axis, about four or more
  function ticks({ low, high }) {
    for (const steps of [[1], [1, 2, 5], [1, 2, 3, 4, 5, 6, 8], [1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9]]) {
      const found = [0, 1, 2, 3].flatMap((power) => steps.map((step) => Math.round(10 * step * 10 ** power) / 10)).filter((value) => value >= low && value <= high);
      if (found.length >= 4) return found;
    }
    return [low, high].map((value) => Number(value.toPrecision(3)));
  }

  function rule(context, colour, ...[x1, y1, x2, y2]) {
    context.strokeStyle = colour;
    context.beginPath();
    context.moveTo(x1, y1);
    context.lineTo(x2, y2);
    context.stroke();
  }

  function mark(context, x, y, found) {
    context.beginPath();
    context.arc(x, y, found ? 3.2 : 4.2, 0, 2 * Math.PI);
    if (found) {
      context.fillStyle = FOUND;
      context.fill();
    } else {
      context.strokeStyle = MISSED;
      context.lineWidth = 2;
      context.stroke();
    }
  }

  function chip(colour, sign, word) {
    const made = dom.element("i", { class: "cs-sign", "aria-hidden": "true" }, sign);
    made.style.color = colour;
    return dom.element("span", {}, made, ` ${word}`);
  }

  (parts.inspections ??= {}).fit = Fit;
})();
