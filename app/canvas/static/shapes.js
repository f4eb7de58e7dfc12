// Tools that draw a shape: polygon, box, line, lasso, refit.
(() => {
  "use strict";
  globalThis.studioParts ??= {};
})();
