// Three piles: what only the model found, what it missed, and where the two overlap too little.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { dom, api, forms } = parts;
  const { element } = dom;

  const PAUSE = 200; // milliseconds that a slider has to stand still
  // [pile, its name, what lies in it, [action, one of it, all of it, what that does] ...]
  const PILES = [
    ["extra", "Model extra", "Found by the model, and nobody has a label there.", [["add", "Add", "They become proposals"], ["dismiss", "Dismiss", "They are remembered as rejected and never come back"]]],
    ["missed", "Model missed", "Labels where the model found nothing.", [["review", "Review again", "They go back into the review queue"], ["reject", "Reject", "They are not exported any more"]]],
    ["low", "Overlap under the bar", "Label and instance overlap, but less than the bar asks.", [["take", "Take the model's mask", "The label's mask becomes the model's"], ["review", "Review again", "They go back into the review queue"]]],
  ];
  const DONE = { add: "added", dismiss: "dismissed", review: "sent back to review", reject: "rejected", take: "given the model's mask" };

  // shows where something is that no label is made of yet: a dashed box, until another is picked or opened
  class Pointing {
    constructor(labelling) {
      Object.assign(this, { labelling, key: null, bbox: null });
      labelling.viewer.extras.push((context, view) => this.draw(context, view));
      labelling.store.listen((changed) => {
        if (this.key === null || !(changed.has("document") || changed.has("selected"))) return;
        const here = labelling.store.document?.key === this.key;
        if (here && changed.has("document") && !this.seen) requestAnimationFrame(() => this.look());
        else if (this.seen && (!here || changed.has("selected"))) this.key = null;
      });
    }

    at(key, bbox) {
      const { labelling } = this;
      labelling.store.set({ selected: null });
      Object.assign(this, { key, bbox, seen: false });
      labelling.openImage(key, null);
      if (labelling.store.document?.key === key) this.look();
    }

    look() {
      const { labelling, bbox } = this;
      this.seen = true;
      labelling.studio.zoomTo({ bbox });
      labelling.viewer.redraw("marks");
    }

    draw(context, view) {
      const { labelling, key, bbox } = this;
      if (key === null || labelling.store.document?.key !== key) return;
      const [x, y] = view.toScreen(bbox[0], bbox[1]);
      context.save();
      context.lineWidth = 4;
      for (const [colour, dash] of [["rgb(0 0 0 / 0.7)", []], ["#fff", [7, 5]]]) {
        context.strokeStyle = colour;
        context.setLineDash(dash);
        context.strokeRect(x, y, bbox[2] * view.scale, bbox[3] * view.scale);
        context.lineWidth = 2;
      }
      context.restore();
    }
  }

  class Piles {
    constructor(labelling) {
      this.labelling = labelling;
      this.asked = { checkpoint: null, bar: 0.5, minScore: 0.5, pile: "extra" }; // as the dialog was left
      this.answer = null;
      this.pointing = new Pointing(labelling);
      this.watch = new forms.Watch({ what: "The run", onstate: (state) => this.runCame(state), onlost: (text) => forms.say(this.complaint, text) });
    }

    get active() {
      return this.watch.url !== null && this.running === true;
    }

    open() {
      const { labelling, asked } = this;
      const names = forms.checkpoints(labelling);
      if (!names.includes(asked.checkpoint)) asked.checkpoint = labelling.checkpoint ?? names[0] ?? null;
      this.build(names);
      this.dialog = forms.open(labelling, "Model against labels", this.element);
      if (asked.checkpoint) return this.ask();
      forms.say(this.sentence, "There is no checkpoint to compare with.");
      return undefined;
    }

    build(names) {
      const { labelling, asked } = this;
      const sets = (name) => (value) => {
        asked[name] = value;
        this.later();
      };
      this.checkpoint = new forms.Menu("piles-checkpoint", "Checkpoint", names.map((name) => [name, name]), asked.checkpoint, sets("checkpoint"));
      this.bar = new forms.Slider("piles-bar", "They agree from IoU", { min: 0.1, value: asked.bar, oninput: sets("bar") });
      this.minScore = new forms.Slider("piles-score", "Class score above", { value: asked.minScore, oninput: sets("minScore") });
      this.sentence = forms.line("piles-sentence");
      this.waiting = forms.line("piles-waiting");
      this.complaint = forms.line("piles-complaint", { alert: true });
      this.tabs = element("div", { class: "cs-tabs", role: "group", "aria-label": "Pile" }, ...PILES.map(([pile, name]) => this.tab(pile, name)));
      this.meaning = element("p", { class: "cs-quiet" });
      this.list = new forms.Picks(forms.listBox("piles-rows", "Instances of the pile: Space chooses, Enter goes there"), {
        what: "The pile",
        high: 34,
        count: (about) => about[this.asked.pile] ?? 0,
        named: (row) => `${row.key} ${row.label} ${row.found}`,
        make: (row) => this.row(row),
        onchoose: () => this.showActions(),
        onjump: (row) => this.jump(row),
        onlist: (about) => this.take(about),
      });
      this.list.pieces.onerror = (text) => this.fail(text);
      this.actions = element("div", { class: "cs-buttons", role: "group", "aria-label": "What to do with the pile" });
      this.done = forms.line("piles-done");
      this.undo ??= new forms.Undoing(labelling, "piles-undo", "", () => {
        forms.say(this.done, "");
        return this.ask();
      });
      const settings = element("div", { class: "cs-trio" }, this.checkpoint.element, this.bar.element, this.minScore.element);
      this.element = element("div", { class: "cs-form cs-wide", "data-testid": "piles" }, settings, this.sentence, this.waiting, this.complaint, this.tabs, this.meaning, this.list.box, this.actions, this.done, this.undo.element);
    }

    tab(pile, name) {
      const count = element("strong", { "data-testid": `pile-${pile}-count` }, "–");
      const made = forms.button(`pile-${pile}`, "", () => this.choose(pile), { "data-pile": pile });
      made.append(element("span", {}, name), " ", count);
      return made;
    }

    row(row) {
      const { pile } = row;
      const said = [pile === "missed" ? null : `score ${dom.decimals(row.class_score ?? null)}`, row.iou > 0 ? `IoU ${dom.decimals(row.iou)}` : null];
      return [
        element("span", { class: "cs-name" }, forms.nameOfClass(this.labelling, row.category_id)),
        element("span", { class: "cs-name cs-quiet" }, forms.nameOfImage(this.labelling, row)),
        element("span", { class: "cs-quiet cs-number" }, said.filter(Boolean).join(" · ")),
        element("button", { type: "button", class: "cs-text", tabindex: "-1", "data-testid": "pile-jump", title: "Open the image there" }, "Show"),
      ];
    }

    jump(row) {
      forms.leave(this.labelling, this.dialog);
      if (row.label !== null) this.labelling.openImage(row.key, row.label);
      else this.pointing.at(row.key, row.bbox);
    }

    choose(pile) {
      this.asked.pile = pile;
      return this.ask();
    }

    later() {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.ask(), PAUSE);
    }

    // what every question and action says
    get content() {
      const { checkpoint, bar, minScore, pile } = this.asked;
      return { project: this.labelling.project, checkpoint, bar, min_score: minScore, pile };
    }

    ask() {
      const url = api.address("/api/piles", this.content);
      forms.say(this.complaint, "");
      this.list.chosen.clear();
      this.element.toggleAttribute("data-old", true);
      return this.list.open(url, "This pile is empty.");
    }

    fail(text) {
      this.element.removeAttribute("data-old");
      this.answer = null;
      forms.say(this.complaint, text);
      this.show();
    }

    take(about) {
      if (!about) return;
      this.element.removeAttribute("data-old");
      this.answer = about;
      this.show();
    }

    get left() {
      return this.answer?.[this.asked.pile] ?? 0;
    }

    show() {
      const { answer, asked } = this;
      for (const tab of this.tabs.children) {
        const { pile } = tab.dataset;
        tab.setAttribute("aria-pressed", pile === asked.pile);
        tab.querySelector("strong").textContent = answer ? dom.grouped(answer[pile]) : "–";
      }
      this.meaning.textContent = PILES.find(([pile]) => pile === asked.pile)[2];
      forms.say(this.sentence, answer ? agreement(answer, asked.bar) : "");
      this.showWaiting();
      this.showActions();
    }

    showWaiting() {
      const waiting = this.answer?.waiting ?? 0;
      if (this.running) return;
      if (waiting === 0) return void forms.say(this.waiting, "");
      const text = `${forms.count(waiting, "image")} ${waiting === 1 ? "has" : "have"} no result of this checkpoint yet and ${waiting === 1 ? "is" : "are"} not counted.`;
      const { info } = this.labelling.studio?.browse ?? {};
      if (!info) return void forms.say(this.waiting, `${text} Pre-labelling looks at ${waiting === 1 ? "it" : "them"}.`);
      forms.say(this.waiting, text, " ", forms.button("piles-run", "Run the checkpoint", () => this.run(info.id)));
    }

    async run(dataset) {
      forms.say(this.complaint, "");
      this.running = true;
      forms.say(this.waiting, "Starting the run");
      try {
        const { run } = await api.post("/api/runs", { dataset, checkpoint: this.asked.checkpoint }, "The run");
        await this.watch.begin(`/api/runs/${encodeURIComponent(run)}`);
      } catch (error) {
        this.running = false;
        forms.say(this.complaint, api.sentence(error));
        this.showWaiting();
      }
    }

    runCame(state) {
      const { done, total, sentence, seconds_left: seconds } = state;
      this.running = forms.RUNNING.includes(state.stage);
      if (this.running) return void forms.say(this.waiting, `The checkpoint runs: ${dom.grouped(done)} of ${forms.count(total, "image")}${parts.duration(seconds)}`);
      if (state.stage === "failed") forms.say(this.complaint, sentence || "The checkpoint can't be used.");
      return void this.ask();
    }

    showActions() {
      const { asked, list, left } = this;
      const chosen = list.chosen.size;
      const actions = PILES.find(([pile]) => pile === asked.pile)[3];
      const made = actions.map(([action, word, meaning]) => {
        const text = chosen > 0 ? `${word}: ${dom.grouped(chosen)} chosen` : `${word}: all ${dom.grouped(left)}`;
        return forms.button(`pile-${action}`, text, () => this.act(action), { title: `${meaning}.`, class: action === actions[0][0] ? "cs-strong" : null });
      });
      if (chosen > 0) made.push(forms.button("pile-clear", "Choose none", () => list.clear(), { class: "cs-text" }));
      this.actions.replaceChildren(...(left > 0 ? made : []));
    }

    async act(action) {
      const { labelling, list, asked } = this;
      const rows = list.chosen.size > 0 ? [...list.chosen.values()].map(({ key, label, found }) => ({ key, label, found })) : null;
      forms.say(this.complaint, "");
      forms.say(this.done, "");
      this.actions.replaceChildren();
      try {
        await forms.settled(labelling);
        const answer = await api.post("/api/piles", { ...this.content, action, rows, actor: forms.actorOf(labelling), key: crypto.randomUUID() }, "The pile");
        forms.say(this.done, `${forms.count(answer.count, "instance")} on ${forms.count(answer.images, "image")} ${DONE[action]}.`);
        this.undo.kind = `${asked.pile} ${action}`;
        this.undo.offer(answer.count > 0);
        await forms.refresh(labelling);
        await this.ask();
        list.box.focus({ preventScroll: true });
      } catch (error) {
        forms.say(this.complaint, api.sentence(error));
        this.showActions();
      }
    }
  }

  function agreement({ images, agree, missed, low }, bar) {
    if (images === 0) return "No image has both labels and a result of this checkpoint yet.";
    const labels = agree + missed + low;
    if (labels === 0) return `No label in ${forms.count(images, "image")} yet: everything that the model found is extra.`;
    return `${dom.grouped(agree)} of ${forms.count(labels, "label")} ${agree === 1 ? "agrees" : "agree"} with the model at IoU ${bar.toFixed(2)} or more (${dom.percent(agree / labels)}), in ${forms.count(images, "image")}.`;
  }

  parts.Piles = Piles;
})();
