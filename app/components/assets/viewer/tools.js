/**
 * What the left button does. A tool takes where the pointer is: `place` (u, v) in the slice, and the point on the screen.
 * @typedef {{down: Function, move: Function, up: Function}} Tool
 */

import { placeAt } from "./marks.js";
import { begin, crossed, drag, gripped, length } from "./measure.js";

/** Shorter than this on the screen is a click and no length. */
const LEAST = 3;

/** Moves the crosshair, and says when the ring of a finding is clicked. */
export class CrosshairTool {
  constructor(focused) {
    this.focused = focused;
  }

  down(plane, place, x, y) {
    const found = placeAt(plane, x, y);
    if (found) this.focused(found.finding);
    else this.move(plane, place);
  }

  move(plane, place) {
    if (plane.scene.view.kind === "volume") plane.scene.moveTo(plane.voxel(place));
  }

  up() {}
}

/** Draws a distance or a diameter, or drags an end of one that is there. */
export class MeasureTool {
  constructor(kind) {
    this.kind = kind;
    this.held = null;
  }

  down(plane, place, x, y) {
    const { scene } = plane;
    this.held = gripped(plane, x, y);
    if (!this.held) {
      const one = begin(this.kind, plane.axes.name, plane.slice, place);
      scene.measurements.push(one);
      this.held = { one, end: 1, fresh: true };
    }
    scene.set("selected", this.held.one, "marks");
  }

  move(plane, place) {
    if (!this.held) return;
    const { one, end, fresh } = this.held;
    drag(one, end, place, plane.steps);
    if (fresh && one.kind === "diameter") crossed(one, plane.steps);
    plane.scene.changed("marks", "controls");
  }

  up(plane) {
    if (!this.held) return;
    const { one, fresh } = this.held;
    this.held = null;
    if (fresh && length(...one.points, plane.steps) * plane.scale < LEAST) remove(plane.scene, one);
  }

  /** By keyboard: the first time it sets one end at the crosshair, the second time the other. */
  press(plane, place) {
    if (!this.held) {
      this.down(plane, place, -1e6, -1e6);
    } else {
      this.move(plane, place);
      this.up(plane);
    }
  }
}

/** Takes away a measurement: the one told, the one chosen last, or the last one. */
export function remove(scene, one = scene.selected ?? scene.measurements.at(-1)) {
  scene.measurements = scene.measurements.filter((other) => other !== one);
  scene.set("selected", null, "marks");
}
