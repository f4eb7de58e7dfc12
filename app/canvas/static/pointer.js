// The mouse on the canvas: the wheel zooms, a drag pans, a rest explains, a click picks.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { dom, hit } = parts;

  const CLICK = 4; // a press that moves less than this many pixels is a click

  class Pointer {
    constructor(canvas, viewer, store, { tooltip, onmove }) {
      Object.assign(this, { canvas, viewer, store, tooltip, onmove });
      this.cycle = new hit.Cycle();
      this.press = null;
      this.last = null;
      this.space = false;
      canvas.addEventListener("pointerdown", (event) => this.down(event));
      canvas.addEventListener("pointermove", (event) => this.move(event));
      canvas.addEventListener("pointerup", (event) => this.up(event));
      canvas.addEventListener("pointercancel", () => this.cancel());
      canvas.addEventListener("pointerleave", () => this.leave());
      canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
      canvas.addEventListener("keydown", (event) => event.key === " " && this.hold(event, true));
      canvas.addEventListener("keyup", (event) => event.key === " " && this.hold(event, false));
      store.listen((changed) => {
        if (changed.has("shown") || changed.has("hidden")) this.hover();
      });
    }

    at(event) {
      const { left, top } = this.canvas.getBoundingClientRect();
      return [event.clientX - left, event.clientY - top];
    }

    hold(event, held) {
      event.preventDefault();
      this.space = held;
      this.canvas.classList.toggle("cs-grab", held);
    }

    down(event) {
      if (event.button > 1 || !this.store.document) return;
      this.canvas.setPointerCapture(event.pointerId);
      const [x, y] = this.at(event);
      const { view } = this.viewer;
      this.press = { x, y, from: [view.x, view.y], dragged: false, pans: event.button === 1 || this.space };
    }

    move(event) {
      const [x, y] = this.at(event);
      this.last = [x, y];
      const { press } = this;
      if (!press) return this.hover();
      if (!press.dragged && Math.hypot(x - press.x, y - press.y) < CLICK) return undefined;
      press.dragged = true;
      this.canvas.classList.add("cs-grabbing");
      this.viewer.view.panTo(press.from[0] + x - press.x, press.from[1] + y - press.y);
      return this.hideTooltip();
    }

    up(event) {
      const { press } = this;
      this.cancel();
      if (!press || press.dragged || press.pans) return;
      const [x, y] = this.at(event);
      if (this.onclick?.(this.viewer.view.toImage(...this.viewer.toView(x, y)))) return;
      const stack = this.viewer.under(x, y);
      this.store.set({ selected: this.cycle.pick(stack, x, y, this.store.selected) });
      this.hover();
    }

    cancel() {
      this.press = null;
      this.canvas.classList.remove("cs-grabbing");
    }

    leave() {
      this.last = null;
      this.hover();
    }

    wheel(event) {
      if (!this.store.document) return;
      event.preventDefault();
      const lines = event.deltaMode === 1 ? 24 : 1;
      const speed = event.ctrlKey ? 0.01 : 0.0018; // a pinch sends small steps with ctrl set
      const [x, y] = this.at(event);
      const [viewX, viewY] = this.viewer.toView(x, y);
      const steps = Math.max(-400, Math.min(400, event.deltaY * lines));
      this.viewer.view.zoomBy(Math.exp(-steps * speed), viewX, viewY);
      this.last = [x, y];
      this.hover();
    }

    hover() {
      const { last, store, viewer } = this;
      const stack = last && !this.press ? viewer.under(...last) : [];
      // what was picked by cycling is what the pointer means
      const one = stack.find(({ id }) => id === store.selected) ?? stack[0] ?? null;
      store.set({ hovered: one?.id ?? null });
      this.onmove(last && store.document ? viewer.view.toImage(...viewer.toView(...last)) : null);
      viewer.pointerPane = last ? viewer.paneAt(last[0]) : null;
      this.onecho?.(last && store.document ? viewer.toView(...last) : null);
      if (one) this.showTooltip(one, stack.length, last);
      else this.hideTooltip();
    }

    showTooltip(one, depth, [x, y]) {
      const { tooltip, store } = this;
      const stamp = `${one.id} ${depth} ${store.verdictOf(one)?.verdict} ${store.colouring}`;
      if (tooltip.dataset.stamp !== stamp) {
        tooltip.dataset.stamp = stamp;
        const title = dom.element("strong", {}, dom.chip(one, store), one.truth ? `${one.name} (truth)` : one.name, dom.element("small", {}, ` ${one.id}`));
        const rows = dom.facts(one, store).flatMap(([name, value]) => [
          dom.element("dt", {}, name),
          dom.element("dd", {}, value),
        ]);
        const more = depth > 1 ? dom.element("small", {}, `${depth} overlap here: click again for the next`) : null;
        tooltip.replaceChildren(title, dom.element("dl", {}, ...rows), ...(more ? [more] : []));
      }
      tooltip.hidden = false;
      const [width, height] = this.viewer.size;
      const left = x + 18 + tooltip.offsetWidth > width ? x - 14 - tooltip.offsetWidth : x + 18;
      const top = Math.min(y + 18, height - tooltip.offsetHeight - 8);
      tooltip.style.transform = `translate(${Math.max(4, left)}px, ${Math.max(4, top)}px)`;
    }

    hideTooltip() {
      this.tooltip.hidden = true;
    }
  }

  parts.Pointer = Pointer;
})();
