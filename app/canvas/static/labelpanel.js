// The right rail of the page Label: the picked instance, its state, its class, its outline.
(() => {
  "use strict";
  globalThis.studioParts ??= {};
})();
