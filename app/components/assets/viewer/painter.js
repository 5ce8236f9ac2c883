/** Fills the pixels of a plane: one look-up per pixel, in the order of the screen. */

const OPAQUE = 0xff000000;

/**
 * The image. Slices that have not come stay black.
 * @param {Uint32Array} pixels rows times columns, overwritten
 * @param {import("./volume.js").Volume} volume
 * @param {{columns: number, rows: number, across: number, down: number, first: number}} layout
 * @param {Uint32Array} table of 65536 patterns
 */
export function fillImage(pixels, volume, { columns, rows, across, down, first }, table) {
  const { data, channels } = volume;
  const sliceVoxels = volume.view.shape[0] * volume.view.shape[1];
  for (let row = 0, at = 0; row < rows; row++) {
    let index = first + row * down;
    // No plane has the slice axis along its rows, so a row lies in one slice.
    if (!volume.has(Math.floor(index / sliceVoxels))) {
      pixels.fill(OPAQUE, at, (at += columns));
    } else if (channels === 3) {
      for (const end = at + columns; at < end; at++, index += across) {
        const red = index * 3;
        pixels[at] = OPAQUE | (data[red + 2] << 16) | (data[red + 1] << 8) | data[red];
      }
    } else {
      for (const end = at + columns; at < end; at++, index += across) pixels[at] = table[data[index] & 0xffff];
    }
  }
}

/** A heat map by a table of 256. */
export function fillBytes(pixels, bytes, { columns, rows, across, down, first }, table) {
  for (let row = 0, at = 0; row < rows; row++) {
    let index = first + row * down;
    for (const end = at + columns; at < end; at++, index += across) pixels[at] = table[bytes[index]];
  }
}

/** The bytes of a plane in the order of the screen, into an array of rows times columns. */
export function gather(bytes, { columns, rows, across, down, first }, out) {
  for (let row = 0, at = 0; row < rows; row++) {
    let index = first + row * down;
    for (const end = at + columns; at < end; at++, index += across) out[at] = bytes[index];
  }
}

/**
 * Edges between a label and anything else, joined to lines; a path for each label, in voxels from the top left corner.
 * @param {Uint8Array} plane rows times columns
 * @returns {Map<number, Path2D>}
 */
export function outlines(plane, columns, rows) {
  const paths = new Map();
  const box = extent(plane, columns, rows);
  if (!box) return paths;
  const at = (column, row) => (column < 0 || row < 0 || column >= columns || row >= rows ? 0 : plane[row * columns + column]);
  const pathOf = (label) => paths.get(label) ?? paths.set(label, new Path2D()).get(label);
  const line = (label, x0, y0, x1, y1) => {
    const path = pathOf(label);
    path.moveTo(x0, y0);
    path.lineTo(x1, y1);
  };
  const { left, right, top, bottom } = box;
  for (let row = top; row <= bottom + 1; row++) {
    runs(left, right, (column) => [at(column, row - 1), at(column, row)], (label, from, to) => line(label, from, row, to, row));
  }
  for (let column = left; column <= right + 1; column++) {
    runs(top, bottom, (row) => [at(column - 1, row), at(column, row)], (label, from, to) => line(label, column, from, column, to));
  }
  return paths;
}

/** Stretches along which one side of an edge has the same label and the other side another. */
function runs(from, to, sides, found) {
  for (const side of [0, 1]) {
    let label = 0;
    let start = from;
    for (let at = from; at <= to + 1; at++) {
      let own = 0;
      if (at <= to) {
        const pair = sides(at);
        if (pair[0] !== pair[1]) own = pair[side];
      }
      if (own !== label) {
        if (label) found(label, start, at);
        label = own;
        start = at;
      }
    }
  }
}

/** Columns and rows that hold any label; null where none does. */
function extent(plane, columns, rows) {
  let [left, right, top, bottom] = [columns, -1, rows, -1];
  for (let row = 0, index = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++, index++) {
      if (plane[index]) {
        if (column < left) left = column;
        if (column > right) right = column;
        if (row < top) top = row;
        bottom = row;
      }
    }
  }
  return right < 0 ? null : { left, right, top, bottom };
}
