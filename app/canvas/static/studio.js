// Puts the parts together: the value from Python in, events out, and what tests may ask.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { dom } = parts;

  const NEAR = 140; // CSS pixels: a film of something smaller zooms in

  class Studio {
    // host: {props, watch, trigger} of gr.HTML
    constructor(element, host) {
      this.element = element;
      this.host = host;
      this.root = element.querySelector(".studio");
      this.find = dom.finder(this.root);
      this.store = new parts.state.Store(host.props.defaults ?? {});
      this.viewer = new parts.Viewer(this.find("view"), this.store);
      this.view = this.viewer.view;
      this.opener = new parts.Opener(this.store, this.viewer, {
        onopen: () => this.strip.show(this.openUrl),
        onshow: (opened) => this.show(opened),
        onbusy: (busy) => this.showBusy(busy ?? this.busy),
        load: (url, signal) => this.labelling.load(url, signal),
      });
      this.openUrl = null; // of the document on the other pages; Label has its own of the same image
      this.layout = new parts.Layout(element, this.root, this.find);
      this.panel = new parts.Panel(this.find, this.store);
      this.list = new parts.List(this.find, this.store, { onpick: (id, how) => this.pick(id, how), onuse: (name) => this.browse.useCheckpoint(name) });
      this.strip = new parts.Strip(this.find, { onpick: (image) => this.openImage(image) });
      this.figures = new parts.Figures(this.find);
      this.windowing = new parts.Windowing(this.find, this.viewer, this.store);
      this.browse = new parts.Browse(this);
      parts.cover(element, this.find, "curves-place", "curves");
      this.buildInspector();
      this.inspection = new parts.Inspection(this, this.browse.place);
      this.sheet = new parts.Sheet(this.find);
      this.pointer = new parts.Pointer(this.find("canvas"), this.viewer, this.store, {
        tooltip: this.find("tooltip"),
        onmove: (point) => this.showPointer(point),
      });
      this.pointer.onclick = (point, event) => this.inspection.click(point) || this.labelling.choice.click(event);
      this.labelling = new parts.Labelling(this);
      this.sheet.own = () => (this.labelling.active ? this.labelling.keys : null);
      this.comparer = new parts.Comparer(this.find, this.store, this.viewer);
      this.pointer.onecho = (at) => this.comparer.echo(at);
      this.detachKeys = parts.keys.attach(element, this);
      this.wire();
      this.asked = parts.address.read(window.location.search, this.store.defaults);
      this.address = new parts.address.Address(this.browse.place, this.store, this.view, { wanted: () => this.wanted, onback: (asked) => this.goTo(asked) });
      this.look(this.asked);
      host.watch("value", () => this.take(host.props.value));
      host.watch("progress", () => this.takeProgress(host.props.progress));
      this.take(host.props.value);
    }

    buildInspector() {
      const { find, store, viewer, browse } = this;
      const onchange = () => this.inspector?.draw();
      const onredraw = () => viewer.redraw("marks");
      this.autopsy = new parts.Autopsy(store, { ask: (one) => browse.autopsyUrl(one), onchange: () => (onchange(), onredraw()) });
      viewer.extras.push((context, view) => this.autopsy.draw(context, view));
      this.film = new parts.Film(store, viewer, {
        ask: (one) => browse.traceUrl(one),
        askAll: () => parts.filming.tracesUrl(store, browse.place),
        onchange: (moving) => {
          this.filmBar?.draw(moving);
          if (!moving && !this.film.playing) browse.place.set({ film: this.film.word });
        },
        onopen: () => this.comeNear(),
      });
      this.filmBar = new parts.FilmBar(find("view"), this.film, store, { fileUrl: (kind) => parts.filming.fileUrl(kind, this.film.all, store, browse.place) });
      this.inspector = new parts.Inspector(find, store, { onzoom: () => this.zoomToPicked(), autopsy: this.autopsy, film: this.film });
    }

    wire() {
      const { find, view, store } = this;
      find("zoom-in").addEventListener("click", () => view.zoomBy(1.25));
      find("zoom-out").addEventListener("click", () => view.zoomBy(1 / 1.25));
      find("zoom-fit").addEventListener("click", () => view.fit());
      find("zoom-actual").addEventListener("click", () => view.zoomTo(1));
      find("open-sample").addEventListener("click", () => this.host.trigger("open_sample", {}));
      find("open-upload").addEventListener("click", () => this.upload()?.click());
      find("retry").addEventListener("click", () => store.error?.retry());
      const bare = find("hide-all");
      bare.addEventListener("pointerdown", () => store.set({ hidden: true }));
      for (const name of ["pointerup", "pointerleave", "pointercancel"]) {
        bare.addEventListener(name, () => store.set({ hidden: false }));
      }
      this.viewer.ondraw = () => {
        find("zoom-value").textContent = dom.zoomText(view.scale);
        this.address?.later();
      };
      store.listen((changed) => this.follow(changed));
    }

    // what Python says is open: null, or {url, revision, images, status, busy, export, empty}
    take(value) {
      const said = value && typeof value === "object" ? value : {};
      this.said = {};
      this.takeProgress(said);
      this.strip.fill(Array.isArray(said.images) ? said.images : []);
      this.settle(said);
      const wanted = said.url ?? null;
      const stamp = `${wanted} ${said.revision ?? 0}`;
      if (stamp !== this.stamp) {
        this.stamp = stamp;
        if (!this.browse.inDataset) this.open(wanted);
      } else this.strip.show(this.openUrl);
      this.follow(new Set(["document"]));
    }

    // {status, busy, notes}: what changes while something runs, apart from the value to stay small
    takeProgress(progress) {
      if (!progress) return;
      this.said = { ...this.said, ...progress };
      this.showStatus(this.said.status);
      this.showBusy(this.busy);
      if (progress.notes) this.strip.annotate(progress.notes);
      this.showWhatIsOpen();
    }

    // the first word of the page around: from here on the window's address tells what is open
    settle(said) {
      if (!said.source) return;
      const { place } = this.browse;
      if (!this.address.live) {
        const { source, checkpoint, image, ...rest } = this.asked.place;
        this.wanted = this.asked;
        place.set({ ...rest, image: said.source === "dataset" ? image : null });
      }
      this.browse.take(said);
      if (!this.address.live) this.address.begin();
    }

    // how things are looked at, as an address has it
    look({ look, switches }) {
      this.store.set({ ...look });
      if (switches === null) return;
      for (const [name, on] of Object.entries(switches)) this.store.toggle(name, on);
    }

    // Back and Forward
    goTo(asked) {
      const { place } = this.browse;
      const { source, checkpoint, image } = asked.place;
      const before = { source: place.source, checkpoint: place.checkpoint };
      this.look(asked);
      this.wanted = asked;
      if (asked.instance === null) this.store.set({ selected: null });
      this.address.quietly(() => place.set({ ...asked.place, source: source ?? before.source, checkpoint: checkpoint ?? before.checkpoint }));
      if (place.source !== before.source || place.checkpoint !== before.checkpoint) this.host.trigger("go_to", {});
      else if (!this.browse.inDataset && image !== this.store.document?.key) {
        const listed = this.strip.images.find(({ key }) => key === image);
        if (listed) this.openImage(listed);
      } else this.takeWanted();
    }

    // the instance and the view that an address or a list asked for, once their image is here
    takeWanted() {
      const { wanted, store, view } = this;
      const opened = store.document;
      if (!wanted || !opened || (opened.pending && !opened.byId.has(wanted.instance))) return;
      this.wanted = null;
      const known = wanted.instance && opened.byId.has(wanted.instance);
      if (known) store.set({ selected: wanted.instance });
      if (known && wanted.zoom) this.zoomToPicked();
      if (wanted.place) this.film.goTo(wanted.place.film);
      if (!wanted.at) return;
      const [scale, x, y] = wanted.at;
      this.viewer.resize(); // the picture may have come to the front just now
      view.zoomTo(scale);
      view.centre(x, y);
    }

    nextWorst(by) {
      if (this.browse.inDataset) this.browse.worst(by);
      else this.step(by);
    }

    stepImage(by) {
      if (this.browse.inDataset) this.browse.step(by);
      else this.strip.step(by);
    }

    openImage(image) {
      if (image.url === this.openUrl && !this.store.error) return;
      this.open(image.url);
      this.host.trigger("open_image", { key: image.key });
    }

    // null closes what is open
    open(url) {
      this.openUrl = url ?? null;
      return this.opener.open(this.labelling.address(url));
    }

    show(opened) {
      this.store.open(opened);
      const { place } = this.browse;
      if (!this.browse.inDataset) this.address.quietly(() => place.set({ image: opened.key }), place.image === null);
      this.takeWanted();
    }

    get busy() {
      return this.said?.busy ?? this.store.document?.pending ?? null;
    }

    pick(id, { centre }) {
      this.store.set({ selected: id });
      const [x, y, width, height] = this.store.picked?.bbox ?? [0, 0, 0, 0];
      if (centre || !this.view.shows([x, y, width, height])) this.view.centre(x + width / 2, y + height / 2);
    }

    step(by) {
      this.store.step(by);
      if (this.store.selected !== null) this.pick(this.store.selected, { centre: false });
    }

    zoomToPicked() {
      if (this.store.picked) this.zoomTo(this.store.picked);
    }

    zoomTo(one) {
      const [x, y, width, height] = one.bbox;
      const [wide, high] = this.view.size;
      this.view.zoomTo(Math.min(16, (0.5 * wide) / Math.max(1, width), (0.5 * high) / Math.max(1, height)));
      this.view.centre(x + width / 2, y + height / 2);
    }

    // what is too small to be followed is looked at from near
    comeNear() {
      const one = this.store.picked;
      if (this.film.all || !one || one.truth) return;
      this.viewer.resize();
      if (Math.max(one.bbox[2], one.bbox[3]) * this.view.scale < NEAR || !this.view.shows(one.bbox)) this.zoomToPicked();
    }

    escape() {
      if (this.sheet.dialog.open) this.sheet.dialog.close();
      else if (this.layout.fold()) return;
      else if (this.film.at !== null) this.film.close();
      else if (this.store.selected !== null && this.browse.place.pictured) this.store.set({ selected: null });
      else this.browse.back();
    }

    follow(changed) {
      const { find, store } = this;
      if (changed.has("selected") && store.document) {
        this.host.trigger("select_instance", { key: store.document.key, id: store.selected });
      }
      if (["document", "loading", "error"].some((name) => changed.has(name))) this.showWhatIsOpen();
      if (changed.has("document") || changed.has("threshold")) this.showDownload();
      find("hide-all").setAttribute("aria-pressed", store.hidden);
    }

    showWhatIsOpen() {
      const { find, store } = this;
      const { document: opened, loading, error } = store;
      find("error").hidden = !error;
      find("error-text").textContent = error?.text ?? "";
      find("empty").hidden = Boolean(opened || loading || error || this.said?.busy || this.browse.inDataset);
      const offered = this.upload() !== null;
      find("open-upload").hidden = !offered;
      find("empty-text").textContent =
        this.said?.empty ?? (offered ? "Choose images from your computer, or look at a sample first." : "Look at a sample first.");
      find("title").textContent = opened?.image.file_name ?? "";
      find("title").title = opened?.image.file_name ?? "";
      find("image-size").textContent = opened ? `${opened.image.width} × ${opened.image.height} px` : "";
      this.element.toggleAttribute("data-empty", !opened && !this.browse.inDataset);
    }

    // the shown threshold goes into the link, so that the file holds what the slider lets through
    showDownload() {
      const link = this.find("download");
      const address = this.browse.exportUrl ?? this.strip.image?.export ?? this.said?.export ?? null;
      link.hidden = !address || !this.store.document;
      if (!address) return;
      const url = new URL(address, document.baseURI);
      url.searchParams.set("min_score", this.store.threshold.toFixed(2));
      link.href = url.href;
    }

    showStatus(status) {
      const words = (Array.isArray(status) ? status : [status]).filter((word) => typeof word === "string" && word);
      this.find("status-text").replaceChildren(...words.map((word) => dom.element("span", {}, word)));
    }

    // {text, done, total}; without a total the bar only says that something goes on
    showBusy(busy) {
      this.find("busy").hidden = !busy;
      this.find("busy-text").textContent = busy?.text ?? "";
      const bar = this.find("busy-progress");
      if (busy?.total > 0) bar.value = Math.min(1, (busy.done ?? 0) / busy.total);
      else bar.removeAttribute("value");
    }

    showPointer(point) {
      this.inspection?.showPointer(point);
      const { image } = this.store.document ?? {};
      const [x, y] = point?.map(Math.floor) ?? [-1, -1];
      const inside = image && x >= 0 && y >= 0 && x < image.width && y < image.height;
      this.find("pointer").textContent = inside ? `x ${x}  y ${y}` : "";
    }

    // the file input or button of the page that `mask_canvas(upload=...)` named
    upload() {
      const { upload } = this.host.props;
      const place = upload ? document.getElementById(upload) : null;
      return place?.querySelector("input[type=file]") ?? (place?.matches("button") ? place : (place?.querySelector("button") ?? null));
    }
  }

  function mount(element, host) {
    const studio = new Studio(element, host);
    window.studio = parts.probe(studio);
    return studio;
  }

  parts.mount = mount;
})();
