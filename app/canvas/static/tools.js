// Which tool is in hand on the page Label, and what a pointer does with it.
(() => {
  "use strict";
  globalThis.studioParts ??= {};
})();
