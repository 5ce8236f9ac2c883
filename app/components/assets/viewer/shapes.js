/** Which voxels a tool means: pure functions over one slice, rows by columns as on the screen's plane (u, v). */

/**
 * Calls `found(u, v)` for every voxel whose centre is within a radius (in mm) of the way from one place to another.
 * @param {number[]} from (u, v)
 * @param {number[]} to (u, v)
 * @param {number} radius above or equal 0
 * @param {number[]} steps millimetres between columns and between rows
 * @param {number[]} size columns and rows
 */
export function sweep(from, to, radius, steps, size, found) {
  const low = [0, 1].map((axis) => Math.max(0, Math.ceil(Math.min(from[axis], to[axis]) - radius / steps[axis])));
  const high = [0, 1].map((axis) => Math.min(size[axis] - 1, Math.floor(Math.max(from[axis], to[axis]) + radius / steps[axis])));
  const way = [0, 1].map((axis) => (to[axis] - from[axis]) * steps[axis]);
  const long = way[0] * way[0] + way[1] * way[1];
  for (let v = low[1]; v <= high[1]; v++) {
    for (let u = low[0]; u <= high[0]; u++) {
      const x = (u - from[0]) * steps[0];
      const y = (v - from[1]) * steps[1];
      const along = long > 0 ? Math.min(1, Math.max(0, (x * way[0] + y * way[1]) / long)) : 0;
      if (Math.hypot(x - along * way[0], y - along * way[1]) <= radius) found(u, v);
    }
  }
}

/**
 * Calls `found(u, v)` for every voxel that hangs together with a place by edges through voxels which `holds` says yes to.
 */
export function flood([u, v], [columns, rows], holds, found) {
  const seen = new Uint8Array(columns * rows);
  const waiting = [];
  const visit = (column, row) => {
    if (column < 0 || row < 0 || column >= columns || row >= rows) return;
    const at = row * columns + column;
    if (seen[at]) return;
    seen[at] = 1;
    if (holds(column, row)) waiting.push(at);
  };
  visit(u, v);
  while (waiting.length) {
    const at = waiting.pop();
    const column = at % columns;
    const row = (at - column) / columns;
    found(column, row);
    visit(column - 1, row);
    visit(column + 1, row);
    visit(column, row - 1);
    visit(column, row + 1);
  }
}

/**
 * Signed distance of every voxel of a slice in millimetres: inside to the nearest centre outside, above 0; outside to the
 * nearest centre inside, below 0. Exact, by lower envelopes of parabolas (Felzenszwalb and Huttenlocher, 2012).
 * Infinite where there is nothing inside, or nothing outside.
 * @param {Uint8Array} mask rows times columns, 0 is outside
 * @returns {Float64Array}
 */
export function signedDistance(mask, [columns, rows], steps) {
  const toInside = squaredDistance(mask, [columns, rows], steps, (value) => value !== 0);
  const toOutside = squaredDistance(mask, [columns, rows], steps, (value) => value === 0);
  return Float64Array.from(mask, (value, at) => (value ? Math.sqrt(toOutside[at]) : -Math.sqrt(toInside[at])));
}

/**
 * The slices between two drawn ones: both signed distances blended linearly; inside where the blend is not negative.
 * @param {Uint8Array} first mask of the slice with the lower number
 * @param {Uint8Array} second mask of the higher one
 * @param {number} between how many slices lie between, above 0
 * @returns {Uint8Array[]} their masks, from the lower number on
 */
export function interpolate(first, second, between, size, steps) {
  const a = signedDistance(first, size, steps);
  const b = signedDistance(second, size, steps);
  return Array.from({ length: between }, (_, index) => {
    const part = (index + 1) / (between + 1);
    return Uint8Array.from(a, (distance, at) => ((1 - part) * distance + part * b[at] >= 0 ? 1 : 0));
  });
}

function squaredDistance(mask, [columns, rows], steps, is) {
  const squares = Float64Array.from(mask, (value) => (is(value) ? 0 : Infinity));
  const longest = Math.max(columns, rows);
  const room = { line: new Float64Array(longest), vertex: new Int32Array(longest), border: new Float64Array(longest + 1) };
  for (let column = 0; column < columns; column++) envelope(squares, column, columns, rows, steps[1], room);
  for (let row = 0; row < rows; row++) envelope(squares, row * columns, 1, columns, steps[0], room);
  return squares;
}

/** Replaces a line f by min over q of f(q) + (step (p - q))^2. */
function envelope(values, first, stride, count, step, { line, vertex, border }) {
  const scale = step * step;
  let last = -1;
  for (let q = 0; q < count; q++) {
    line[q] = values[first + q * stride];
    if (line[q] === Infinity) continue;
    let cross = -Infinity;
    while (last >= 0) {
      const p = vertex[last];
      cross = (line[q] - line[p]) / (2 * scale * (q - p)) + (q + p) / 2;
      if (cross > border[last]) break;
      last--;
      cross = -Infinity;
    }
    vertex[++last] = q;
    border[last] = cross;
  }
  if (last < 0) return;
  border[last + 1] = Infinity;
  for (let p = 0, at = 0; p < count; p++) {
    while (border[at + 1] < p) at++;
    const apart = (p - vertex[at]) * step;
    values[first + p * stride] = line[vertex[at]] + apart * apart;
  }
}
