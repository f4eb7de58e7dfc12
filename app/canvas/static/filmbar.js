// The film's controls below the picture: play, time with its stages, what they mean, numbers, files to take away.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { dom, filming } = parts;

  const PLAY = "M6.5 4.2v11.6l9-5.8z";
  const PAUSE = "M6.5 4.5v11M13.5 4.5v11";
  const STEPS = 1000; // of the scrubber

  const testid = (name, more = {}) => ({ "data-testid": name, ...more });

  function icon(path) {
    const namespace = document.querySelector(".studio svg").namespaceURI;
    const [made, line] = ["svg", "path"].map((name) => document.createElementNS(namespace, name));
    made.setAttribute("viewBox", "0 0 20 20");
    made.setAttribute("aria-hidden", "true");
    line.setAttribute("d", path);
    made.append(line);
    return made;
  }

  const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

  class FilmBar {
    // fileUrl(kind): the address of the film as a file, or null
    constructor(view, film, store, { fileUrl }) {
      Object.assign(this, { film, store, fileUrl });
      this.build();
      view.after(this.box);
      store.listen((changed) => {
        if (["threshold", "document", "selected"].some((name) => changed.has(name))) this.draw();
      });
      this.draw();
    }

    build() {
      const button = (name, label, title, path) => dom.element("button", testid(name, { type: "button", class: "cs-icon", "aria-label": label, title }), icon(path));
      this.play = button("film-play", "Play", "Play ( Shift + R ); R goes to the next stage", PLAY);
      this.close = button("film-close", "Close the film", "Close the film ( Esc )", "M5 5l10 10M15 5L5 15");
      this.scrub = dom.element("input", testid("film-scrub", { type: "range", min: "0", max: String(STEPS), step: "1", "aria-label": "Time of the film", title: "Back and forth in time ( , and . )" }));
      this.stops = dom.element("div", testid("film-stops", { class: "cs-film-stops", role: "group", "aria-label": "Stages" }));
      this.all = dom.element("input", testid("film-all", { type: "checkbox" }));
      const all = dom.element("label", { class: "cs-check", title: "All instances that are shown, at once ( F )" }, this.all, dom.element("span", {}, "All instances"));
      this.files = ["gif", "png"].map((kind) => this.link(kind));
      this.meaning = dom.element("p", testid("film-meaning", { class: "cs-film-meaning", "aria-live": "polite" }));
      this.legend = dom.element("span", testid("film-legend", { class: "cs-film-legend", title: "The colour of a vote is its weight" }), "weight 0", dom.element("i"), "1");
      this.facts = dom.element("dl", testid("film-facts", { class: "cs-film-facts" }));
      const time = dom.element("div", { class: "cs-film-time" }, this.scrub, this.stops);
      const first = dom.element("div", { class: "cs-film-row" }, this.play, time, all, ...this.files, this.close);
      const second = dom.element("div", { class: "cs-film-row" }, dom.element("div", { class: "cs-film-words" }, this.meaning, this.legend), this.facts);
      this.box = dom.element("section", testid("film", { class: "cs-film", "aria-label": "How it was made" }), first, second);
      this.play.addEventListener("click", () => this.film.toggle());
      this.close.addEventListener("click", () => this.film.close());
      this.scrub.addEventListener("input", () => this.film.seek((this.scrub.value / STEPS) * this.film.last));
      this.all.addEventListener("change", () => this.film.setAll(this.all.checked));
    }

    link(kind) {
      const [name, title] = { gif: ["GIF", "Save the film as an animation"], png: ["Strip", "Save the stages side by side, as a PNG"] }[kind];
      const made = dom.element("a", testid(`film-${kind}`, { class: "cs-button", title }), name);
      made.addEventListener("click", (event) => {
        event.preventDefault();
        this.save(kind, made);
      });
      return made;
    }

    // drawn on the server, which takes a moment, or refused in one sentence
    async save(kind, link) {
      const url = this.fileUrl(kind);
      if (!url || link.hasAttribute("aria-busy")) return;
      link.setAttribute("aria-busy", "true");
      this.complaint = "";
      try {
        const { name, content } = await parts.filming.download(url);
        const made = dom.element("a", { href: URL.createObjectURL(content), download: name });
        made.click();
        setTimeout(() => URL.revokeObjectURL(made.href), 60_000);
      } catch (error) {
        this.complaint = parts.api.sentence(error);
      }
      link.removeAttribute("aria-busy");
      this.draw();
    }

    // everything, or with `moving` what changes from frame to frame
    draw(moving = false) {
      const { film } = this;
      this.box.hidden = film.at === null;
      if (film.at === null) {
        this.complaint = "";
        return;
      }
      const { stage, last } = film;
      this.scrub.value = String(Math.round((film.at / last) * STEPS));
      this.scrub.disabled = !film.ready;
      const stamp = `${stage} ${film.playing} ${film.screen.voted} ${film.ready}`;
      if (moving && stamp === this.stamp) return;
      this.stamp = stamp;
      this.drawStage(stage);
      this.all.checked = film.all;
      this.facts.replaceChildren(...(film.ready ? this.numbers() : []));
      for (const [at, kind] of ["gif", "png"].entries()) {
        const url = film.ready ? this.fileUrl(kind) : null;
        this.files[at].hidden = !url;
        if (url) this.files[at].href = url;
      }
    }

    drawStage(stage) {
      const { film } = this;
      const label = film.playing ? "Pause" : "Play";
      this.play.setAttribute("aria-label", label);
      this.play.title = `${label} ( Shift + R ); R goes to the next stage`;
      this.play.replaceChildren(icon(film.playing ? PAUSE : PLAY));
      this.play.classList.toggle("cs-film-pause", film.playing);
      this.drawStops(stage);
      const told = film.stages[stage];
      this.scrub.setAttribute("aria-valuetext", told?.word ?? "");
      this.meaning.replaceChildren(...this.words(told));
      this.legend.style.setProperty("--scale", film.scale.map((colour) => `rgb(${colour.join(" ")})`).join(", "));
      this.legend.classList.toggle("cs-film-off", !film.ready || !film.screen.voted || !film.weighted || !["votes", "box"].includes(told?.name));
    }

    drawStops(stage) {
      const { stages, last } = this.film;
      const names = stages.map(({ name, word }) => `${name} ${word}`).join();
      if (names !== this.stopped) {
        this.stopped = names;
        this.stops.replaceChildren(
          ...stages.map(({ name, word, meaning }, at) => {
            const made = dom.element("button", testid(`film-${name}`, { type: "button", title: meaning }), word);
            made.style.setProperty("--at", String(at / last));
            made.addEventListener("click", () => this.film.seek(at));
            return made;
          }),
        );
      }
      [...this.stops.children].forEach((stop, at) => stop.setAttribute("aria-pressed", String(at === stage)));
    }

    words(told) {
      const { film } = this;
      if (this.complaint || film.text) return [dom.element("span", { class: "cs-film-alert", role: "alert" }, this.complaint || film.text)];
      if (!film.all && !film.store.picked) return ["Pick an instance to see how it was made, or switch on All instances."];
      if (!film.all && film.store.picked.truth) return ["People drew this one: pick an instance of the prediction."];
      if (!film.ready) return [film.url === null ? "How this one was made is not known." : film.latest.busy ? "Fetching how it was made …" : "No instance is shown: lower the score."];
      const left = !film.screen.voted && ["votes", "box"].includes(told.name) ? ` Votes are drawn for up to ${filming.VOTED} instances in sight: zoom in to see them.` : "";
      return [dom.element("strong", {}, `${told.word}.`), ` ${told.meaning}${left}`];
    }

    // [name, value, meaning]
    numbers() {
      const { film } = this;
      const facts = film.all ? manyFacts(film) : oneFacts(film, film.rows[0]);
      return facts.map(([name, value, meaning, alert]) =>
        dom.element("div", { title: meaning, class: alert ? "cs-film-flag" : null }, dom.element("dt", {}, name), dom.element("dd", { class: "cs-number" }, value)),
      );
    }
  }

  const WEIGHTS = "The weights of the 49 votes, added up: how many votes' worth of cells lie on the object";
  const MOVED = "The farthest that an edge of the box moved, from the proposal to the refined box, in image pixels";
  const AGREE = "IoU of the masks of both passes: 1.00 is no change";
  const PREDICTED = "What the network thinks the IoU of its mask with the truth is";

  function oneFacts(film, row) {
    const [first, second] = row.levels;
    const facts = [
      ["Weights", film.weighted ? `${row.weight.toFixed(1)} of 49` : "all equal", film.weighted ? WEIGHTS : "Without collaboration, all votes weigh the same"],
      ["Box moved", `${row.travel.toFixed(1)} px`, `${MOVED}: the ${row.edge} edge`],
    ];
    if (film.second) facts.push(["1st to 2nd mask", `IoU ${dom.decimals(row.agreement)}`, AGREE]);
    facts.push(["Predicted IoU", dom.decimals(row.mask_iou), PREDICTED]);
    if (!film.second) return [...facts, ["Level", `P${first}`, "The map of the feature pyramid that it was cut from; there is no second pass"]];
    const moved = first !== second;
    return [...facts, [moved ? "Moved level" : "Levels", `P${first} → P${second}`, parts.levels.MEANING, moved]];
  }

  function manyFacts({ rows, second }) {
    const travels = rows.map(({ travel }) => travel);
    const moved = rows.filter(({ levels }) => levels[0] !== levels[1]).length;
    const facts = [
      ["Instances", dom.grouped(rows.length), "Those that are shown at this score and with these filters"],
      ["Box moved", `${median(travels).toFixed(1)} px`, `${MOVED}: the median; the most is ${Math.max(...travels).toFixed(1)} px`],
    ];
    if (second) facts.push(["1st to 2nd mask", `IoU ${dom.decimals(median(rows.map(({ agreement }) => agreement)))}`, `${AGREE}; the median`]);
    facts.push(["Predicted IoU", dom.decimals(median(rows.map(({ mask_iou: iou }) => iou))), `${PREDICTED}; the median`]);
    if (second) facts.push(["Moved level", dom.grouped(moved), "Instances whose second pass read another map of the feature pyramid", moved > 0]);
    return facts;
  }

  parts.FilmBar = FilmBar;
})();
