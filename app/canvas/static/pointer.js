// The pointer on the canvas: the wheel zooms, a drag pans, a rest explains, a click picks. A tool in hand gets it
// first; Space, the middle button and two fingers move the image whatever is in hand.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { dom, hit } = parts;

  const CLICK = 4; // a press that moves less than this many pixels is a click

  class Pointer {
    constructor(canvas, viewer, store, { tooltip, onmove }) {
      Object.assign(this, { canvas, viewer, store, tooltip, onmove });
      this.cycle = new hit.Cycle();
      this.fingers = new parts.Fingers(viewer);
      this.tools = null; // parts.Tools, where something can be drawn
      this.held = null; // the pointer that a tool has
      this.press = null;
      this.last = null;
      this.space = false;
      canvas.addEventListener("pointerdown", (event) => this.down(event));
      canvas.addEventListener("pointermove", (event) => this.move(event));
      canvas.addEventListener("pointerup", (event) => this.up(event));
      canvas.addEventListener("pointercancel", (event) => this.lose(event));
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
      this.canvas.classList.toggle("cs-grab", held || this.tools?.pans === true);
    }

    down(event) {
      if (!this.store.document) return;
      const [x, y] = this.at(event);
      if (this.held !== null && this.pen) return; // a hand that rests beside the pen
      if (this.fingers.press(event, [x, y])) return void this.letGo();
      const pans = event.button === 1 || this.space;
      if (!pans && this.tools?.down(this.tools.pointOf(event), event)) {
        this.held = event.pointerId;
        this.pen = event.pointerType === "pen";
        this.canvas.setPointerCapture(event.pointerId);
        return void this.hideTooltip();
      }
      if (event.button > 1) return;
      this.canvas.setPointerCapture(event.pointerId);
      const { view } = this.viewer;
      this.press = { x, y, from: [view.x, view.y], dragged: false, pans: pans || this.tools?.pans === true };
    }

    // what one finger began ends without a trace when the second one comes
    letGo() {
      if (this.held !== null) this.tools?.cancel();
      this.held = null;
      this.cancel();
    }

    lose(event) {
      this.fingers.lift(event);
      if (event.pointerId === this.held) this.letGo();
      else this.cancel();
    }

    move(event) {
      const [x, y] = this.at(event);
      if (this.fingers.move(event, [x, y])) return undefined;
      if (this.held !== null && event.pointerId !== this.held) return undefined;
      this.last = [x, y];
      this.tools?.move(this.tools.pointOf(event), event);
      if (this.held !== null) return this.hover();
      const { press } = this;
      if (!press) return this.hover();
      if (!press.dragged && Math.hypot(x - press.x, y - press.y) < CLICK) return undefined;
      press.dragged = true;
      this.canvas.classList.add("cs-grabbing");
      this.viewer.view.panTo(press.from[0] + x - press.x, press.from[1] + y - press.y);
      return this.hideTooltip();
    }

    up(event) {
      if (this.fingers.lift(event)) return;
      if (event.pointerId === this.held) {
        this.held = null;
        return void this.tools?.up(this.tools.pointOf(event), event);
      }
      const { press } = this;
      this.cancel();
      if (!press || press.dragged || press.pans) return;
      const [x, y] = this.at(event);
      this.tools?.click();
      if (this.onclick?.(this.viewer.view.toImage(...this.viewer.toView(x, y)), event)) return;
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
      this.tools?.leave();
      this.hover();
    }

    wheel(event) {
      if (!this.store.document) return;
      event.preventDefault();
      if (this.tools?.wheel(event)) return;
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
      const stack = last && !this.press && !this.tools?.drawing ? viewer.under(...last) : [];
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
