/** Where a plane lies in the volume and in the patient. The volume's i grows to the left, j to the back, k to the head. */

const POSITIVE = ["L", "P", "H"];
const NEGATIVE = ["R", "A", "F"];
/** A direction that leans further than this towards a second axis of the patient tells it too. */
const LEAN = Math.sin((20 * Math.PI) / 180);

/**
 * Columns run along axis `u`, rows along `v` and slices along `w`; `flip` puts the highest `v` at the top.
 * @typedef {{name: string, title: string, u: number, v: number, w: number, flip: boolean}} Axes
 * @type {Object<string, Axes>}
 */
export const PLANES = {
  axial: { name: "axial", title: "Axial", u: 0, v: 1, w: 2, flip: false },
  coronal: { name: "coronal", title: "Coronal", u: 0, v: 2, w: 1, flip: true },
  sagittal: { name: "sagittal", title: "Sagittal", u: 1, v: 2, w: 0, flip: true },
};

/** Letters of a direction (LPS), the largest part first: "L", or "LP" where it leans to the back. */
export function letters(direction) {
  return [0, 1, 2]
    .filter((axis) => Math.abs(direction[axis]) > LEAN)
    .sort((a, b) => Math.abs(direction[b]) - Math.abs(direction[a]))
    .map((axis) => (direction[axis] > 0 ? POSITIVE : NEGATIVE)[axis])
    .join("");
}

/** What the four edges of a plane show; null where nobody knows. */
export function edges(directions, axes) {
  if (!directions || directions.length <= Math.max(axes.u, axes.v)) return null;
  const negated = (vector) => vector.map((part) => -part);
  const across = directions[axes.u];
  const down = axes.flip ? negated(directions[axes.v]) : directions[axes.v];
  return { right: letters(across), left: letters(negated(across)), bottom: letters(down), top: letters(negated(down)) };
}

/** Where the centre of a voxel lies in the patient (LPS mm), from that of the first one where no origin is told; null where directions are not known. */
export function position(view, voxel) {
  if (!view.spacing_mm || !view.directions || view.directions.length < 3) return null;
  return [0, 1, 2].map((part) =>
    [0, 1, 2].reduce((sum, axis) => sum + view.directions[axis][part] * view.spacing_mm[axis] * voxel[axis], view.origin_mm?.[part] ?? 0),
  );
}

/** "L 12.0  P 3.5  H 40.0 mm": every number with the side it counts towards. */
export function positionText(lps) {
  return `${lps.map((mm, axis) => `${(mm < 0 ? NEGATIVE : POSITIVE)[axis]} ${Math.abs(mm).toFixed(1)}`).join("  ")} mm`;
}

/** A length to draw as a scale: 1, 2 or 5 times a power of ten, at most `most`. */
export function roundLength(most) {
  const power = 10 ** Math.floor(Math.log10(most));
  return [5, 2, 1].map((step) => step * power).find((length) => length <= most * (1 + 1e-9));
}

/** Shape and steps of the voxels of a plane: how many, how far apart in the flat array, and where the top left one is. */
export function layout(shape, axes, slice) {
  const steps = [1, shape[0], shape[0] * shape[1]];
  const columns = shape[axes.u];
  const rows = shape[axes.v];
  const down = axes.flip ? -steps[axes.v] : steps[axes.v];
  const first = slice * steps[axes.w] + (axes.flip ? (rows - 1) * steps[axes.v] : 0);
  return { columns, rows, across: steps[axes.u], down, first };
}
