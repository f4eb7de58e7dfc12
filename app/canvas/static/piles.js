// The checkpoint against the labels: what it adds, what it misses, what it sees otherwise.
(() => {
  "use strict";
  globalThis.studioParts ??= {};
})();
