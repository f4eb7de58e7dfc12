// Masks as values: united, cut, filled, split, outlined and simplified, pixel by pixel; never by way of a polygon.
(() => {
  "use strict";
  globalThis.studioParts ??= {};
})();
