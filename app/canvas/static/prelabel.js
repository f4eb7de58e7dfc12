// Have the checkpoint label images: which, above which score, as which classes.
(() => {
  "use strict";
  globalThis.studioParts ??= {};
})();
