// The keys of the page Label, which everybody may choose for themselves.
(() => {
  "use strict";
  globalThis.studioParts ??= {};
})();
