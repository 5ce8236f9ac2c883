/** A NIfTI-1 file in memory, small enough for the three-dimensional view. */

const HEADER = 352;
const TYPES = { int16: [4, 16], uint16: [512, 16], uint8: [2, 8] };
const LABEL_INTENT = 1002;
/** Voxels along an axis at most. */
const MOST = 256;

/** Every how many voxels one is taken along each axis. */
function strides(shape) {
  return shape.map((size) => Math.ceil(size / MOST));
}

/**
 * @param {Int16Array|Uint16Array|Uint8Array} data i fastest
 * @param {Object} view its shape, spacing and directions
 * @param {string} dtype of the data
 * @param {{slope?: number, intercept?: number, label?: boolean}} meaning of the numbers
 * @returns {ArrayBuffer}
 */
export function nifti(data, view, dtype, { slope = 1, intercept = 0, label = false } = {}) {
  const steps = strides(view.shape);
  const size = view.shape.map((length, axis) => Math.ceil(length / steps[axis]));
  const [code, bits] = TYPES[dtype];
  const buffer = new ArrayBuffer(HEADER + (size[0] * size[1] * size[2] * bits) / 8);
  const header = new DataView(buffer);
  const short = (at, value) => header.setInt16(at, value, true);
  const float = (at, value) => header.setFloat32(at, value, true);
  header.setInt32(0, 348, true);
  [3, ...size, 1, 1, 1, 1].forEach((value, index) => short(40 + 2 * index, value));
  short(68, label ? LABEL_INTENT : 0);
  short(70, code);
  short(72, bits);
  const spacing = (view.spacing_mm ?? [1, 1, 1]).map((mm, axis) => mm * steps[axis]);
  [1, ...spacing].forEach((value, index) => float(76 + 4 * index, value));
  float(108, HEADER);
  float(112, slope);
  float(116, intercept);
  header.setUint8(123, 2);
  short(254, 1);
  affine(view, spacing, size).forEach((row, index) => row.forEach((value, column) => float(280 + 16 * index + 4 * column, value)));
  [0x6e, 0x2b, 0x31, 0].forEach((byte, index) => header.setUint8(344 + index, byte));
  const out = new data.constructor(buffer, HEADER);
  thin(data, view.shape, steps, size, out);
  return buffer;
}

function thin(data, [columns, rows], steps, size, out) {
  for (let k = 0, at = 0; k < size[2]; k++) {
    for (let j = 0; j < size[1]; j++) {
      const first = columns * (j * steps[1] + rows * k * steps[2]);
      for (let i = 0; i < size[0]; i++, at++) out[at] = data[first + i * steps[0]];
    }
  }
}

/** Index to millimetres (RAS), with the middle of the volume at 0. */
function affine(view, spacing, size) {
  const directions = view.directions?.length === 3 ? view.directions : [[1, 0, 0], [0, 1, 0], [0, 0, 1]];
  const signs = [-1, -1, 1];
  return signs.map((sign, part) => {
    const row = directions.map((direction, axis) => sign * direction[part] * spacing[axis]);
    return [...row, -row.reduce((sum, step, axis) => sum + (step * (size[axis] - 1)) / 2, 0)];
  });
}
