// One colour an instance, by its position in the document, so that it keeps it while filters move.
//
// Okabe and Ito's seven hues, which people of every colour vision tell apart; then the same hues
// lighter, then the bright ones darker. 19 is prime: a regular grid of instances shows no stripes.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});

  const HUES = [
    [230, 159, 0], // orange
    [86, 180, 233], // sky blue
    [0, 158, 115], // bluish green
    [204, 121, 167], // reddish purple
    [240, 228, 66], // yellow
    [213, 94, 0], // vermilion
    [0, 114, 178], // blue
  ];
  const toward = (rgb, target, share) => rgb.map((c) => Math.round(c + (target - c) * share));
  const COLOURS = [
    ...HUES,
    ...HUES.map((rgb) => toward(rgb, 255, 0.45)),
    ...HUES.slice(0, 5).map((rgb) => toward(rgb, 0, 0.25)),
  ];

  const rgb = (position) => COLOURS[position % COLOURS.length];
  const css = (position) => `rgb(${rgb(position).join(" ")})`;

  // relative luminance, as WCAG has it
  function luminance(colour) {
    const [r, g, b] = colour.map((c) => {
      const share = c / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }

  // black or white, whichever is read more easily on the colour
  const ink = (position) => (luminance(rgb(position)) > 0.179 ? "#000" : "#fff");

  // one pixel as ImageData keeps it in a Uint32Array (little-endian: every browser's machine)
  const pixel = ([r, g, b], alpha) => ((alpha << 24) | (b << 16) | (g << 8) | r) >>> 0;

  parts.palette = { COLOURS, rgb, css, ink, luminance, pixel };
})();
