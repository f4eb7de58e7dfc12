// The review queue: which instance comes next, and what a key does to it.
(() => {
  "use strict";
  globalThis.studioParts ??= {};
})();
