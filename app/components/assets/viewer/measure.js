/**
 * Lengths in a slice. A distance has two ends; a diameter has a long axis and one perpendicular to it.
 *
 * Points are places (u, v) of a plane, where whole numbers are centres of voxels. The short axis is kept as where its foot is
 * on the long one (0 to 1) and how far it reaches to either side, so that it stays perpendicular whatever is dragged.
 * @typedef {{kind: "distance"|"diameter", plane: string, slice: number, points: number[][], foot: number, reach: number[]}} Measurement
 */

const GRIP = 9;

/** @returns {Measurement} */
export function begin(kind, plane, slice, point) {
  return { kind, plane, slice, points: [point, point], foot: 0.5, reach: [0, 0] };
}

/** Length between two places. */
export function length([u0, v0], [u1, v1], [across, down]) {
  return Math.hypot((u1 - u0) * across, (v1 - v0) * down);
}

/** Unit vector along the long axis and the one perpendicular to it, in millimetres. */
function frame([[u0, v0], [u1, v1]], [across, down]) {
  const along = [(u1 - u0) * across, (v1 - v0) * down];
  const size = Math.hypot(...along) || 1;
  const unit = [along[0] / size, along[1] / size];
  return { unit, normal: [-unit[1], unit[0]], size };
}

/** Both ends of the long axis, then both ends of the short one where there is one. */
export function ends(one, steps) {
  if (one.kind === "distance") return one.points;
  const { normal } = frame(one.points, steps);
  const foot = one.points[0].map((start, axis) => start + one.foot * (one.points[1][axis] - start));
  return [...one.points, ...one.reach.map((reach) => foot.map((start, axis) => start + (reach * normal[axis]) / steps[axis]))];
}

/** Lengths of the axes. */
export function lengths(one, steps) {
  const long = length(...one.points, steps);
  return one.kind === "distance" ? [long] : [long, Math.abs(one.reach[0] - one.reach[1])];
}

/** "12.3 mm", or "12.3 x 8.0 mm". */
export function reading(one, steps, unit) {
  return `${lengths(one, steps).map((size) => size.toFixed(1)).join(" × ")} ${unit}`;
}

/** Moves an end (as `ends` counts them) to a place. */
export function drag(one, end, place, steps) {
  if (end < 2) {
    one.points = one.points.map((point, index) => (index === end ? place : point));
    return;
  }
  const { unit, normal, size } = frame(one.points, steps);
  const offset = place.map((part, axis) => (part - one.points[0][axis]) * steps[axis]);
  one.foot = Math.min(1, Math.max(0, (offset[0] * unit[0] + offset[1] * unit[1]) / size));
  one.reach = one.reach.map((reach, index) => (index === end - 2 ? offset[0] * normal[0] + offset[1] * normal[1] : reach));
}

/** A first guess of the short axis: half as long, in the middle. */
export function crossed(one, steps) {
  const quarter = length(...one.points, steps) / 4;
  one.reach = [quarter, -quarter];
}

/** The measurement and the end of it that is under a point of the screen; null where none is. */
export function gripped(plane, x, y) {
  for (const one of plane.scene.measurements) {
    if (one.plane !== plane.axes.name || one.slice !== plane.slice) continue;
    const end = ends(one, plane.steps).findIndex(([u, v]) => {
      const [px, py] = plane.toScreen(u, v);
      return Math.hypot(px - x, py - y) <= GRIP;
    });
    if (end >= 0) return { one, end };
  }
  return null;
}
