// A run of the checkpoint over the whole dataset: start, stop, how far, and what failed.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { dom, api } = parts;

  const GLANCE = 1000; // milliseconds between two looks
  const LISTED = 100; // failures that are shown one by one
  const KEPT = "comask-runs"; // where this tab remembers its runs over a reload

  function duration(seconds) {
    if (seconds === null || seconds === undefined) return "";
    if (seconds < 90) return `, ${Math.max(1, Math.round(seconds))} s left`;
    const minutes = Math.round(seconds / 60);
    return minutes < 90 ? `, ${minutes} min left` : `, ${Math.floor(minutes / 60)} h ${minutes % 60} min left`;
  }

  class Runs {
    // onprogress(): more images have a result; onpick(key): somebody wants to see one
    constructor(find, { onprogress, onpick }) {
      Object.assign(this, { find, onprogress, onpick });
      this.subject = null; // "dataset checkpoint"
      this.run = null;
      this.state = null;
      this.timer = null;
      find("run-start").addEventListener("click", () => this.start());
      find("run-stop").addEventListener("click", () => this.tell("stop"));
      find("run-retry").addEventListener("click", () => this.tell("retry"));
      find("run-failures").addEventListener("click", (event) => {
        const key = event.target.closest("[data-key]")?.dataset.key;
        if (key) this.onpick(key);
      });
      this.show();
    }

    // of which dataset and checkpoint the run is; `info.run` names one that goes on already
    open(info, checkpoint) {
      const subject = info && checkpoint ? `${info.id} ${checkpoint}` : null;
      if (subject === this.subject) return;
      clearTimeout(this.timer);
      this.subject = subject;
      this.dataset = info?.id ?? null;
      this.checkpoint = checkpoint;
      this.state = null;
      this.run = subject ? remembered()[subject] ?? null : null;
      this.known = null;
      if (this.run) this.look();
      else if (subject) this.join(subject);
      this.show();
    }

    // a run that somebody else, or this page before, has begun
    async join(subject) {
      const url = api.address("/api/runs", { dataset: this.dataset, checkpoint: this.checkpoint });
      const said = await api.get(url, "The run").catch(() => null);
      if (this.subject !== subject || this.run || !said) return;
      if (said.total > 0) this.know(said.done, said.total);
      if (!said.run) return;
      this.run = said.run;
      this.look();
    }

    async start() {
      this.complain("");
      try {
        const { run } = await api.post("/api/runs", { dataset: this.dataset, checkpoint: this.checkpoint }, "The run");
        this.run = run;
        remember(this.subject, run);
        await this.look();
      } catch (error) {
        this.complain(api.sentence(error));
      }
    }

    async tell(what) {
      this.complain("");
      try {
        const answer = await api.post(`/api/runs/${encodeURIComponent(this.run)}/${what}`, {}, "The run");
        if (answer?.run) {
          this.run = answer.run;
          remember(this.subject, answer.run);
        }
        await this.look();
      } catch (error) {
        this.complain(api.sentence(error));
      }
    }

    async look() {
      clearTimeout(this.timer);
      const { run, subject } = this;
      let state;
      try {
        state = await api.get(`/api/runs/${encodeURIComponent(run)}`, "The run");
      } catch {
        if (this.subject !== subject) return;
        this.run = null; // the server has started again and forgot it: what is done stays done
        this.state = null;
        remember(subject, undefined);
        return this.show();
      }
      if (this.subject !== subject || this.run !== run) return undefined;
      const before = this.state; // null at the first look, and a short run may be over by then
      const done = before?.done ?? this.known?.done ?? 0;
      this.state = state;
      this.show();
      if (done !== state.done || (before && before.stage !== state.stage)) this.onprogress(state);
      if (this.running) this.timer = setTimeout(() => this.look(), GLANCE);
      return undefined;
    }

    get running() {
      return ["queued", "running", "opening"].includes(this.state?.stage);
    }

    // a button that starts the run, for pages that have nothing to show without it; null where there is something
    offer() {
      if (!this.subject || this.running || (this.state ?? this.known)?.done > 0) return null;
      const button = dom.element("button", { type: "button", "data-testid": "run-offer" }, "Run over all images");
      button.addEventListener("click", () => {
        button.disabled = true;
        this.start();
      });
      return button;
    }

    complain(text) {
      this.find("run-complaint").textContent = text;
      this.find("run-complaint").hidden = !text;
    }

    // how many images have a result already, as the numbers of the whole set tell
    know(done, total) {
      this.known = { done, total };
      this.show();
    }

    show() {
      const { find, state, running } = this;
      find("run-section").hidden = !this.subject;
      const { done, total } = state ?? this.known ?? { done: 0, total: 0 };
      const failed = state?.failed ?? [];
      const bad = state?.failed_count ?? failed.length;
      const all = total > 0 && done >= total;
      find("run-start").hidden = running || all;
      find("run-start").textContent = done > 0 ? "Go on with the run" : "Run over all images";
      find("run-stop").hidden = !running;
      find("run-retry").hidden = running || bad === 0;
      find("run-bar").hidden = !running;
      find("run-bar").value = total ? done / total : 0;
      const count = `${dom.grouped(done)} of ${dom.grouped(total)} images`;
      const words = bad > 0 ? `, ${dom.grouped(bad)} failed` : "";
      find("run-text").textContent = total > 0 ? `${count}${words}${running ? duration(state.seconds_left) : ""}` : "";
      find("run-text").hidden = total === 0;
      this.showFailures(failed, bad);
      if (state?.stage === "failed") this.complain(state.sentence || "The checkpoint can't be used.");
    }

    showFailures(failed, count) {
      const stamp = `${this.run} ${failed.length}`;
      if (stamp === this.listed) return;
      this.listed = stamp;
      this.find("run-failed").hidden = failed.length === 0;
      this.find("run-failed-count").textContent = count === 1 ? "1 image failed" : `${dom.grouped(count)} images failed`;
      const lines = failed.slice(0, LISTED).map(({ key, file_name: name, sentence }) => {
        const line = dom.element("li", { "data-testid": "run-failure" }, dom.element("button", { type: "button", class: "cs-text", "data-key": key }, name ?? "Show the image"), ` ${parts.tile.reason({ note: sentence, file_name: name })}`);
        return line;
      });
      this.find("run-failures").replaceChildren(...lines);
    }
  }

  function remembered() {
    try {
      return JSON.parse(window.sessionStorage.getItem(KEPT) ?? "{}");
    } catch {
      return {};
    }
  }

  function remember(subject, run) {
    window.sessionStorage.setItem(KEPT, JSON.stringify({ ...remembered(), [subject]: run }));
  }

  Object.assign(parts, { Runs, duration });
})();
