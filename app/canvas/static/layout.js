// The window: how high the studio is, light or dark, and the rails that fold away when it is narrow.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});

  const LEAST = 420; // CSS pixels of height; below it the page scrolls rather than the picture vanish
  const NARROW = "(max-width: 999px)";

  class Layout {
    constructor(element, root, find) {
      this.element = element;
      this.find = find;
      element.setAttribute("data-studio-root", "");
      root.parentElement !== element && root.parentElement.setAttribute("data-studio-part", "");
      this.controls = [...element.children].find(
        (child) => !child.contains(root) && child.childElementCount + child.textContent.trim().length > 0,
      );
      this.wireFolds();
      this.watchTheme();
      this.watchSize();
    }

    wireFolds() {
      for (const side of ["left", "right"]) {
        this.find(`fold-${side}`).addEventListener("click", () => this.open(side));
      }
      this.find("canvas").addEventListener("pointerdown", () => this.fold());
      window.matchMedia(NARROW).addEventListener("change", () => this.fold());
    }

    get narrow() {
      return window.matchMedia(NARROW).matches;
    }

    open(side) {
      const open = this.element.dataset.open === side ? "" : side;
      this.element.dataset.open = open;
      for (const name of ["left", "right"]) this.find(`fold-${name}`).setAttribute("aria-expanded", name === open);
    }

    // closes an open rail; says whether there was one
    fold() {
      if (!this.element.dataset.open) return false;
      this.open(this.element.dataset.open);
      return true;
    }

    // inside Gradio its own class decides, which follows the system unless the address says otherwise
    watchTheme() {
      const system = window.matchMedia("(prefers-color-scheme: dark)");
      const inGradio = this.element.closest(".gradio-container, gradio-app") !== null;
      const show = () => {
        const dark = inGradio ? this.element.closest(".dark") !== null : system.matches;
        this.element.dataset.theme = dark ? "dark" : "light";
      };
      system.addEventListener("change", show);
      const observer = new MutationObserver(show);
      for (let place = this.element; place; place = place.parentElement) {
        observer.observe(place, { attributes: true, attributeFilter: ["class"] });
      }
      show();
    }

    // as high as the window allows from where the studio begins, less what the page puts below
    watchSize() {
      const fit = () => {
        if (this.element.clientWidth === 0) return;
        let below = 0;
        for (let place = this.element.parentElement; place; place = place.parentElement) {
          const { paddingBottom, marginBottom, borderBottomWidth } = getComputedStyle(place);
          below += [paddingBottom, marginBottom, borderBottomWidth].reduce((sum, text) => sum + (parseFloat(text) || 0), 0);
        }
        const top = this.element.getBoundingClientRect().top + window.scrollY;
        const height = Math.max(LEAST, Math.floor(window.innerHeight - top - below));
        this.element.style.setProperty("--studio-height", `${height}px`);
        const above = this.controls?.offsetHeight ?? 0;
        this.element.style.setProperty("--controls-height", `${above}px`);
      };
      window.addEventListener("resize", fit);
      const observer = new ResizeObserver(fit);
      observer.observe(document.body);
      if (this.controls) observer.observe(this.controls);
      this.controls?.setAttribute("data-studio-controls", "");
      fit();
    }
  }

  // an element of the page around lies exactly over a place of ours: Gradio keeps its own elements
  function cover(root, find, place, id) {
    const box = find(place);
    const fit = () => {
      const over = document.getElementById(id);
      if (!over || !box.clientWidth) return;
      const [from, at] = [root.getBoundingClientRect(), box.getBoundingClientRect()];
      over.style.cssText = `left: ${at.left - from.left}px; top: ${at.top - from.top}px; width: ${at.width}px; height: ${at.height}px`;
    };
    new ResizeObserver(fit).observe(box);
    new MutationObserver(fit).observe(root, { childList: true });
    fit();
  }

  parts.Layout = Layout;
  parts.cover = cover;
})();
