// The page Label: the open image's instances, changed at once here and kept on the server.
(() => {
  "use strict";
  globalThis.studioParts ??= {};
})();
