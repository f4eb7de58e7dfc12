// The page Label: the open image's labels, changed at once here and kept on the server.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { api, dom, labels } = parts;

  const SHEETS = 20; // images whose labels stay in memory
  const IDLE = 30; // seconds: a longer pause is none of the work's
  const ROOMS = { prelabel: "Prelabel", piles: "Piles", export: "Exporting", ledger: "Ledger" };

  class Labelling {
    constructor(studio) {
      const { store, viewer, find } = studio;
      Object.assign(this, { studio, store, viewer, find, place: studio.browse.place });
      this.sheets = new Map(); // key -> what the server has
      this.choice = new parts.LabelChoice(this);
      this.categoryId = null; // of new labels
      this.actions = 0; // since the last gesture that was sent
      this.seconds = 0;
      this.acted = performance.now();
      this.actor = parts.actor.read();
      this.notes = new parts.LabelNotes(this);
      this.outbox = new parts.Outbox({
        onanswer: (entry, content, revision) => this.answered(entry, content, revision),
        onconflict: (entry, opened, told) => this.overtaken(entry, opened, told),
        onrefused: (entry, sentence) => this.refused(entry, sentence),
        onhold: (hold) => this.notes.hold(hold),
        onchange: () => this.notes.saved(),
      });
      this.review = new parts.Review(this);
      this.keys = new parts.labelkeys.Keys(this);
      this.classes = new parts.LabelClasses(this);
      this.tools = parts.Tools ? new parts.Tools(this) : null;
      for (const [name, Class] of Object.entries(ROOMS)) this[name] = parts[Class] ? new parts[Class](this) : null;
      this.pages = new parts.LabelPages(this);
      this.panel = new parts.LabelPanel(this);
      this.bar = new parts.LabelBar(this);
      viewer.extras.push((context, view, pane) => this.draw(context, view, pane));
      this.place.listen((changed) => this.moved(changed));
      store.listen((changed) => this.follow(changed));
      this.wire();
      this.outbox.pump();
    }

    wire() {
      // after a click the keys work on: the focus goes back to the picture
      this.studio.root.addEventListener("click", (event) => {
        if (!this.active || event.detail === 0 || event.target.closest("dialog, input, select, textarea, label, canvas")) return;
        if (!event.target.closest("button, .cs-row, .cs-label-images")) return;
        this.gesture();
        this.focus();
      });
      this.studio.root.addEventListener("change", (event) => {
        if (this.active && event.target.matches("select, input[type=checkbox], input[type=range]") && !event.target.closest("dialog")) this.focus();
      });
      window.addEventListener("pagehide", () => this.leave());
    }

    focus() {
      this.find("canvas").focus({ preventScroll: true });
    }

    get active() {
      return this.place.page === "label";
    }

    // the open image's document, while it is one of labels
    get opened() {
      const { document: opened } = this.store;
      return this.active && opened?.labels ? opened : null;
    }

    get key() {
      return this.opened?.key ?? null;
    }

    get size() {
      const { height, width } = this.opened?.image ?? { height: 0, width: 0 };
      return [height, width];
    }

    // a dataset's id, "uploads" or "samples"; null while nothing is open
    get project() {
      const { browse } = this.studio;
      if (browse.inDataset) return browse.info?.id ?? null;
      return this.store.document?.label?.project ?? this.place.source;
    }

    get checkpoint() {
      return this.place.checkpoint;
    }

    get categories() {
      return this.opened?.categories ?? this.pages.categories ?? [];
    }

    // the class that what is drawn gets
    get category() {
      const { categories } = this;
      return categories.some(({ id }) => id === this.categoryId) ? this.categoryId : (categories[0]?.id ?? null);
    }

    set category(id) {
      this.categoryId = id;
      this.panel?.draw();
    }

    colourOf(id) {
      return this.store.document?.byId.get(id)?.colour ?? null;
    }

    // -- what is open ---------------------------------------------------------------------------

    // where an image's document is on this page, by where it is on the others
    address(url) {
      if (!this.active || !url) return url;
      const key = new URL(url, document.baseURI).pathname.split("/").pop();
      return this.sheetUrl(decodeURIComponent(key));
    }

    sheetUrl(key) {
      return api.address(`/api/labels/${encodeURIComponent(key)}`, { actor: this.actor });
    }

    async load(url, signal) {
      if (!url.includes("/api/labels/")) return parts.document.load(url, signal);
      const known = await this.review.prefetched(url);
      let json = known ?? (await parts.document.fetchJson(url, "This image's labels", signal));
      // an answer that is older than what was acknowledged meanwhile
      if (json.revision < (this.outbox.known.get(json.image?.key) ?? 0)) json = await parts.document.fetchJson(url, "This image's labels", signal);
      return this.read(json);
    }

    read(json) {
      const key = String(json.image?.key);
      const sheet = labels.read(json, this.sheets.get(key));
      this.sheets.delete(key);
      this.sheets.set(key, sheet);
      if (this.sheets.size > SHEETS) this.sheets.delete(this.sheets.keys().next().value);
      return labels.build(sheet, this.outbox.of(key), this.store.document);
    }

    // much may have changed at once, in many images
    async reload() {
      this.review.forget();
      this.pages.later();
      await this.renew();
      await this.review.refresh();
    }

    // the open image's labels once more, without a word
    async renew() {
      const { key } = this;
      if (key === null) return;
      try {
        const json = await parts.document.fetchJson(this.sheetUrl(key), "This image's labels");
        const opened = this.read(json);
        if (this.key === key) this.store.replace(opened);
      } catch (error) {
        this.say(api.sentence(error));
      }
    }

    // the open image as the server has it, with what is on its way on top
    rebuild(select) {
      const sheet = this.sheets.get(this.key);
      if (!sheet) return;
      this.store.replace(labels.build(sheet, this.outbox.of(sheet.key), this.store.document), select);
    }

    // an image of the project in front, with a label picked once it is here
    openImage(key, id = null) {
      const { studio, place } = this;
      if (key === this.key) return id === null ? undefined : this.look(id);
      studio.wanted = id === null ? null : { instance: id, zoom: this.review.near };
      if (studio.browse.inDataset) return place.set({ image: key, mode: "viewer" });
      const listed = studio.strip.images.find((image) => image.key === key);
      return listed ? studio.openImage(listed) : this.say("This image is not in the list any more.");
    }

    // one label of the open image picked, and looked at from near in a review
    look(id) {
      const one = this.store.document?.byId.get(id);
      if (!one) return;
      this.store.set({ selected: id });
      if (this.review.near) this.studio.zoomTo(one);
      else if (!this.viewer.view.shows(one.bbox)) this.viewer.view.centre(one.bbox[0] + one.bbox[2] / 2, one.bbox[1] + one.bbox[3] / 2);
    }

    moved(changed) {
      if (changed.has("page")) this.turn();
      this.pages.follow(changed);
    }

    // to this page, or away from it: the same image with the other document
    turn() {
      const { studio } = this;
      if (!this.active) this.leave();
      const url = studio.openUrl;
      if (url && studio.opener.url !== this.address(url)) studio.open(url);
      studio.pointer.tools = this.active ? this.tools : null;
      this.chosen.clear();
      this.notes.saved();
      if (this.active) this.pages.openOne();
    }

    follow(changed) {
      if (changed.has("document")) this.opening();
      if (changed.has("selected")) this.choice.picked();
      if (changed.has("document") || changed.has("selected")) this.viewer.redraw("marks");
    }

    opening() {
      const { key, opened } = this;
      const { studio, place } = this;
      if (opened && studio.browse.inDataset) studio.address.quietly(() => place.set({ mode: "viewer" })); // Browse shows it too, then
      if (key !== this.last) {
        this.leave();
        this.pages.mark();
      }
      this.last = key;
      this.choice.prune();
      if (opened?.label.note && key !== this.noted) this.say(opened.label.note);
      this.noted = key;
    }

    // -- what is picked -------------------------------------------------------------------------

    get chosen() {
      return this.choice.ids;
    }

    get targets() {
      return this.choice.targets;
    }

    choose(...ids) {
      this.choice.add(...ids);
    }

    draw(context, view, pane) {
      if (!this.opened) return;
      this.choice.draw(context, pane);
      this.tools?.draw(context, view);
    }

    // -- what is done ---------------------------------------------------------------------------

    // a press or a key counts, with the time since the one before
    gesture(n = 1) {
      const now = performance.now();
      this.actions += n;
      this.seconds += Math.min(IDLE, (now - this.acted) / 1000);
      this.acted = now;
    }

    // somebody else sits here now, or the same with a name
    become(name) {
      this.actor = parts.actor.become(name);
      this.renew();
    }

    spent() {
      const spent = { actions: this.actions, seconds: Number(this.seconds.toFixed(2)) };
      [this.actions, this.seconds] = [0, 0];
      return spent;
    }

    // work that changed nothing is counted too
    leave() {
      if (this.actions === 0 || !this.last) return;
      this.send("effort", `/api/labels/${encodeURIComponent(this.last)}/effort`, {}, null, this.spent());
    }

    send(kind, url, body, image, spent = {}, revision = undefined) {
      const key = labels.uid();
      return this.outbox.add({ key, url, image, kind, revision, body: { key, actor: this.actor, ...body, ...spent } });
    }

    // Do something to the open image, at once here and soon on the server -> ids of what was put.
    // put: [{id, mask, categoryId, state, z, iscrowd}], each as far as it changes; a label without an id is new
    commit({ kind, put = [], drop = [], state = null, select }) {
      const { opened } = this;
      if (!opened) return [];
      if (!opened.editable) {
        this.say(opened.label.note || "Nothing can be drawn on this image.");
        return [];
      }
      if (put.some(({ id, categoryId }) => !opened.byId.has(id) && categoryId === undefined) && this.category === null) {
        this.classes.first(() => this.commit({ kind, put, drop, state, select }));
        return [];
      }
      const top = opened.instances.reduce((most, { z }) => Math.max(most, z), 0);
      const { made, gone } = parts.gestures.wanted(put, opened.byId, { category: this.category, top });
      const dropped = [...new Set([...drop, ...gone])].filter((id) => opened.byId.has(id));
      if (made.length + dropped.length === 0 && (state === null || state === opened.label.state)) return [];
      const url = `/api/labels/${encodeURIComponent(opened.key)}/ops`;
      this.notes.done();
      this.send(kind, url, { kind, put: made, drop: dropped, state }, opened.key, this.spent(), opened.revision);
      this.rebuild(select);
      this.pages.later();
      return made.map(({ id }) => id);
    }

    use(name) {
      this.tools?.use(name);
      this.bar.draw();
    }

    resize(factor) {
      const { tools } = this;
      if (!tools) return;
      const next = tools.radius * factor;
      tools.setRadius(factor > 1 ? Math.ceil(next) : Math.max(1, Math.floor(next)));
      this.bar.draw();
    }

    // one step back: the tool, the choice, the images
    escape() {
      const { studio, store, tools } = this;
      for (const dialog of [studio.sheet.dialog, this.find("label-dialog")]) if (dialog.open) return dialog.close();
      if (studio.layout.fold()) return undefined;
      if (tools && tools.current !== "select") return this.use("select");
      if (store.selected === null && this.chosen.size === 0) return studio.browse.back();
      this.chosen.clear();
      return store.set({ selected: null });
    }

    undo() {
      this.revert("undo");
    }

    redo() {
      this.revert("redo");
    }

    revert(what) {
      if (this.project === null) return;
      this.send(what, `/api/labels/${what}`, { project: this.project }, null);
    }

    // -- what the server says -------------------------------------------------------------------

    answered(entry, content, revision) {
      if (entry.kind === "undo" || entry.kind === "redo") return this.reverted(entry.kind, content);
      if (!entry.body.put) return undefined;
      this.review.forget(entry.image);
      const sheet = this.sheets.get(entry.image);
      if (sheet && !content.repeated && sheet.revision === revision) this.sheets.set(entry.image, labels.answered(sheet, content));
      else if (entry.image === this.key) return this.renew();
      else this.sheets.delete(entry.image);
      if (entry.image === this.key) this.rebuild();
      this.panel.acknowledged();
      return undefined;
    }

    // what was undone, in front
    reverted(what, { kind, images = [], count = 0, skipped = 0 }) {
      const done = what === "undo" ? "Undone" : "Done again";
      this.review.forget();
      if (!kind) return this.say(`Nothing to ${what}.`);
      const where = count > 1 ? `, in ${dom.grouped(count)} images` : "";
      const left = skipped ? ` ${dom.grouped(skipped)} labels stay: somebody has changed them since.` : "";
      this.notes.brief(`${done}: ${parts.gestures.word(kind)}${where}.${left}`);
      for (const key of images) if (key !== this.key) this.sheets.delete(key);
      this.pages.later();
      if (count > 1) this.review.refresh();
      if (images.length === 0 || images.includes(this.key) || !this.active) return this.renew();
      return this.openImage(images[0]);
    }

    overtaken(entry, opened, { clashes, by }) {
      const built = this.read(opened);
      if (entry.image === this.key) this.store.replace(built);
      const others = by.filter((name) => name !== this.actor);
      if (clashes.length === 0 && others.length > 0) this.say(`${parts.actor.names(others)} changed this image meanwhile, other labels than yours: both are kept.`);
    }

    refused(entry, sentence) {
      this.notes.refused(entry, sentence);
      this.sheets.delete(entry.image);
      this.renew();
    }

    // -- words ----------------------------------------------------------------------------------

    say(text, ...buttons) {
      this.notes.say(text, ...buttons);
    }

    dialog(title, ...children) {
      return parts.labelDialog(this.find, title, ...children);
    }
  }

  parts.Labelling = Labelling;
})();
