// What pre-labelling saved: how proposals ended, and what they cost beside drawing by hand.
(() => {
  "use strict";
  globalThis.studioParts ??= {};
})();
