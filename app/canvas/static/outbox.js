// What somebody did, on its way to the server: in order, each once, kept in this browser until it is there.
(() => {
  "use strict";
  globalThis.studioParts ??= {};
})();
