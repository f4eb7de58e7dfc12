// What the tools draw over the picture while they work, in CSS pixels; readable on bright and on dark.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});

  const css = (rgb, alpha = 1) => `rgb(${rgb.join(" ")} / ${alpha})`;

  // the current path as a white line with dark edges
  function ink(context, dash = [], colour = "#fff") {
    context.setLineDash([]);
    context.lineJoin = "round";
    context.lineWidth = 3.5;
    context.strokeStyle = "rgb(0 0 0 / 0.75)";
    context.stroke();
    context.setLineDash(dash);
    context.lineWidth = 1.5;
    context.strokeStyle = colour;
    context.stroke();
    context.setLineDash([]);
  }

  // points of the image as a path
  function trace(context, view, points, closed = false) {
    context.beginPath();
    points.forEach(([x, y], at) => {
      const [left, top] = view.toScreen(x, y);
      if (at) context.lineTo(left, top);
      else context.moveTo(left, top);
    });
    if (closed) context.closePath();
  }

  // the pixels of a mask, those of the screen that are in sight
  function fill(context, view, { rows: { first, count, starts, edges } }, style) {
    const [width, height] = view.size;
    context.fillStyle = style;
    context.beginPath();
    for (let line = 0; line < count; line++) {
      const top = Math.round(view.toScreen(0, first + line)[1]);
      const bottom = Math.round(view.toScreen(0, first + line + 1)[1]);
      if (bottom <= 0 || top >= height || bottom === top) continue;
      for (let at = starts[line]; at < starts[line + 1]; at += 2) {
        const left = Math.max(0, Math.round(view.toScreen(edges[at], 0)[0]));
        const right = Math.min(width, Math.round(view.toScreen(edges[at + 1], 0)[0]));
        if (right > left) context.rect(left, top, right - left, bottom - top);
      }
    }
    context.fill();
  }

  // a handle: a small disc or square, to be taken within 24 pixels
  function handle(context, x, y, { strong = false, square = false } = {}) {
    const size = strong ? 5.5 : 4;
    context.beginPath();
    if (square) context.rect(x - size, y - size, 2 * size, 2 * size);
    else context.arc(x, y, size, 0, 2 * Math.PI);
    context.fillStyle = strong ? "#fff" : "#1d1d20";
    context.fill();
    context.lineWidth = 1.5;
    context.strokeStyle = strong ? "#1d1d20" : "#fff";
    context.stroke();
  }

  // white on a dark plate; `align` says which end of the text is at x
  function words(context, text, x, y, align = "left") {
    context.font = "600 12px system-ui, sans-serif";
    context.textAlign = "left";
    context.textBaseline = "middle";
    const width = context.measureText(text).width + 10;
    const left = align === "right" ? x - width : x;
    context.fillStyle = "rgb(20 20 22 / 0.85)";
    context.beginPath();
    context.roundRect(left, y - 9, width, 18, 4);
    context.fill();
    context.fillStyle = "#fff";
    context.fillText(text, left + 5, y + 0.5);
  }

  parts.sketch = { css, ink, trace, fill, handle, words };
})();
