// The images that are open: pick one to see it.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { dom } = parts;

  class Strip {
    constructor(find, { onpick }) {
      this.section = find("images-section");
      this.box = find("images");
      this.counter = find("images-count");
      this.onpick = onpick;
      this.images = [];
      this.stamp = null; // of the list that is shown
      this.marked = -1;
      this.current = null;
      this.box.addEventListener("click", (event) => {
        const row = event.target.closest("[data-at]");
        if (row) this.pick(Number(row.dataset.at));
      });
      this.box.addEventListener("keydown", (event) => {
        const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
        if (!by) return;
        event.preventDefault();
        this.step(by);
      });
      this.high = 0;
      new ResizeObserver(() => this.keep()).observe(this.box);
    }

    // where the list gets less room, the picked row stays in sight
    keep() {
      const { box, high } = this;
      this.high = box.clientHeight;
      const picked = box.children[this.marked];
      if (!picked || this.high >= high) return;
      const top = picked.getBoundingClientRect().top - box.getBoundingClientRect().top;
      if (top > -picked.offsetHeight && top < high) picked.scrollIntoView({ block: "nearest" });
    }

    // [{key, file_name, url, thumb, note}]; note, if any, says why it can't be opened yet
    fill(images) {
      const stamp = JSON.stringify(images);
      if (stamp !== this.stamp) {
        this.stamp = stamp;
        this.images = [...images];
        this.section.hidden = images.length === 0;
        this.box.replaceChildren(...images.map((image, at) => row(image, at)));
        this.marked = -1;
      }
      this.mark();
    }

    // {key: sentence}: what went wrong since the list was filled
    annotate(notes) {
      this.images.forEach((image, at) => {
        const note = notes[image.key];
        if (!note || note === image.note) return;
        this.images[at] = { ...image, note };
        this.box.children[at].replaceWith(row(this.images[at], at));
        this.stamp = null;
      });
      this.mark();
    }

    show(url) {
      this.current = url;
      this.mark();
    }

    get at() {
      return this.images.findIndex(({ url }) => url && url === this.current);
    }

    get image() {
      return this.images[this.at] ?? null;
    }

    step(by) {
      const next = this.at + by;
      if (next >= 0 && next < this.images.length) this.pick(next);
    }

    pick(at) {
      const image = this.images[at];
      if (image?.url) this.onpick(image);
    }

    mark() {
      const { at } = this;
      [...this.box.children].forEach((child, index) => child.setAttribute("aria-selected", index === at));
      if (at !== this.marked) this.box.children[at]?.scrollIntoView({ block: "nearest" });
      this.marked = at;
      this.counter.textContent = at < 0 ? dom.grouped(this.images.length) : `${at + 1} of ${dom.grouped(this.images.length)}`;
    }
  }

  function row(image, at) {
    const thumb = dom.element("img", { alt: "", loading: "lazy", decoding: "async", draggable: "false" });
    if (image.thumb) thumb.src = image.thumb;
    const folders = image.file_name.split(/(?<=\/)/).flatMap((part) => [dom.element("wbr"), part]); // lines break there first
    const name = dom.element("span", { class: "cs-name" }, ...folders);
    const words = dom.element("span", { class: "cs-words" }, name);
    if (image.note) words.append(dom.element("small", { class: "cs-quiet" }, image.note));
    const made = dom.element("div", { class: "cs-image", role: "option", "data-testid": "image" }, thumb, words);
    if (!image.url) made.setAttribute("aria-disabled", "true");
    made.dataset.at = at;
    made.dataset.key = image.key;
    made.title = image.note ? `${image.file_name}: ${image.note}` : image.file_name;
    return made;
  }

  parts.Strip = Strip;
})();
