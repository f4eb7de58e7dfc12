// What the dialogs of the page Label are made of: fields, sentences, lists, and a look at slow work now and then.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { dom, api } = parts;
  const { element } = dom;

  const GLANCE = 800; // milliseconds between two looks
  const RUNNING = ["queued", "opening", "running"];
  let radios = 0; // groups so far: radio buttons belong together by name

  const count = (number, one, many = `${one}s`) => `${dom.grouped(number)} ${number === 1 ? one : many}`;
  const actorOf = (labelling) => labelling.actor?.id ?? labelling.actor;
  const whole = (text) => text.replace(/\.*$/, ".");

  // a sentence that comes and goes; `alert` ones are read out at once
  function line(testid, { alert = false } = {}) {
    const made = element("p", { class: alert ? "cs-complaint" : "cs-said", role: alert ? "alert" : "status", "data-testid": testid, hidden: true });
    return made;
  }

  function say(place, text, ...more) {
    place.replaceChildren(text, ...more);
    place.hidden = !text;
  }

  function button(testid, text, onclick, attributes = {}) {
    const made = element("button", { type: "button", "data-testid": testid, ...attributes }, text);
    made.addEventListener("click", onclick);
    return made;
  }

  const group = (legend, ...children) => element("fieldset", { class: "cs-ask" }, element("legend", {}, legend), ...children);

  // one of several, each with a word and what it means: options are [value, word, meaning]
  class Choice {
    constructor(testid, legend, options, value, onchange = () => {}) {
      const name = `cs-choice-${++radios}`;
      this.inputs = options.map(([of]) => element("input", { type: "radio", name, value: of, "data-testid": `${testid}-${of}`, checked: of === value }));
      const rows = options.map(([, word, meaning], at) =>
        element("label", { class: "cs-option" }, this.inputs[at], element("span", {}, word, meaning ? element("small", {}, meaning) : null)),
      );
      this.element = group(legend, ...rows);
      this.element.dataset.testid = testid;
      this.element.addEventListener("change", () => onchange(this.value));
    }

    get value() {
      return this.inputs.find((one) => one.checked)?.value ?? null;
    }

    set value(value) {
      for (const one of this.inputs) one.checked = one.value === value;
    }
  }

  class Slider {
    constructor(testid, label, { min = 0, max = 1, step = 0.01, value, meaning = "", oninput = () => {} }) {
      this.input = element("input", { type: "range", min, max, step, value, "data-testid": testid, "aria-label": label, title: meaning });
      this.shown = element("output", { class: "cs-value", "data-testid": `${testid}-value` });
      this.element = element("div", { class: "cs-ask" }, element("div", { class: "cs-asked" }, element("span", {}, label), this.shown), this.input);
      if (meaning) this.element.append(element("small", {}, meaning));
      this.input.addEventListener("input", () => {
        this.show();
        oninput(this.value);
      });
      this.show();
    }

    get value() {
      return Number(this.input.value);
    }

    show() {
      this.shown.textContent = this.value.toFixed(2);
    }
  }

  // options are [value, word]
  class Menu {
    constructor(testid, label, options, value, onchange = () => {}) {
      this.select = element("select", { "data-testid": testid, "aria-label": label });
      this.element = element("div", { class: "cs-ask" }, element("div", { class: "cs-asked" }, element("span", {}, label)), this.select);
      this.fill(options, value);
      this.select.addEventListener("change", () => onchange(this.value));
    }

    fill(options, value) {
      this.select.replaceChildren(...options.map(([of, word]) => element("option", { value: of, selected: of === value }, word)));
    }

    get value() {
      return this.select.value;
    }
  }

  class Check {
    constructor(testid, word, { meaning = "", checked = false, onchange = () => {} } = {}) {
      this.input = element("input", { type: "checkbox", "data-testid": testid, checked });
      this.element = element("label", { class: "cs-option" }, this.input, element("span", {}, word, meaning ? element("small", {}, meaning) : null));
      this.input.addEventListener("change", () => onchange(this.value));
    }

    get value() {
      return this.input.checked;
    }
  }

  const listBox = (testid, label, more = {}) => element("div", { class: "cs-lines cs-listed", role: "listbox", tabindex: "0", "aria-label": label, "data-testid": testid, ...more });

  // a long list of rows that are here already
  class Listed extends parts.Rows {
    fill(rows, nothing = "") {
      this.nothing = nothing;
      this.pieces = { total: rows.length, row: (at) => rows[at], want() {} };
      this.box.scrollTop = 0;
      this.at = -1;
      this.refresh();
    }
  }

  // rows are chosen by a click or Space, Shift for all between; their button, or Enter, goes there
  class Picks extends parts.Rows {
    // named(row): what a row is remembered by; onchoose(): others are chosen; onjump(row)
    constructor(box, { named, onchoose = () => {}, onjump = () => {}, make, ...options }) {
      super(box, { ...options, make: (row) => [element("span", { class: "cs-tick", "aria-hidden": "true" }), ...make(row)], onpick: () => {} });
      Object.assign(this, { named, onchoose, onjump });
      this.chosen = new Map();
      box.setAttribute("aria-multiselectable", "true");
    }

    place(at) {
      super.place(at);
      this.tick(at);
    }

    tick(at) {
      const row = this.pieces.row(at);
      const on = row !== undefined && this.chosen.has(this.named(row));
      const shown = this.drawn.get(at);
      shown?.setAttribute("aria-checked", on);
      if (shown?.firstChild) shown.firstChild.textContent = on ? "✓" : "";
    }

    clear() {
      this.chosen.clear();
      for (const at of this.drawn.keys()) this.tick(at);
      this.onchoose();
    }

    toggle(at, through = at) {
      const row = this.pieces.row(at);
      if (!row) return;
      const on = !this.chosen.has(this.named(row));
      for (let place = Math.min(at, through); place <= Math.max(at, through); place++) {
        const one = this.pieces.row(place);
        if (one && on) this.chosen.set(this.named(one), one);
        else if (one) this.chosen.delete(this.named(one));
        this.tick(place);
      }
      this.at = at;
      this.draw();
      this.onchoose();
    }

    click(event) {
      const place = event.target.closest("[data-at]");
      if (!place) return;
      const at = Number(place.dataset.at);
      if (event.target.closest("button")) return void this.onjump(this.pieces.row(at));
      this.toggle(at, event.shiftKey && this.at >= 0 ? this.at : at);
    }

    key(event) {
      if (event.target.closest("button")) return;
      if (event.key === " " && this.at >= 0) {
        event.preventDefault();
        this.toggle(this.at);
      } else if (event.key === "Enter" && this.pieces.row(this.at)) this.onjump(this.pieces.row(this.at));
      else super.key(event);
    }
  }

  // asks an address for {stage, ...} again and again until it has come to an end
  class Watch {
    constructor({ what, onstate, onlost }) {
      Object.assign(this, { what, onstate, onlost });
      this.url = null;
    }

    begin(url) {
      this.end();
      this.url = url;
      return this.look();
    }

    end() {
      clearTimeout(this.timer);
      this.url = null;
    }

    async look() {
      const { url } = this;
      clearTimeout(this.timer);
      let state;
      try {
        state = await api.get(url, this.what);
      } catch (error) {
        if (this.url !== url) return;
        this.url = null;
        this.onlost(api.sentence(error));
        return;
      }
      if (this.url !== url) return;
      if (RUNNING.includes(state.stage)) this.timer = setTimeout(() => this.look(), GLANCE);
      this.onstate(state);
    }
  }

  // takes a whole batch back, and does it again
  class Undoing {
    // kind: of the batch's gestures in the log; onchange(): labels are others now
    constructor(labelling, testid, kind, onchange = () => {}) {
      Object.assign(this, { labelling, testid, kind, onchange });
      this.button = button(testid, "Undo all of it", () => this.run());
      this.said = line(`${testid}-text`);
      this.complaint = line(`${testid}-complaint`, { alert: true });
      this.element = element("div", { class: "cs-undoing", hidden: true }, this.button, this.said, this.complaint);
      this.undone = false;
    }

    offer(on = true) {
      this.element.hidden = !on;
      this.undone = false;
      this.button.textContent = "Undo all of it";
      say(this.said, "");
      say(this.complaint, "");
    }

    async run() {
      const { labelling, kind, undone } = this;
      const what = undone ? "redo" : "undo";
      say(this.complaint, "");
      this.button.hidden = true;
      try {
        await settled(labelling);
        const standing = await this.standing(what);
        if (standing !== undefined && standing !== kind) {
          const between = standing === null ? `There is nothing of yours to ${what} any more.` : `Since then you have done something else (${parts.gestures?.word(standing) ?? standing}): take that back first, with Ctrl + Z.`;
          say(this.complaint, between);
          return;
        }
        const content = { project: labelling.project, actor: actorOf(labelling), key: crypto.randomUUID() };
        const answer = await api.post(`/api/labels/${what}`, content, "The change");
        this.undone = !undone;
        this.button.textContent = this.undone ? "Do it again" : "Undo all of it";
        const stayed = answer.skipped > 0 ? ` ${count(answer.skipped, "label")} that somebody has changed since ${answer.skipped === 1 ? "stays" : "stay"} as ${answer.skipped === 1 ? "it is" : "they are"}.` : "";
        say(this.said, `${this.undone ? "Undone" : "Done again"} on ${count(answer.count, "image")}.${stayed}`);
        await refresh(labelling);
        this.onchange();
      } catch (error) {
        say(this.complaint, api.sentence(error));
      } finally {
        this.button.hidden = false;
      }
    }

    // what would be undone now; undefined where no open image tells
    async standing(what) {
      const key = this.labelling.store.document?.key;
      if (!key) return undefined;
      const url = api.address(`/api/labels/${encodeURIComponent(key)}`, { actor: actorOf(this.labelling) });
      const { label } = await api.get(url, "This image's document");
      return label?.[what] ?? null;
    }
  }

  // what was done by hand is on the server before a batch begins
  const settled = (labelling) => labelling.outbox?.settled();

  // labels of any image may be others now
  async function refresh(labelling) {
    labelling.review?.forget();
    labelling.pages?.later();
    await labelling.reload();
    if (labelling.review?.idle) await labelling.review.refresh();
  }

  // the dialog with its first control in hand
  function open(labelling, title, content) {
    const dialog = labelling.dialog(title, content);
    content.querySelector("input:checked, input[type=file], select, [tabindex='0']")?.focus({ preventScroll: true });
    return dialog;
  }

  // the dialog goes, and a rail that would lie over the picture
  function leave(labelling, dialog) {
    dialog.close();
    labelling.studio?.layout?.fold();
  }

  const nameOfClass = (labelling, id) => labelling.categories?.find((one) => one.id === id)?.name ?? `class ${id}`;

  // an image's name where the server gave none: of the strip, or its number in the dataset
  function nameOfImage(labelling, { file_name: name, key }) {
    if (name) return name;
    const listed = labelling.studio?.strip?.images.find((one) => one.key === key);
    const row = /-(\d+)$/.exec(key)?.[1];
    return listed?.name ?? (row === undefined ? key : `Image ${Number(row) + 1}`);
  }

  const checkpoints = (labelling) => labelling.studio?.browse?.names ?? [];

  parts.forms = { Choice, Slider, Menu, Check, Listed, Picks, Watch, Undoing, RUNNING, actorOf, button, checkpoints, count, group, leave, line, listBox, nameOfClass, nameOfImage, open, refresh, say, settled, whole };
})();
