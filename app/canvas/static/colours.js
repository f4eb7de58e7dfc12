// Numbers as colours: one table for a map, its small copies and the scale beside it.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});

  // viridis, 256 colours of three bytes: even steps look even, in grey and to every colour vision
  const VIRIDIS = [
    "44015444025645045745055946075a46085c460a5d460b5e470d60470e6147106347116447136548146748166848176948186a481a6c481b6d481c6e",
    "481d6f481f70482071482173482374482475482576482677482878482979472a7a472c7a472d7b472e7c472f7d46307e46327e46337f463480453581",
    "453781453882443983443a83443b84433d84433e85423f854240864241864142874144874045884046883f47883f48893e49893e4a893e4c8a3d4d8a",
    "3d4e8a3c4f8a3c508b3b518b3b528b3a538b3a548c39558c39568c38588c38598c375a8c375b8d365c8d365d8d355e8d355f8d34608d34618d33628d",
    "33638d32648e32658e31668e31678e31688e30698e306a8e2f6b8e2f6c8e2e6d8e2e6e8e2e6f8e2d708e2d718e2c718e2c728e2c738e2b748e2b758e",
    "2a768e2a778e2a788e29798e297a8e297b8e287c8e287d8e277e8e277f8e27808e26818e26828e26828e25838e25848e25858e24868e24878e23888e",
    "23898e238a8d228b8d228c8d228d8d218e8d218f8d21908d21918c20928c20928c20938c1f948c1f958b1f968b1f978b1f988b1f998a1f9a8a1e9b8a",
    "1e9c891e9d891f9e891f9f881fa0881fa1881fa1871fa28720a38620a48621a58521a68522a78522a88423a98324aa8325ab8225ac8226ad8127ad81",
    "28ae8029af7f2ab07f2cb17e2db27d2eb37c2fb47c31b57b32b67a34b67935b77937b87838b9773aba763bbb753dbc743fbc7340bd7242be7144bf70",
    "46c06f48c16e4ac16d4cc26c4ec36b50c46a52c56954c56856c66758c7655ac8645cc8635ec96260ca6063cb5f65cb5e67cc5c69cd5b6ccd5a6ece58",
    "70cf5773d05675d05477d1537ad1517cd2507fd34e81d34d84d44b86d54989d5488bd6468ed64590d74393d74195d84098d83e9bd93c9dd93ba0da39",
    "a2da37a5db36a8db34aadc32addc30b0dd2fb2dd2db5de2bb8de29bade28bddf26c0df25c2df23c5e021c8e020cae11fcde11dd0e11cd2e21bd5e21a",
    "d8e219dae319dde318dfe318e2e418e5e419e7e419eae51aece51befe51cf1e51df4e61ef6e620f8e621fbe723fde725",
  ].join("");
  const ENDS = [[33, 102, 172], [247, 247, 247], [179, 88, 6]]; // below zero, zero, above
  const BRANCHES = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#F0E442"]; // Okabe and Ito's

  const sequential = Array.from({ length: 256 }, (_, at) => [0, 2, 4].map((byte) => parseInt(VIRIDIS.slice(6 * at + byte, 6 * at + byte + 2), 16)));
  const diverging = Array.from({ length: 256 }, (_, at) => {
    const share = (2 * at) / 255;
    const [from, to, step] = share < 1 ? [ENDS[0], ENDS[1], share] : [ENDS[1], ENDS[2], share - 1];
    return from.map((low, channel) => Math.round(low + step * (to[channel] - low)));
  });
  const branches = BRANCHES.map((css) => [1, 3, 5].map((at) => parseInt(css.slice(at, at + 2), 16)));

  // {values, shape: [h, w] or [h, w, 3]} -> the smallest and largest value that is a number
  function limits(maps, signed) {
    let [low, high] = [Infinity, -Infinity];
    for (const { values } of maps) {
      for (const value of values) {
        if (value < low) low = value;
        if (value > high) high = value;
      }
    }
    if (!(low <= high)) return [0, 1];
    if (signed) {
      const most = Math.max(Math.abs(low), Math.abs(high));
      return [-most, most];
    }
    return [low, high];
  }

  // the place of a value among 256 colours; "root" gives small values more of them
  function place(value, [low, high], kind = "plain") {
    if (!(high > low)) return 0;
    const share = Math.max(0, Math.min(1, (value - low) / (high - low)));
    return Math.round(255 * (kind === "root" ? Math.sqrt(share) : share));
  }

  const tableOf = (kind) => (kind === "signed" ? diverging : sequential);

  // how: {kind: "plain", "root", "signed", "colours" or "branches", limits}; a last row and column are repeated once
  function paint({ values, shape }, how) {
    const [height, width, depth] = shape;
    const canvas = document.createElement("canvas");
    canvas.width = width + 1;
    canvas.height = height + 1;
    const context = canvas.getContext("2d");
    const image = context.createImageData(width + 1, height + 1);
    const table = tableOf(how.kind);
    for (let y = 0; y <= height; y++) {
      for (let x = 0; x <= width; x++) {
        const from = Math.min(y, height - 1) * width + Math.min(x, width - 1);
        const to = 4 * (y * (width + 1) + x);
        const [red, green, blue] = colour(values, from, depth, how, table);
        image.data[to] = red;
        image.data[to + 1] = green;
        image.data[to + 2] = blue;
        image.data[to + 3] = 255;
      }
    }
    context.putImageData(image, 0, 0);
    return canvas;
  }

  function colour(values, from, depth, how, table) {
    if (how.kind === "colours") return [0, 1, 2].map((channel) => Math.round(255 * values[from * depth + channel]));
    if (how.kind === "branches") return branches[values[from]] ?? [0, 0, 0];
    return table[place(values[from], how.limits, how.kind)];
  }

  // the scale: every colour of the table, the largest value's on the right
  function ramp(canvas, kind) {
    const table = tableOf(kind);
    canvas.width = table.length;
    canvas.height = 1;
    const context = canvas.getContext("2d");
    const image = context.createImageData(table.length, 1);
    table.forEach((colour, at) => image.data.set([...colour, 255], 4 * at));
    context.putImageData(image, 0, 0);
  }

  // three digits that count, in no more room than a label has
  function number(value) {
    if (value === 0) return "0";
    const size = Math.abs(value);
    if (size >= 1e5 || size < 1e-3) return value.toExponential(1).replace("e+", "e").replace("-", "−");
    return String(Number(value.toPrecision(3))).replace("-", "−");
  }

  parts.colours = { BRANCHES, sequential, diverging, limits, place, paint, ramp, number };
})();
