// One image of the grid: its picture, its name, and how well the model did, or why nobody knows.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { dom, verdicts } = parts;

  const WORDS = { waiting: "no result yet", failed: "failed", missing: "file is missing" };

  // row: of /api/grid, or undefined while it is on its way
  function make(row, at, total) {
    const made = dom.element("div", {
      class: "cs-tile",
      role: "option",
      id: `cs-tile-${at}`,
      "data-at": String(at),
      "data-key": row?.key ?? "",
      "data-testid": "tile",
      "data-state": row?.state ?? "loading",
      "aria-posinset": at + 1,
      "aria-setsize": total,
    });
    made.stamp = stamp(row, total);
    if (!row) {
      made.append(dom.element("div", { class: "cs-thumb" }), dom.element("div", { class: "cs-caption" }, " "));
      return made;
    }
    made.title = row.note ? `${row.file_name}: ${row.note}` : row.file_name;
    made.append(picture(row), caption(row));
    return made;
  }

  const stamp = (row, total) => `${total} ${JSON.stringify(row)}`;

  function picture(row) {
    const place = dom.element("div", { class: "cs-thumb" });
    if (row.state === "missing") {
      place.append(dom.element("span", { class: "cs-quiet" }, "file is missing"));
      return place;
    }
    const image = dom.element("img", { alt: "", decoding: "async", draggable: "false" });
    image.dataset.src = `/api/thumbnails/${encodeURIComponent(row.key)}`;
    image.addEventListener("error", () => {
      if (image.src) place.replaceChildren(dom.element("span", { class: "cs-quiet" }, "no preview"));
    });
    place.append(image);
    return place;
  }

  function caption(row) {
    const name = dom.element("div", { class: "cs-name" }, row.file_name);
    const line = dom.element("div", { class: "cs-tally cs-number" });
    if (row.state !== "done") line.append(dom.element("span", { class: `cs-${row.state}` }, reason(row) || WORDS[row.state]));
    else if (row.tp === null || row.tp === undefined) line.append(dom.element("span", {}, row.found === null || row.found === undefined ? "looked at" : `${dom.grouped(row.found)} found`));
    else line.append(...["tp", "fp", "fn"].map((name) => mark(name, row[name])));
    return dom.element("div", { class: "cs-caption" }, name, line);
  }

  // the note, less the file's name where it begins with it: the name stands above
  const reason = ({ note, file_name: name }) => (note?.startsWith(`${name} `) ? note.slice(name.length + 1) : note);

  function mark(name, count) {
    const { sign, plural, css } = verdicts.LOOKS[name];
    const made = dom.element("span", { class: "cs-mark", title: `${count} ${plural}`, "aria-label": `${count} ${plural}` });
    made.style.setProperty("--chip", css);
    made.toggleAttribute("data-none", count === 0);
    made.append(dom.element("i", { "aria-hidden": "true" }, sign), String(count));
    return made;
  }

  parts.tile = { make, stamp, reason };
})();
