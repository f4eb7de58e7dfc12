// Files out: COCO, results, labelme, YOLO; and the certificate of what was written.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { dom, api, forms } = parts;
  const { element } = dom;

  const FORMATS = [
    ["coco", "COCO", "One file of images, classes and instances: the whole truth."],
    ["results", "COCO results", "A list of scored instances, as evaluation tools read it."],
    ["labelme", "labelme", "One file for each image, in a zip: polygons, and a mask where one would differ too much."],
    ["yolo", "YOLO segmentation", "One text file for each image, in a zip: polygons alone. What they cannot hold fails the certificate."],
  ];
  const MASKS = [
    ["rle", "RLE", "Every pixel as it is."],
    ["polygon", "Polygons", "Where a polygon would differ too much from the mask, it stays RLE."],
  ];
  const INCLUDED = [
    ["kept", "What people kept", "Accepted, changed and drawn."],
    ["all", "Proposals too", "Also what nobody has looked at."],
  ];

  function sizeText(bytes) {
    if (bytes < 1000) return forms.count(bytes, "byte");
    return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
  }

  class Exporting {
    constructor(labelling) {
      this.labelling = labelling;
      this.importing = new parts.Importing(labelling);
      this.asked = { format: "coco", masks: "rle", bar: 0.95, include: "kept", minScore: 0.5, scores: true, provenance: true }; // as the dialog was left
      this.answer = null; // of the last export, with the project it was of
    }

    openImport() {
      return this.importing.open();
    }

    open() {
      this.build();
      this.dialog = forms.open(this.labelling, "Export", this.element);
      this.show();
      if (this.answer?.project === this.labelling.project) this.showAnswer();
    }

    build() {
      const { asked, labelling } = this;
      const sets = (name) => (value) => {
        asked[name] = value;
        this.show();
      };
      this.format = new forms.Choice("export-format", "Format", FORMATS, asked.format, sets("format"));
      this.masks = new forms.Choice("export-masks", "Masks", MASKS, asked.masks, sets("masks"));
      this.bar = new forms.Slider("export-bar", "A polygon has to reach IoU", { min: 0.5, value: asked.bar, oninput: sets("bar") });
      this.include = new forms.Choice("export-include", "Instances", INCLUDED, asked.include, sets("include"));
      this.minScore = new forms.Slider("export-score", "Proposals with class score above", { value: asked.minScore, oninput: sets("minScore") });
      this.scores = new forms.Check("export-scores", "Scores", { checked: asked.scores, onchange: sets("scores") });
      this.provenance = new forms.Check("export-provenance", "Provenance", { meaning: "Who made each instance: person, file or which checkpoint, and its state.", checked: asked.provenance, onchange: sets("provenance") });
      this.more = forms.group("With each instance", this.scores.element, this.provenance.element);
      this.start = forms.button("export-start", "Export", () => this.begin(), { class: "cs-strong" });
      this.busy = forms.line("export-busy");
      this.complaint = forms.line("export-complaint", { alert: true });
      this.result = element("section", { class: "cs-result", "data-testid": "export-result", hidden: true });
      this.certificate = new parts.Certificate({ labelling, onjump: (row) => this.jump(row) });
      const left = element("div", {}, this.format.element, this.more);
      const right = element("div", {}, this.include.element, this.minScore.element, this.masks.element, this.bar.element);
      const foot = element("div", { class: "cs-foot" }, this.busy, this.complaint, this.start);
      this.element = element("div", { class: "cs-form cs-wide", "data-testid": "export" }, element("div", { class: "cs-pair" }, left, right), foot, this.result);
    }

    jump({ key, id }) {
      forms.leave(this.labelling, this.dialog);
      this.labelling.openImage(key, id ?? null);
    }

    // how masks are written: a question of COCO's alone
    get masksAsked() {
      const { format, masks } = this.asked;
      if (format === "coco") return masks;
      return format === "results" ? "rle" : "polygon";
    }

    show() {
      const { asked } = this;
      this.masks.element.hidden = asked.format !== "coco";
      this.bar.element.hidden = this.masksAsked !== "polygon";
      this.minScore.element.hidden = asked.include !== "all";
      this.more.hidden = asked.format !== "coco";
    }

    async begin() {
      const { asked, labelling } = this;
      const { format, bar, include, minScore, scores, provenance } = asked;
      forms.say(this.complaint, "");
      forms.say(this.busy, "Writing the file, and reading it again to certify it");
      this.start.hidden = true;
      this.result.hidden = true;
      const { project } = labelling;
      const content = { project, format, masks: this.masksAsked, bar, include, min_score: include === "all" ? minScore : 0, scores, provenance };
      try {
        await forms.settled(labelling);
        this.answer = { ...(await api.post("/api/labels/exports", content, "The export")), project, bar };
        this.showAnswer();
      } catch (error) {
        forms.say(this.complaint, api.sentence(error));
      }
      forms.say(this.busy, "");
      this.start.hidden = false;
    }

    showAnswer() {
      const { answer } = this;
      const { file_name: name, url, bytes, images, annotations } = answer;
      const text = `${name}: ${forms.count(images, "image")}, ${forms.count(annotations, "instance")}, ${sizeText(bytes)}.`;
      const certificate = `/api/labels/exports/${encodeURIComponent(answer.id)}/certificate.json`;
      const links = element(
        "div",
        { class: "cs-buttons" },
        element("a", { class: "cs-button cs-strong", href: url, download: name, "data-testid": "export-file" }, "Download the file"),
        element("a", { class: "cs-button", href: certificate, download: "certificate.json", "data-testid": "export-certificate" }, "Download its certificate"),
      );
      this.certificate.show(answer);
      this.result.replaceChildren(element("p", { class: "cs-said", role: "status", "data-testid": "export-text" }, text), links, this.certificate.element);
      this.result.hidden = false;
      this.result.scrollIntoView({ block: "nearest" });
    }
  }

  parts.Exporting = Exporting;
})();
