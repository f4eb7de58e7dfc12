// Masks as COCO run lengths, and as the rows of spans that everything here draws and picks with.
//
// COCO counts run down the columns. `Lines` are one direction's spans: line i (counted from
// `first`) holds the pairs [start, end) in edges[starts[i] .. starts[i + 1]). Turning columns into
// rows walks the mask's boundary only, so a large mask costs what its outline costs.
(() => {
  "use strict";
  const parts = (globalThis.studioParts ??= {});

  // "d3k1..." -> run lengths, zeros first
  function parse(text) {
    const counts = [];
    for (let at = 0; at < text.length; ) {
      let value = 0;
      let shift = 0;
      for (let more = true; more; shift += 5) {
        const code = text.charCodeAt(at++) - 48;
        if (!(code >= 0 && code < 64) || shift > 30) throw new Error("the mask's code is damaged");
        value |= (code & 31) << shift;
        more = (code & 32) !== 0;
        if (!more && code & 16 && shift < 27) value |= -1 << (shift + 5);
      }
      if (counts.length > 2) value += counts[counts.length - 2];
      if (value < 0) throw new Error("the mask's code is damaged");
      counts.push(value);
    }
    return counts;
  }

  // run lengths -> "d3k1...", the same bytes as pycocotools
  function format(counts) {
    let text = "";
    counts.forEach((count, index) => {
      let value = index > 2 ? count - counts[index - 2] : count;
      for (let more = true; more; ) {
        let code = value & 31;
        value >>= 5;
        more = code & 16 ? value !== -1 : value !== 0;
        if (more) code |= 32;
        text += String.fromCharCode(code + 48);
      }
    });
    return text;
  }

  function lines(first, perLine) {
    const starts = new Int32Array(perLine.length + 1);
    perLine.forEach((edges, index) => (starts[index + 1] = starts[index] + edges.length));
    const edges = new Int32Array(starts[perLine.length]);
    perLine.forEach((own, index) => edges.set(own, starts[index]));
    return { first, count: perLine.length, starts, edges };
  }

  // run lengths -> the spans of each column that has any
  function columns(counts, height, width) {
    const perLine = [];
    let first = 0;
    let at = 0;
    let area = 0;
    counts.forEach((count, index) => {
      const end = at + count;
      if (index % 2) {
        area += count;
        while (at < end) {
          const column = Math.floor(at / height);
          const top = at - column * height;
          const bottom = Math.min(height, top + end - at);
          if (perLine.length === 0) first = column;
          while (perLine.length <= column - first) perLine.push([]);
          const own = perLine[column - first];
          if (own.length && own[own.length - 1] === top) own[own.length - 1] = bottom;
          else own.push(top, bottom);
          at += bottom - top;
        }
      }
      at = end;
    });
    if (at !== height * width) throw new Error("the mask does not fit its image");
    return { lines: lines(first, perLine), area };
  }

  // columns -> rows, or rows -> columns: only where neighbouring lines differ does a span begin or end
  function transpose(source) {
    const { first, count, starts, edges } = source;
    let low = Infinity;
    let high = -Infinity;
    for (const edge of edges) {
      if (edge < low) low = edge;
      if (edge > high) high = edge;
    }
    if (count === 0 || low > high) return { first: 0, count: 0, starts: new Int32Array(1), edges: new Int32Array(0) };
    const size = high - low;
    const result = new Int32Array(size + 1);
    eachChange(source, (from, to) => {
      for (let at = from; at < to; at++) result[at - low + 1]++;
    });
    for (let at = 0; at < size; at++) result[at + 1] += result[at];
    const filled = result.slice(0, size);
    const turned = new Int32Array(result[size]);
    eachChange(source, (from, to, line) => {
      for (let at = from; at < to; at++) turned[filled[at - low]++] = line;
    });
    return { first: low, count: size, starts: result, edges: turned };

    function eachChange({ starts }, emit) {
      for (let line = 0; line <= count; line++) {
        let left = line ? starts[line - 1] : 0;
        const leftEnd = line ? starts[line] : 0;
        let right = line < count ? starts[line] : 0;
        const rightEnd = line < count ? starts[line + 1] : 0;
        let open = -1;
        while (left < leftEnd || right < rightEnd) {
          const a = left < leftEnd ? edges[left] : Infinity;
          const b = right < rightEnd ? edges[right] : Infinity;
          const edge = Math.min(a, b);
          if (a === edge) left++;
          if (b === edge) right++;
          if (a === b) continue;
          if (open < 0) open = edge;
          else {
            emit(open, edge, first + line);
            open = -1;
          }
        }
      }
    }
  }

  // {size: [h, w], counts} -> the mask as it is drawn
  function decode({ size, counts }) {
    const [height, width] = size;
    const found = columns(parse(counts), height, width);
    const rows = transpose(found.lines);
    const tall = rows.count;
    const wide = found.lines.count;
    const bbox = found.area ? [found.lines.first, rows.first, wide, tall] : [0, 0, 0, 0];
    return { size: [height, width], area: found.area, bbox, rows };
  }

  // the drawn mask -> {size, counts}: what a test compares with the file
  function encode(mask) {
    const [height, width] = mask.size;
    const { first, count, starts, edges } = transpose(mask.rows);
    const counts = [];
    let end = 0;
    for (let line = 0; line < count; line++) {
      for (let at = starts[line]; at < starts[line + 1]; at += 2) {
        const from = (first + line) * height + edges[at];
        const length = edges[at + 1] - edges[at];
        if (counts.length && from === end) counts[counts.length - 1] += length;
        else counts.push(from - end, length);
        end = from + length;
      }
    }
    if (end < height * width || counts.length === 0) counts.push(height * width - end);
    return { size: [height, width], counts: format(counts) };
  }

  // is the pixel (x, y) part of the mask?
  function contains(mask, x, y) {
    const { first, count, starts, edges } = mask.rows;
    const line = y - first;
    if (line < 0 || line >= count) return false;
    for (let at = starts[line]; at < starts[line + 1]; at += 2) {
      if (x < edges[at]) return false;
      if (x < edges[at + 1]) return true;
    }
    return false;
  }

  const nothing = (size) => ({ size, area: 0, bbox: [0, 0, 0, 0], rows: transpose(lines(0, [])) });

  parts.rle = { parse, format, decode, encode, contains, nothing };
})();
