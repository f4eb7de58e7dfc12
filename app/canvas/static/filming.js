// One moment of a film, drawn over the photograph: masks, votes and boxes of one instance or of many.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { rle, raster, verdicts } = parts;

  const FILLED = 0.5; // opacity of a mask's inside
  const VOTED = 40; // instances in sight: the votes of more are a thicket, so only their boxes move
  const SMALL = 5; // CSS pixels: side of a cell that gets no dot of its own
  const FONT = { one: "600 14px system-ui, sans-serif", many: "600 11px system-ui, sans-serif" };

  // all fields of two moments, mixed: share 0 is the first
  function between(before, after, share) {
    return Object.fromEntries(Object.entries(before).map(([name, value]) => [name, value + (after[name] - value) * share]));
  }

  const boxAt = ({ proposal, box }, travel) => Array.from(box, (end, side) => (travel >= 1 ? end : proposal[side] + (end - proposal[side]) * travel));

  function maskOf(row, name) {
    row.decoded ??= {};
    if (!row.decoded[name]) {
      try {
        row.decoded[name] = rle.decode(row[name]);
      } catch {
        row.decoded[name] = rle.nothing(row[name]?.size ?? [0, 0]);
      }
    }
    return row.decoded[name];
  }

  function weightColour(scale, weight) {
    const place = Math.min(1, Math.max(0, weight)) * (scale.length - 1);
    const low = Math.min(scale.length - 2, Math.floor(place));
    return scale[low].map((part, at) => Math.round(part + (scale[low + 1][at] - part) * (place - low)));
  }

  // masks of one pass on a canvas of their own, painted anew only when the view or the instances change
  class Plate {
    constructor(name) {
      this.name = name;
      this.canvas = document.createElement("canvas");
      this.made = [];
    }

    of(rows, viewer, store) {
      const frame = viewer.device;
      const made = [rows, store.judged, store.colouring, frame.scale, frame.x, frame.y, frame.width, frame.height];
      if (made.every((value, at) => value === this.made[at])) return this.canvas;
      this.made = made;
      this.paint(rows, frame, store);
      return this.canvas;
    }

    paint(rows, frame, store) {
      const { canvas, name } = this;
      if (canvas.width !== frame.width || canvas.height !== frame.height) {
        Object.assign(canvas, { width: frame.width, height: frame.height });
        const data = new ImageData(frame.width, frame.height);
        this.target = { data, width: frame.width, height: frame.height, pixels: new Uint32Array(data.data.buffer) };
      }
      const masks = rows.map((row) => ({ mask: maskOf(row, name), colour: verdicts.lookOf(row.one, store).colour, line: "solid" }));
      masks.sort((a, b) => b.mask.area - a.mask.area);
      raster.paint(this.target, masks, frame, { fill: true, outline: true, opacity: FILLED });
      canvas.getContext("2d").putImageData(this.target.data, 0, 0);
    }
  }

  class Screen {
    constructor(viewer, store) {
      Object.assign(this, { viewer, store });
      this.plates = { first: new Plate("first_mask"), second: new Plate("mask") };
      this.voted = true; // whether votes are drawn
    }

    // film: {rows, moment, scale, all}; the context is in CSS pixels of the view
    draw(context, view, film) {
      const { rows, moment, all } = film;
      const seen = all ? rows.filter((row) => inSight(row, view)) : rows;
      this.voted = seen.length <= VOTED;
      for (const name of ["first", "second"]) this.lay(context, this.plates[name], rows, moment[name]);
      if (this.voted && moment.votes > 0 && moment.tint > 0) for (const row of seen) drawVotes(context, view, row, moment, film.scale);
      if (all) drawManyBoxes(context, view, seen, moment, this.store);
      else drawOneBox(context, view, seen[0], moment);
      if (moment.iou > 0) drawIous(context, view, seen, moment.iou, all);
      context.globalAlpha = 1;
    }

    lay(context, plate, rows, share) {
      if (share <= 0) return;
      const canvas = plate.of(rows, this.viewer, this.store);
      context.save();
      context.setTransform(1, 0, 0, 1, context.getTransform().e, 0); // device pixels, moved to the pane
      context.globalAlpha = share;
      context.drawImage(canvas, 0, 0);
      context.restore();
    }
  }

  function inSight({ proposal, box }, view) {
    const [left, top] = view.toScreen(Math.min(proposal[0], box[0]), Math.min(proposal[1], box[1]));
    const [right, bottom] = view.toScreen(Math.max(proposal[2], box[2]), Math.max(proposal[3], box[3]));
    return right >= 0 && bottom >= 0 && left <= view.size[0] && top <= view.size[1];
  }

  function edge(context, view, corners) {
    const [left, top] = view.toScreen(corners[0], corners[1]);
    const [right, bottom] = view.toScreen(corners[2], corners[3]);
    context.rect(left, top, right - left, bottom - top);
  }

  function stroke(context, view, boxes, ink, width, alpha) {
    context.beginPath();
    for (const corners of boxes) edge(context, view, corners);
    context.globalAlpha = alpha;
    context.strokeStyle = ink;
    context.lineWidth = width;
    context.stroke();
  }

  // the surest votes lie on top; a cell's vote comes after that of the cell before
  function drawVotes(context, view, row, moment, scale) {
    row.order ??= [...row.weights.keys()].sort((a, b) => row.weights[a] - row.weights[b]);
    row.inks ??= Array.from(row.weights, (weight) => `rgb(${weightColour(scale, weight).join(" ")})`);
    const [x1, y1, x2, y2] = row.proposal;
    const cell = (Math.min(x2 - x1, y2 - y1) / 7) * view.scale;
    const radius = cell < SMALL ? 0 : Math.min(6, cell * 0.2);
    const come = (at) => Math.min(1, Math.max(0, 49 * moment.votes - at)) * moment.tint;
    context.setLineDash([]);
    for (const at of row.order) {
      const alpha = come(at) * (0.3 + 0.7 * row.weights[at]);
      if (alpha > 0) stroke(context, view, [row.votes.subarray(4 * at, 4 * at + 4)], row.inks[at], 1 + row.weights[at] / 2, alpha);
    }
    if (radius === 0) return;
    context.lineWidth = 1;
    context.strokeStyle = "rgb(0 0 0 / 0.8)";
    for (const at of row.order) {
      // the model counts whole pixels: cells divide the width less one, and are drawn half a pixel further
      const [x, y] = view.toScreen(x1 + ((x2 - 1 - x1) * ((at % 7) + 0.5)) / 7 + 0.5, y1 + ((y2 - 1 - y1) * (Math.floor(at / 7) + 0.5)) / 7 + 0.5);
      context.globalAlpha = come(at) * (0.5 + 0.5 * row.weights[at]);
      if (context.globalAlpha === 0) continue;
      context.fillStyle = row.inks[at];
      context.beginPath();
      context.arc(x, y, radius, 0, 7);
      context.fill();
      context.stroke();
    }
  }

  const DASHES = [8, 5];
  const boxShare = (moment) => Math.min(1, 6 * moment.travel);

  function drawOneBox(context, view, row, moment) {
    for (const [width, ink] of [[4, "rgb(0 0 0 / 0.6)"], [2, "#fff"]]) {
      context.setLineDash(DASHES);
      if (moment.proposal > 0) stroke(context, view, [row.proposal], ink, width, moment.proposal);
      context.setLineDash([]);
      if (moment.travel > 0) stroke(context, view, [boxAt(row, moment.travel)], ink, width, boxShare(moment));
    }
  }

  // one path for each colour; a dark line below makes them legible on any photograph
  function drawManyBoxes(context, view, rows, moment, store) {
    const groups = new Map();
    for (const row of rows) {
      const { css } = verdicts.lookOf(row.one, store);
      if (!groups.has(css)) groups.set(css, []);
      groups.get(css).push(row);
    }
    const each = (boxes, dash, alpha) => {
      context.setLineDash(dash);
      if (rows.length <= VOTED) stroke(context, view, rows.map(boxes), "#000", 3.5, alpha * 0.4);
      for (const [css, own] of groups) stroke(context, view, own.map(boxes), css, 1.75, alpha);
      context.setLineDash([]);
    };
    if (moment.proposal > 0) each((row) => row.proposal, [5, 4], moment.proposal);
    if (moment.travel > 0) each((row) => boxAt(row, moment.travel), [], boxShare(moment));
  }

  // at the box's upper left corner, where no better instance's number stands yet
  function drawIous(context, view, rows, share, all) {
    context.globalAlpha = share;
    context.font = all ? FONT.many : FONT.one;
    context.textBaseline = "middle";
    const high = all ? 16 : 22;
    const taken = [];
    for (const { box, mask_iou: iou } of rows) {
      const text = all ? iou.toFixed(2) : `Predicted IoU ${iou.toFixed(2)}`;
      const width = context.measureText(text).width + 10;
      const [left, top] = view.toScreen(box[0], box[1]);
      const x = Math.max(2, Math.min(view.size[0] - width - 2, left));
      const y = top - high - 3 < 2 ? Math.max(2, view.toScreen(0, box[3])[1] + 3) : top - high - 3;
      if (all && taken.some((other) => Math.abs(other.y - y) < high + 1 && x < other.x + other.width && other.x < x + width)) continue;
      taken.push({ x, y, width });
      context.fillStyle = "rgb(0 0 0 / 0.8)";
      context.beginPath();
      context.roundRect(x, y, width, high, 3);
      context.fill();
      context.fillStyle = "#fff";
      context.fillText(text, x + 5, y + high / 2 + 0.5);
    }
  }

  // where all traces of the open image are told, or null
  function tracesUrl({ document: opened }, { checkpoint }) {
    return opened && checkpoint ? parts.api.address(`/api/traces/${encodeURIComponent(opened.key)}`, { checkpoint }) : null;
  }

  // where the film of the picked instance, or of all, is drawn as a file: "gif" or "png"
  function fileUrl(kind, all, { document: opened, selected, threshold }, { checkpoint }) {
    if (!opened || !checkpoint || (!all && !selected)) return null;
    const asked = { checkpoint, instance: all ? "all" : selected, min_score: all ? threshold : null };
    return parts.api.address(`/api/films/${encodeURIComponent(opened.key)}.${kind}`, asked);
  }

  // a film as a file: {name, content}; throws a LoadError with the server's sentence
  async function download(url) {
    const { LoadError, reason } = parts.document;
    const answer = await fetch(url).catch(() => {
      throw new LoadError("The film could not be drawn: the Studio's server does not answer.");
    });
    if (!answer.ok) throw new LoadError(await reason(answer, "The film"));
    const [, name] = /filename\*=UTF-8''([^;]+)/.exec(answer.headers.get("Content-Disposition") ?? "") ?? [];
    return { name: name ? decodeURIComponent(name) : "film", content: await answer.blob() };
  }

  parts.filming = { Screen, between, boxAt, maskOf, weightColour, tracesUrl, fileUrl, download, VOTED };
})();
