// Have the checkpoint label images: which, above which score, as which classes.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { dom, api, forms, picker } = parts;
  const { element } = dom;

  const SCOPES = [
    ["all", "All images"],
    ["unlabelled", "Images without any label"],
    ["selected", "Images that I choose"],
    ["image", "This image"],
    ["region", "A region of this image", "The cut-out goes through the model by itself, so it sees it larger than in the whole image."],
  ];
  const POLICIES = [
    ["add", "Add to what is there", "What overlaps a label that is there already is not added."],
    ["replace", "Replace untouched proposals", "Proposals that nobody looked at go first. What people accepted, changed, drew or rejected stays as it is."],
  ];

  class Prelabel {
    constructor(labelling) {
      this.labelling = labelling;
      this.asked = { scope: "all", policy: "add", minScore: 0.5, overlap: 0.5, checkpoint: null }; // as the form was left
      this.task = new parts.PrelabelTask(labelling, { onopen: () => this.open(), onchange: () => this.come(), onjump: (key) => this.jump(key) });
      this.region = new parts.Region(labelling);
      this.dialog = null;
    }

    // does a run go on?
    get active() {
      return this.task.running;
    }

    async open() {
      const { labelling, asked } = this;
      await this.task.resume();
      this.build();
      this.dialog = forms.open(labelling, "Pre-label", this.element);
      this.come();
      this.picks.open();
      this.mapping.open(asked.checkpoint);
      await this.look();
    }

    build() {
      const { labelling, asked } = this;
      const pictured = Boolean(labelling.store.document);
      const scopes = SCOPES.filter(([scope]) => pictured || !["image", "region"].includes(scope));
      if (!scopes.some(([scope]) => scope === asked.scope)) asked.scope = "all";
      const names = forms.checkpoints(labelling);
      if (!names.includes(asked.checkpoint)) asked.checkpoint = labelling.checkpoint ?? names[0] ?? null;
      const sets = (name) => (value) => {
        asked[name] = value;
        this.show();
      };
      this.scope = new forms.Choice("prelabel-scope", "Which images", scopes, asked.scope, sets("scope"));
      this.picks = new picker.Picker(labelling, () => this.show());
      this.checkpoint = new forms.Menu("prelabel-checkpoint", "Checkpoint", names.map((name) => [name, name]), asked.checkpoint, (value) => {
        sets("checkpoint")(value);
        this.mapping.open(value);
      });
      this.mapping ??= new parts.Mapping(labelling, () => this.show());
      this.policy = new forms.Choice("prelabel-policy", "Where labels are already", POLICIES, asked.policy, sets("policy"));
      this.minScore = new forms.Slider("prelabel-score", "Class score above", { value: asked.minScore, oninput: sets("minScore") });
      this.overlap = new forms.Slider("prelabel-overlap", "The same instance from IoU", { min: 0.05, value: asked.overlap, meaning: "Two that overlap so much are one: the second is not added.", oninput: sets("overlap") });
      this.sentence = forms.line("prelabel-sentence");
      this.complaint = forms.line("prelabel-complaint", { alert: true });
      this.start = forms.button("prelabel-start", "Pre-label", () => this.begin(), { class: "cs-strong" });
      const left = element("div", {}, this.scope.element, this.picks.element, this.policy.element);
      const right = element("div", {}, this.checkpoint.element, this.minScore.element, this.overlap.element, this.mapping.element);
      const foot = element("div", { class: "cs-foot" }, this.sentence, this.complaint, this.start);
      this.form = element("div", { "data-testid": "prelabel-form" }, element("div", { class: "cs-pair" }, left, right), foot);
      this.element = element("div", { class: "cs-form cs-wide", "data-testid": "prelabel" }, this.task.element, this.form);
    }

    // how many images, and with what
    async look() {
      this.survey = null;
      try {
        this.survey = await picker.survey(this.labelling);
      } catch (error) {
        forms.say(this.complaint, api.sentence(error));
      }
      this.show();
    }

    // {images, human, exact} of what is chosen, or null while nobody knows
    get reach() {
      const { survey } = this;
      const { scope } = this.asked;
      if (scope === "selected") return countRows(this.picks.rows);
      if (!survey) return null;
      if (scope === "unlabelled") return { images: survey.bare, human: 0, exact: survey.exact };
      if (scope === "all") return survey;
      const key = this.labelling.store.document?.key;
      return countRows((survey.rows ?? []).filter((row) => row.key === key), 1);
    }

    // the run has come further
    come() {
      if (this.element?.isConnected && this.dialog?.element.open) this.task.seen();
      this.show();
    }

    jump(key) {
      forms.leave(this.labelling, this.dialog);
      this.labelling.openImage(key, null);
    }

    show() {
      if (!this.form) return;
      const { asked, reach } = this;
      this.form.hidden = this.task.running;
      this.picks.element.hidden = asked.scope !== "selected";
      this.policy.element.hidden = asked.scope === "region";
      const ready = Boolean(asked.checkpoint && this.mapping.content) && !this.barren;
      const some = reach === null || reach.images !== 0;
      forms.say(this.sentence, this.words(reach));
      this.start.hidden = !ready || !some;
      this.start.textContent = asked.scope === "region" ? "Draw the region" : "Pre-label";
    }

    // would nothing be added, whatever is found?
    get barren() {
      const { known, unmapped } = this.mapping;
      return known !== null && unmapped.length === known.classes.length;
    }

    words(reach) {
      const { asked } = this;
      if (!asked.checkpoint) return "There is no checkpoint to label with.";
      if (this.barren) return "Every class of the checkpoint is left out, so nothing would be added: choose under Classes what one becomes.";
      if (asked.scope === "region") return "The dialog closes: drag a box over the image, then the model looks at it.";
      if (!reach) return "Counting images";
      if (reach.images === 0) return asked.scope === "selected" ? "Choose images in the list." : "There is no such image.";
      if (reach.images === null) return "Every image without any label.";
      const found = `class score above ${asked.minScore.toFixed(2)}`;
      const human = reach.human === 0 ? "none of them with human work" : `${reach.exact === false ? "at most " : ""}${dom.grouped(reach.human)} of them with human work that stays as it is`;
      return `${forms.count(reach.images, "image")}, ${reach.images === 1 ? oneImage(reach) : human}; ${found}.`;
    }

    async begin() {
      const { asked, labelling, mapping } = this;
      forms.say(this.complaint, "");
      if (asked.scope === "region") return void (await this.beginRegion());
      const keys = asked.scope === "selected" ? this.picks.keys : asked.scope === "image" ? [labelling.store.document.key] : [];
      const content = {
        project: labelling.project,
        checkpoint: asked.checkpoint,
        scope: asked.scope === "image" ? "selected" : asked.scope,
        keys,
        min_score: asked.minScore,
        mapping: mapping.content,
        policy: asked.policy,
        overlap: asked.overlap,
        actor: forms.actorOf(labelling),
        key: crypto.randomUUID(),
      };
      this.start.hidden = true;
      try {
        await forms.settled(labelling);
        await this.task.begin(content);
      } catch (error) {
        forms.say(this.complaint, api.sentence(error));
      }
      this.show();
    }

    async beginRegion() {
      const { labelling, asked, mapping } = this;
      forms.leave(this.labelling, this.dialog);
      const box = await this.region.ask();
      if (box === null) return;
      await forms.settled(labelling);
      const { document: opened } = labelling.store;
      labelling.say("The model looks at the region.");
      try {
        const answer = await api.post("/api/prelabel/region", {
          key: opened.key,
          box,
          checkpoint: asked.checkpoint,
          min_score: asked.minScore,
          mapping: mapping.content,
          overlap: asked.overlap,
          actor: forms.actorOf(labelling),
          gesture: crypto.randomUUID(),
          revision: opened.revision,
        }, "The region");
        await forms.refresh(labelling);
        const added = answer.instances.length;
        labelling.say(`${added === 0 ? "Nothing new was found there" : `${forms.count(added, "instance")} added`}. ${answer.levels_note ?? ""}`.trim());
      } catch (error) {
        labelling.say(api.sentence(error));
      }
    }
  }

  const countRows = (rows, least = 0) => ({ images: Math.max(least, rows.length), human: rows.filter(picker.isHuman).length, exact: true });
  const oneImage = ({ human }) => (human === 0 ? "without human work" : "with human work that stays as it is");

  parts.Prelabel = Prelabel;
})();
