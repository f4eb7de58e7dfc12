// The whole set at the sliders' score and IoU: rates, error kinds, sizes, and what each class is taken for.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { dom, api, verdicts } = parts;

  const PAUSE = 200; // milliseconds that a slider has to stand still
  const SIZES = { small: "small", medium: "medium", large: "large" };

  class SetMetrics {
    // onanswer(answer): new numbers
    // offer(): a button that runs the checkpoint over the images, or null where it has seen some
    constructor(find, place, { onanswer, onopen, offer }) {
      Object.assign(this, { find, place, onanswer, offer });
      this.latest = new api.Latest(PAUSE);
      this.answer = null;
      this.url = null;
      this.confusion = new parts.Confusion(find, place);
      this.instances = new parts.Rows(find("set-instances"), {
        what: "The list of instances",
        high: 44,
        make: instanceRow,
        onpick: onopen,
        onlist: (about) => (find("set-instances-count").textContent = dom.grouped(about?.total ?? 0)),
      });
      find("error-kinds").addEventListener("click", (event) => {
        const kind = event.target.closest("[data-kind]")?.dataset.kind;
        if (kind) place.set({ error: place.error === kind ? "" : kind, cell: "" });
      });
      place.listen((changed) => {
        if (changed.has("error") || changed.has("cell")) this.mark();
      });
    }

    // {dataset, checkpoint, score, iou, kind}, or null where there is nothing to count
    open(asked) {
      const url = asked && api.address("/api/metrics", asked);
      if (url !== this.url) {
        this.url = url;
        this.latest.drop();
        if (url === null) this.show(null);
        else {
          this.find("set-section").toggleAttribute("data-old", true);
          this.latest.ask(url, "The numbers", {
            done: (answer) => this.show(answer),
            failed: (text) => this.fail(text),
            now: this.answer === null,
          });
        }
      }
      this.listInstances(asked);
    }

    // the numbers again: a run has come further
    again() {
      const { url } = this;
      if (url) this.latest.ask(url, "The numbers", { done: (answer) => this.show(answer), failed: (text) => this.fail(text), now: true });
      this.listed = null;
    }

    listInstances(asked) {
      const { place } = this;
      const chosen = place.cell ? { cell: place.cell } : place.error ? { error: place.error } : null;
      const url = asked && chosen ? api.address("/api/instances", { ...asked, ...chosen }) : null;
      this.find("set-instances-section").hidden = url === null;
      if (url === this.listed) return;
      this.listed = url;
      this.find("set-instances-title").textContent = chosen ? this.titleOf(chosen) : "";
      this.instances.open(url, "None at this score and IoU.");
    }

    titleOf({ cell, error }) {
      if (error) return verdicts.ERRORS[error] ?? error;
      return this.confusion.cellText(cell);
    }

    fail(text) {
      this.show(null);
      this.say(text);
    }

    say(text) {
      this.find("set-section").removeAttribute("data-old");
      this.find("set-note").textContent = text;
      this.find("set-note").hidden = !text;
    }

    show(answer) {
      const empty = answer?.images === 0;
      this.answer = empty ? null : answer;
      answer = this.answer;
      const nothing = empty ? "No image has a result yet: run the checkpoint over the images to see how well it does." : "";
      this.say(nothing);
      this.find("metrics-note").textContent = nothing;
      this.find("metrics-note").hidden = !nothing;
      const button = empty ? this.offer() : null;
      if (button) this.find("metrics-note").append(button);
      this.find("set-tables").hidden = !answer;
      if (answer) {
        this.fillErrors(answer.errors);
        this.fillSizes(answer.by_size ?? {});
      }
      this.confusion.show(answer);
      this.mark();
      this.onanswer(answer);
    }

    fillErrors(errors) {
      const most = Math.max(1, ...Object.values(errors));
      const rows = Object.entries(verdicts.ERRORS).map(([kind, word]) => {
        const count = errors[kind] ?? 0;
        const made = dom.element(
          "button",
          { type: "button", class: "cs-kind", "data-kind": kind, "data-testid": `error-${kind}`, title: verdicts.MEANINGS[kind] },
          dom.element("span", { class: "cs-name" }, word),
          dom.element("span", { class: "cs-number" }, dom.grouped(count)),
        );
        made.style.setProperty("--share", `${(100 * count) / most}%`);
        return made;
      });
      this.find("error-kinds").replaceChildren(...rows);
    }

    fillSizes(sizes) {
      const rows = Object.keys(SIZES).filter((name) => sizes[name]).map((name) => {
        const { precision, recall, ap, truth } = sizes[name];
        return dom.element(
          "tr",
          {},
          dom.element("th", { scope: "row" }, SIZES[name]),
          ...[...[precision, recall, ap].map((value) => dom.decimals(value ?? null)), dom.grouped(truth)].map((text) => dom.element("td", {}, text)),
        );
      });
      this.find("by-size").replaceChildren(...rows);
    }

    mark() {
      const { place } = this;
      for (const button of this.find("error-kinds").children) button.setAttribute("aria-pressed", button.dataset.kind === place.error);
      this.confusion.mark();
    }
  }

  function instanceRow(row) {
    const kind = verdicts.ERRORS[row.error]; // says more than the overlap with nobody
    const said = row.instance ? [`score ${dom.decimals(row.class_score ?? null)}`] : [kind ?? "missed"];
    if (row.iou > 0) said.push(`IoU ${dom.decimals(row.iou)}`);
    else if (row.instance) said.push(kind ?? "no match");
    return [
      dom.element("div", { class: "cs-name" }, row.file_name),
      dom.element("div", { class: "cs-quiet cs-number" }, said.join(" · ")),
    ];
  }

  parts.SetMetrics = SetMetrics;
})();
