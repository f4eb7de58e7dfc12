// The window of grey values that is shown of a 16-bit image.
(() => {
  "use strict";
  globalThis.studioParts ??= {};
})();
