// Files in: COCO, results, labelme, YOLO. One import is one batch that can be undone.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { dom, api, forms } = parts;
  const { element } = dom;

  const POLICIES = [
    ["add", "Add to what is there", "Labels of the file that are there already are not added."],
    ["replace", "Replace untouched proposals", "Proposals that nobody looked at go first. What people made or checked stays as it is."],
  ];

  class Importing {
    constructor(labelling) {
      this.labelling = labelling;
      this.asked = { policy: "add" };
    }

    open() {
      const { labelling, asked } = this;
      this.file = element("input", { type: "file", class: "cs-field", accept: ".json,.zip,application/json,application/zip", "aria-label": "File to import", "data-testid": "import-file" });
      this.file.addEventListener("change", () => this.show());
      this.policy = new forms.Choice("import-policy", "Where labels are already", POLICIES, asked.policy, (value) => (asked.policy = value));
      this.start = forms.button("import-start", "Import", () => this.begin(), { class: "cs-strong" });
      this.said = forms.line("import-text");
      this.complaint = forms.line("import-complaint", { alert: true });
      this.undo ??= new forms.Undoing(labelling, "import-undo", "import");
      const what = forms.group("File", element("p", { class: "cs-quiet" }, "COCO, COCO results (scored: they come in as proposals), or a zip of labelme or YOLO files."), this.file);
      const foot = element("div", { class: "cs-foot" }, this.said, this.complaint, this.start, this.undo.element);
      this.element = element("div", { class: "cs-form", "data-testid": "import" }, what, this.policy.element, foot);
      this.dialog = forms.open(labelling, "Import", this.element);
      this.show();
    }

    show() {
      this.start.hidden = this.file.files.length === 0;
    }

    async begin() {
      const { labelling, asked } = this;
      const content = new FormData();
      content.append("file", this.file.files[0]);
      for (const [name, value] of Object.entries({ project: labelling.project, actor: forms.actorOf(labelling), key: crypto.randomUUID(), policy: asked.policy })) content.append(name, value);
      forms.say(this.complaint, "");
      forms.say(this.said, "Reading the file");
      this.undo.offer(false);
      this.start.hidden = true;
      try {
        await forms.settled(labelling);
        const answer = await send(content);
        forms.say(this.said, answer.sentence || result(answer));
        this.undo.offer(answer.labels > 0);
        this.file.value = "";
        await forms.refresh(labelling);
      } catch (error) {
        forms.say(this.said, "");
        forms.say(this.complaint, api.sentence(error));
      }
      this.show();
    }
  }

  async function send(content) {
    const { LoadError, reason } = parts.document;
    let answer;
    try {
      answer = await fetch("/api/labels/import", { method: "POST", body: content });
    } catch {
      throw new LoadError("The file could not be sent: the Studio's server does not answer.");
    }
    if (!answer.ok) throw new LoadError(await reason(answer, "The file"));
    return answer.json();
  }

  function result({ images, labels, skipped }) {
    const left = skipped > 0 ? `, ${dom.grouped(skipped)} left out` : "";
    return `${forms.count(labels, "label")} on ${forms.count(images, "image")}${left}.`;
  }

  parts.Importing = Importing;
})();
