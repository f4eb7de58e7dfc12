// Which tool is in hand on the page Label, and what a pointer does with it.
//
// A tool has begin(point, event), extend(points), finish(), cancel(), draw(context, view) and busy; points are in
// image pixels. What is drawn while it works lies on a canvas of its own, so that it costs no more among a
// thousand labels than alone.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { shapes, lines } = parts;

  const NAMES = ["select", "brush", "erase", "polygon", "box", "lasso", "split", "refit", "hand"];
  const LEAST = 0.5; // image pixels: a brush of one pixel
  const MOST = 500;
  const SHOWN = 1200; // milliseconds that a new radius is written beside the ring

  class Tools {
    constructor(labelling) {
      this.labelling = labelling;
      this.current = "select";
      this.radius = 12;
      this.pointer = null; // {point, event}: where it is, if it is over the canvas
      this.resized = false;
      this.onchange = () => {};
      this.kinds = {
        brush: new parts.Brush(this, false),
        erase: new parts.Brush(this, true),
        polygon: new shapes.Polygon(this),
        box: new shapes.Box(this, (box) => this.addBox(box)),
        lasso: new lines.Lasso(this),
        split: new lines.Split(this),
        refit: new lines.Refit(this),
      };
      this.place(labelling.viewer);
      if (labelling.studio?.pointer) labelling.studio.pointer.tools = this;
      labelling.store.listen((changed) => {
        if (changed.has("document") && this.image !== (this.image = labelling.store.document?.key ?? null)) this.cancel();
        if (changed.has("document") || changed.has("selected") || changed.has("hidden")) this.redraw();
      });
      labelling.place?.listen?.((changed) => changed.has("page") && this.cancel());
      for (const name of ["keydown", "keyup"]) window.addEventListener(name, (event) => this.modifier(event));
    }

    // a canvas over all others, which takes no clicks
    place(viewer) {
      this.under = viewer.canvases[viewer.canvases.length - 1];
      this.surface = parts.dom.element("canvas", { "aria-hidden": "true", "data-testid": "tools-canvas" });
      this.surface.style.pointerEvents = "none";
      this.under.after(this.surface);
      this.context = this.surface.getContext("2d");
    }

    // -- what is in hand ------------------------------------------------------------------------

    get active() {
      return this.labelling.place?.page === "label" && Boolean(this.labelling.store.document);
    }

    get tool() {
      return this.active ? (this.kinds[this.current] ?? null) : null;
    }

    // does the pointer draw, so that it explains nothing?
    get drawing() {
      return this.tool !== null;
    }

    get pans() {
      return this.active && this.current === "hand";
    }

    use(name) {
      if (!NAMES.includes(name) || name === this.current) return;
      this.cancel();
      this.current = name;
      this.cancel();
      this.onchange();
    }

    setRadius(value) {
      const step = value < 10 ? 0.5 : 1;
      const rounded = Math.round(value / step) * step;
      // however small the change, something changes
      const next = rounded === this.radius && value !== rounded ? rounded + Math.sign(value - rounded) * step : rounded;
      this.radius = Math.min(MOST, Math.max(LEAST, next));
      this.resized = true;
      clearTimeout(this.timer);
      this.timer = setTimeout(() => {
        this.resized = false;
        this.redraw();
      }, SHOWN);
      this.redraw();
      this.onchange();
    }

    // -- the pointer ----------------------------------------------------------------------------

    // the place of an event in image pixels
    pointOf(event) {
      const { left, top } = this.under.getBoundingClientRect();
      return this.view.toImage(...this.labelling.viewer.toView(event.clientX - left, event.clientY - top));
    }

    // says whether the tool takes the press; what is begun counts as work
    down(point, event) {
      const { tool } = this;
      const pen = event.pointerType === "pen" && event.button === 5;
      if (!tool || (event.button !== 0 && !pen)) return false;
      this.pointer = { point, event };
      if (tool.begin(point, event)) {
        this.labelling.gesture();
        this.held = tool;
      }
      this.redraw();
      return true;
    }

    move(point, event) {
      this.pointer = { point, event };
      if (this.held) {
        const all = event.getCoalescedEvents?.() ?? [];
        this.held.extend(all.length ? all.map((one) => this.pointOf(one)) : [point]);
      } else this.tool?.hover?.(point);
      if (this.tool) this.redraw();
    }

    up(point, event) {
      const { held } = this;
      this.held = null;
      this.pointer = event.pointerType === "touch" ? null : { point, event };
      if (held?.busy) held.finish(point, event);
      this.redraw();
    }

    // a click that no tool took
    click() {
      if (this.active) this.labelling.gesture();
    }

    leave() {
      this.pointer = null;
      this.redraw();
    }

    // with Ctrl or Alt the wheel changes the brush; two fingers on a touchpad say Ctrl too, without the key
    wheel(event) {
      const sized = this.tool instanceof parts.Brush && (event.altKey || (event.ctrlKey && this.ctrl));
      if (sized) this.setRadius(this.radius * Math.exp(-Math.max(-300, Math.min(300, event.deltaY || event.deltaX)) * 0.0015));
      return sized;
    }

    cancel() {
      this.held = null;
      for (const tool of Object.values(this.kinds)) tool.cancel();
      this.under.classList.toggle("cs-grab", this.pans);
      this.redraw();
    }

    // -- keys -----------------------------------------------------------------------------------

    modifier(event) {
      this.ctrl = event.ctrlKey;
      if (event.key === "Alt" && this.pointer && this.tool) this.redraw({ altKey: event.type === "keydown" });
    }

    // what the tool makes of a key; says whether it was for it
    key(event) {
      const { tool } = this;
      if (!tool) return false;
      let taken = tool.key?.(event) ?? false;
      if (!taken && event.key === "Escape" && this.held) {
        this.cancel();
        taken = true;
      }
      if (taken) this.redraw();
      return taken;
    }

    // -- labels ---------------------------------------------------------------------------------

    get size() {
      return this.labelling.size;
    }

    get view() {
      return this.labelling.viewer.view;
    }

    get picked() {
      return this.labelling.store.picked;
    }

    labelled(id) {
      return this.labelling.store.document?.byId.get(id) ?? null;
    }

    // of the label that would be drawn next
    get nextColour() {
      return parts.palette.rgb(this.labelling.store.document?.instances.length ?? 0);
    }

    newId() {
      return `n${[...crypto.getRandomValues(new Uint8Array(10))].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
    }

    say(text) {
      this.labelling.say(text);
    }

    add(kind, mask, categoryId = undefined) {
      const id = this.newId();
      const one = categoryId === undefined ? { id, mask } : { id, mask, categoryId };
      this.labelling.commit({ kind, put: [one], select: id });
    }

    addBox(box) {
      const mask = parts.masks.box(box, this.size);
      if (mask.area) this.add("box", mask);
      else this.say("The box holds no pixel's centre: nothing was drawn.");
    }

    replace(kind, { id, mask: before }, mask) {
      if (!parts.masks.same(before, mask)) this.labelling.commit({ kind, put: [{ id, mask }], select: id });
    }

    // -- drawing --------------------------------------------------------------------------------

    // the picture moved: what the tools draw moves along (for Viewer.extras)
    draw() {
      this.paint();
    }

    redraw(keys = null) {
      this.keys = keys;
      this.frame ||= requestAnimationFrame(() => this.paint());
    }

    paint() {
      cancelAnimationFrame(this.frame);
      this.frame = 0;
      const { surface, context, under, tool, labelling } = this;
      const { dpr = 1, panes = [] } = labelling.viewer;
      if (surface.width !== under.width || surface.height !== under.height) Object.assign(surface, { width: under.width, height: under.height });
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.clearRect(0, 0, surface.width, surface.height);
      if (!tool || labelling.store.hidden) return;
      context.setTransform(dpr, 0, 0, dpr, Math.round((panes[0]?.shift ?? 0) * dpr), 0);
      tool.draw(context, this.view);
      if (this.pointer) tool.drawPointer?.(context, this.view, this.pointer.point, this.keys ?? this.pointer.event);
    }
  }

  parts.Tools = Tools;
})();
