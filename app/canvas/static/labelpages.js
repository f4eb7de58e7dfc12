// The left rail of the page Label: the images and how far each one is.
(() => {
  "use strict";
  globalThis.studioParts ??= {};
})();
