// The page Report: the file that can be taken away, as it is.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { api } = parts;

  class Report {
    // offer(): a button that runs the checkpoint over the images, or null where it has seen some
    constructor(find, { offer }) {
      Object.assign(this, { find, offer });
      this.url = undefined; // nothing was asked for yet
      this.latest = null;
    }

    // null says what is needed first
    async open(dataset, checkpoint) {
      const ready = dataset && checkpoint;
      const base = ready ? `/api/reports/${encodeURIComponent(dataset.id)}` : null;
      const url = ready ? api.address(`${base}.html`, { checkpoint }) : null;
      for (const kind of ["html", "json"]) {
        const link = this.find(`report-${kind}`);
        link.hidden = !ready;
        if (ready) link.href = api.address(`${base}.${kind}`, { checkpoint });
      }
      this.find("report-title").textContent = ready ? `${dataset.name}, ${checkpoint}` : "Report";
      if (url === this.url) return;
      this.url = url;
      this.find("report-page").hidden = true;
      if (!ready) return this.say("Choose Dataset on the left and open one with annotations: its report stands here.");
      this.say("Counting");
      try {
        const answer = await fetch(url, { headers: { Accept: "text/html" } });
        if (this.url !== url) return;
        if (answer.status === 409) return this.wait(await parts.document.reason(answer, "The report"));
        if (!answer.ok) throw new parts.document.LoadError(await parts.document.reason(answer, "The report"));
        const text = await answer.text();
        if (this.url !== url) return;
        this.find("report-page").srcdoc = text; // sandboxed: nothing in it runs
        this.find("report-page").hidden = false;
        this.say("");
      } catch (error) {
        if (this.url !== url) return;
        this.url = undefined;
        this.say(error instanceof TypeError ? "The report could not be fetched: the Studio's server does not answer." : api.sentence(error));
      }
    }

    // there is nothing to take away yet; asked for again when a run has come further
    wait(sentence) {
      for (const kind of ["html", "json"]) this.find(`report-${kind}`).hidden = true;
      this.url = undefined;
      const button = this.offer();
      this.say(`${sentence[0].toUpperCase()}${sentence.slice(1)}${button ? " Run it over the images: the report stands here then." : ""}`);
      if (button) this.find("report-note").append(button);
    }

    say(text) {
      this.find("report-note").textContent = text;
      this.find("report-note").hidden = !text;
    }
  }

  parts.Report = Report;
})();
