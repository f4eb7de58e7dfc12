// What a window of its own adds to the page: the machine's dialogs for fields that take a path, and the page's title
// on its frame. In a browser nothing of it is there.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});
  const { dom } = parts;

  // calls back with the window's functions once they are there, which in a browser is never
  function ready(then) {
    if (window.pywebview?.api?.choose_folder) then(window.pywebview.api);
    else window.addEventListener("pywebviewready", () => then(window.pywebview.api), { once: true });
  }

  // a button beside a field; ask(native, what the field says) -> a path, or null where nobody chose one
  function browse(field, testid, title, ask) {
    ready((native) => {
      const button = dom.element("button", { type: "button", "data-testid": testid, title }, "Browse …");
      button.addEventListener("click", async () => {
        const chosen = await ask(native, field.value.trim());
        if (chosen) field.value = chosen;
        field.focus();
      });
      const row = dom.element("div", { class: "cs-browsing" });
      field.replaceWith(row);
      row.append(field, button);
    });
  }

  function retitle(native) {
    let said = null;
    const tell = () => {
      if (document.title !== said) native.retitle((said = document.title));
    };
    new MutationObserver(tell).observe(document.head, { childList: true, subtree: true, characterData: true });
    tell();
  }

  ready(retitle);
  parts.desktop = { ready, browse };
})();
