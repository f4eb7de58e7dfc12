// What the page Label says over the picture, and its dialogs.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { dom } = parts;

  const BRIEF = 4000; // milliseconds that a remark stays

  function button(id, title, meaning, act) {
    const made = dom.element("button", { type: "button", "data-testid": id, title: meaning }, title);
    made.addEventListener("click", act);
    return made;
  }

  class LabelNotes {
    constructor(labelling) {
      this.labelling = labelling;
      this.box = labelling.find("label-note");
      this.timer = null;
      this.lasting = false; // whether somebody has to answer
      this.status = dom.element("span", { class: "cs-saved", "data-testid": "label-saved", role: "status", hidden: true });
      labelling.find("status-text").after(this.status);
    }

    // in the status line: is everything on the server's disk?
    saved() {
      const { outbox, active, bar } = this.labelling;
      const { status } = this;
      const waiting = outbox.waiting.length;
      const late = Boolean(outbox.failing || outbox.hold);
      status.hidden = !active && waiting === 0;
      status.textContent = waiting === 0 ? "saved" : late ? `not saved yet, ${waiting === 1 ? "1 change" : `${waiting} changes`} waiting` : "saving";
      status.toggleAttribute("data-late", late);
      status.title = outbox.unkept ? "This browser's storage is full: what waits is only in this page, do not close it" : "What waits is kept in this browser until the server has it";
      bar?.draw();
    }

    say(text, ...buttons) {
      if (!this.lasting) this.show(text, buttons); // a question stays until it is answered
    }

    show(text, buttons) {
      clearTimeout(this.timer);
      const close = button("label-note-close", "×", "Close", () => this.clear());
      close.className = "cs-icon";
      this.box.replaceChildren(dom.element("span", {}, text), ...buttons, ...(this.lasting ? [] : [close]));
      this.box.hidden = !text;
      delete this.box.dataset.kind;
    }

    // a remark that goes by itself
    brief(text) {
      this.say(text);
      this.timer = setTimeout(() => this.clear(), BRIEF);
    }

    // the next thing was done: what was said of the last one goes
    done() {
      if (this.box.dataset.kind !== "refused") this.clear();
    }

    clear() {
      if (this.lasting) return;
      clearTimeout(this.timer);
      this.box.hidden = true;
      this.box.replaceChildren();
    }

    // somebody has to decide before anything else is sent
    hold({ entry, reason, detail, clashes, by }) {
      const { outbox, key } = this.labelling;
      const where = entry.image === key || entry.image === null ? "" : ` (in another image: ${entry.image})`;
      const answer = (id, title, meaning, act) =>
        button(id, title, meaning, () => {
          this.lasting = false;
          this.clear();
          act();
        });
      this.lasting = true;
      if (reason === "conflict") {
        const count = clashes.length === 1 ? "a label" : `${clashes.length} labels`;
        return this.show(`${parts.actor.names(by)} changed ${count} that you changed too${where}.`, [
          answer("keep-mine", "Keep mine", "Your version goes on top of theirs", () => outbox.mine()),
          answer("take-theirs", "Take theirs", "Their version stays; what you did to other labels is kept", () => {
            outbox.theirs();
            this.labelling.rebuild();
          }),
        ]);
      }
      return this.show(`Your changes wait: ${detail}${where}`, [
        answer("hold-again", "Try again", "Send them once more", () => outbox.mine()),
        answer("hold-give-up", "Give this one up", "The rest is sent; this one can still be downloaded", () => outbox.giveUp()),
      ]);
    }

    // a change that the server does not take is given up, but not lost
    refused(entry, sentence) {
      if (!entry.body.put) return this.say(sentence);
      const name = `change-${entry.key.slice(0, 8)}.json`;
      const file = URL.createObjectURL(new Blob([JSON.stringify(entry, null, 1)], { type: "application/json" }));
      const link = dom.element("a", { class: "cs-button", href: file, download: name, "data-testid": "label-refused-file", title: "What you did, as a JSON file" }, "Download it");
      this.say(`Your change was not taken: ${sentence}`, link);
      this.box.dataset.kind = "refused";
      return undefined;
    }
  }

  // a dialog over the page; whatever was in it before goes
  function labelDialog(find, title, ...children) {
    const element = find("label-dialog");
    const close = () => {
      if (element.open) element.close();
      find("canvas").focus({ preventScroll: true });
    };
    const cross = button("label-dialog-close", "×", "Close ( Esc )", close);
    cross.className = "cs-icon";
    element.setAttribute("aria-label", title);
    element.replaceChildren(dom.element("header", {}, dom.element("h1", {}, title), cross), ...children);
    // the backdrop; an answer of false would keep radio buttons and links from doing what they do
    element.onclick = (event) => {
      if (event.target === element) close();
    };
    element.onclose = () => find("canvas").focus({ preventScroll: true });
    if (!element.open) element.showModal();
    return { element, close };
  }

  parts.LabelNotes = LabelNotes;
  parts.labelDialog = labelDialog;
  parts.labelButton = button;
})();
