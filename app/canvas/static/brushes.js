// Tools that paint: brush and eraser.
(() => {
  "use strict";
  globalThis.studioParts ??= {};
})();
