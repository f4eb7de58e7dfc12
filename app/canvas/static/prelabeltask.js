// A run that pre-labels images: how far it is, what failed, what it added, and the way back. It outlives the page.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { dom, api, forms } = parts;
  const { element } = dom;

  const KEPT = "comask-prelabel"; // where this tab remembers its runs over a reload: {project: task}
  const ENDS = { finished: "Pre-labelling is done", stopped: "Pre-labelling was stopped", failed: "Pre-labelling failed" };

  class PrelabelTask {
    // onopen(): somebody wants to see the dialog; onchange(): it has come further; onjump(key): to an image
    constructor(labelling, { onopen, onchange, onjump }) {
      Object.assign(this, { labelling, onchange, onjump });
      this.news = false; // it has ended, and nobody has seen that yet
      this.project = null;
      this.id = null;
      this.state = null;
      this.watch = new forms.Watch({ what: "The run", onstate: (state) => this.take(state), onlost: () => this.lose() });
      this.build();
      this.buildCorner(onopen);
      for (const known of [labelling.place, labelling.store]) known.listen(() => this.resume()); // whose run it is shows with the image
      this.resume();
    }

    build() {
      this.text = element("p", { class: "cs-number", role: "status", "data-testid": "prelabel-progress" });
      this.bar = element("progress", { max: 1, "data-testid": "prelabel-bar", "aria-label": "How far pre-labelling is" });
      this.stop = forms.button("prelabel-stop", "Stop", () => this.tell("stop"));
      this.retry = forms.button("prelabel-retry", "Try failed ones again", () => this.tell("retry"));
      this.complaint = forms.line("prelabel-task-complaint", { alert: true });
      this.failed = element("summary", { "data-testid": "prelabel-failed-count" });
      this.list = element("ul", { "data-testid": "prelabel-failures" });
      this.failures = element("details", { class: "cs-failed-list", "data-testid": "prelabel-failed", hidden: true }, this.failed, this.list);
      this.undo = new forms.Undoing(this.labelling, "prelabel-undo", "prelabel");
      this.element = element("section", { class: "cs-task", hidden: true }, this.text, this.bar, element("div", { class: "cs-buttons" }, this.stop, this.retry), this.complaint, this.undo.element, this.failures);
    }

    // the few words that stay in sight, in the line at the bottom
    buildCorner(onopen) {
      this.corner = forms.button("prelabel-corner", "", onopen, { class: "cs-text cs-corner", hidden: true, title: "Show how far pre-labelling is" });
      this.labelling.find("status-text").after(this.corner);
    }

    get running() {
      return forms.RUNNING.includes(this.state?.stage);
    }

    // the run of this project that the tab remembers, or one that goes on
    async resume() {
      const { labelling } = this;
      const project = labelling.project ?? null;
      const known = remembered()[project] ?? null;
      const subject = labelling.active !== false || known !== null ? project : null; // no question on other pages
      if (subject === this.project) return;
      this.watch.end();
      Object.assign(this, { project: subject, id: null, state: null, news: false });
      this.show();
      if (subject === null) return;
      const said = await api.get(api.address("/api/prelabel", { project }), "The run").catch(() => null);
      if (this.project !== subject || this.id !== null || !said?.task) return;
      this.id = said.task;
      this.others = said.task !== known; // somebody else's interests as long as it goes on
      await this.watch.begin(this.address);
    }

    get address() {
      return `/api/prelabel/${encodeURIComponent(this.id)}`;
    }

    async begin(content) {
      const { task } = await api.post("/api/prelabel", content, "Pre-labelling");
      this.follow(task, content.project);
      this.fresh = true;
      await this.watch.begin(this.address);
    }

    follow(task, project = this.project) {
      this.watch.end();
      Object.assign(this, { id: task, project, state: null, others: false });
      remember(project, task);
      this.undo.offer(false);
      forms.say(this.complaint, "");
    }

    async tell(what) {
      forms.say(this.complaint, "");
      try {
        const answer = await api.post(`${this.address}/${what}`, {}, "The run");
        if (answer?.task && answer.task !== this.id) this.follow(answer.task);
        await this.watch.begin(this.address);
      } catch (error) {
        forms.say(this.complaint, api.sentence(error));
      }
    }

    async take(state) {
      const { running: before, fresh } = this;
      const known = this.state?.added ?? 0;
      const ended = !forms.RUNNING.includes(state.stage);
      if (ended && this.others && !before) return void (this.id = null);
      this.state = state;
      if (ended && state.added > 0) this.undo.offer();
      this.fresh = false; // a short run may be over at the first look
      const now = ended && (before || fresh);
      const more = (state.added ?? 0) > known;
      this.news = now;
      this.show();
      this.onchange();
      if (now || more) await forms.refresh(this.labelling);
    }

    // the server has started again and forgot it: what is done stays done
    lose() {
      remember(this.project, undefined);
      Object.assign(this, { id: null, state: null });
      this.show();
      this.onchange();
    }

    // somebody looks at it
    seen() {
      this.news = false;
      this.show();
    }

    show() {
      const { state, running } = this;
      this.element.hidden = state === null;
      this.corner.hidden = !running && !this.news;
      if (state === null) return;
      const { done, total, failed_count: bad = 0 } = state;
      const share = total > 0 ? done / total : 0;
      this.bar.value = share;
      this.bar.hidden = this.stop.hidden = !running;
      this.retry.hidden = running || (bad === 0 && state.stage !== "stopped");
      this.retry.textContent = state.stage === "stopped" ? "Go on" : "Try failed ones again";
      this.text.textContent = running ? this.progressText() : this.endText();
      this.corner.textContent = running ? `Pre-labelling ${dom.percent(share)}` : `${ENDS[state.stage] ?? "Pre-labelling"}: ${dom.grouped(state.added ?? 0)} added`;
      this.showFailures(state.failed ?? [], bad);
      if (state.stage === "failed") forms.say(this.complaint, state.sentence || "The checkpoint can't be used.");
    }

    progressText() {
      const { done, total, added = 0, failed_count: bad = 0, seconds_left: seconds } = this.state;
      const failed = bad > 0 ? `, ${dom.grouped(bad)} failed` : "";
      return `${dom.grouped(done)} of ${forms.count(total, "image")}${failed}, ${forms.count(added, "proposal")} added${parts.duration(seconds)}`;
    }

    endText() {
      const { stage, done, total, added = 0, images = 0, left_out: leftOut = 0, failed_count: bad = 0, sentence } = this.state;
      const where = stage === "stopped" ? ` after ${dom.grouped(done)} of ${forms.count(total, "image")}` : "";
      const words = [`${ENDS[stage] ?? "Pre-labelling"}${where}: ${added === 0 ? "nothing new was added" : `${forms.count(added, "proposal")} added on ${forms.count(images, "image")}`}.`];
      if (leftOut > 0) words.push(`${forms.count(leftOut, "instance")} left out: ${leftOut === 1 ? "its class has" : "their classes have"} none here.`);
      if (bad > 0) words.push(`${forms.count(bad, "image")} failed.`);
      if (sentence && stage !== "failed") words.push(forms.whole(sentence));
      return words.join(" ");
    }

    showFailures(failed, bad) {
      this.failures.hidden = failed.length === 0;
      const rest = bad > failed.length ? `, the first ${dom.grouped(failed.length)} are here` : "";
      this.failed.textContent = `${forms.count(bad, "image")} failed${rest}`;
      const lines = failed.map((one) => {
        const open = forms.button("prelabel-failure-open", forms.nameOfImage(this.labelling, one), () => this.onjump(one.key), { class: "cs-text" });
        return element("li", { "data-testid": "prelabel-failure" }, open, ` ${one.sentence}`);
      });
      this.list.replaceChildren(...lines);
    }
  }

  function remembered() {
    try {
      return JSON.parse(window.sessionStorage.getItem(KEPT) ?? "{}");
    } catch {
      return {};
    }
  }

  function remember(project, task) {
    window.sessionStorage.setItem(KEPT, JSON.stringify({ ...remembered(), [project]: task }));
  }

  parts.PrelabelTask = PrelabelTask;
})();
