// Files out and in: COCO, results, labelme, YOLO; and the certificate of what was written.
(() => {
  "use strict";
  globalThis.studioParts ??= {};
})();
