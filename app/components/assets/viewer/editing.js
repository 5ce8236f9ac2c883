/** Drawing the segmentation: tools, slices that were drawn, saving. */

import { EditingBar } from "./editing_bar.js";
import { Mask } from "./mask.js";
import { LEAST_RADIUS, MOST_RADIUS } from "./scene.js";
import { flood, interpolate, sweep } from "./shapes.js";

export class Editing {
  constructor(stage, { view, aided, mask, editable }) {
    Object.assign(this, { stage, scene: stage.scene, api: stage.api, aided });
    this.allowed = editable && view.editable;
    /** Name of the saved map that is shown; "" for the network's own, or for none where the network is not shown. */
    this.name = mask;
    this.wanted = view.labels.length > 0 && (aided || mask !== "");
    this.on = false;
    this.saving = false;
    this.savedRevision = 0;
    this.mask = null;
    this.tools = { brush: new BrushTool(this, false), erase: new BrushTool(this, true), fill: new FillTool(this) };
    this.controls = new EditingBar(this);
    this.button = this.controls.toggle;
    this.bar = this.controls.root;
  }

  get ready() {
    return this.mask !== null || !(this.wanted || this.on);
  }

  get voxels() {
    return this.scene.shape.reduce((product, length) => product * length);
  }

  /** Whether there is anything that was not saved. */
  get dirty() {
    return this.mask !== null && this.mask.revision !== this.savedRevision;
  }

  /** Fetches the labels that are shown; nothing where none are wanted. */
  async load() {
    if (this.mask || !this.wanted) return;
    this.#take(await this.api.bytes(this.name ? `masks/${encodeURIComponent(this.name)}` : "labels", this.voxels));
  }

  #take(labels) {
    this.mask = new Mask(labels, this.scene.shape);
    this.savedRevision = 0;
    this.scene.labels = this.mask.labels;
    this.scene.relabelled();
  }

  /** Shows another saved map; what is not saved of the present one is lost. */
  async show(name) {
    if (name === this.name) return;
    Object.assign(this, { name, mask: null, wanted: this.scene.view.labels.length > 0 && (this.aided || name !== "") });
    this.scene.set("labels", null, "labels");
    await this.load();
  }

  turn(on = !this.on) {
    if (!this.allowed) return;
    this.on = on;
    if (on && !this.mask && !this.wanted) this.#take(new Uint8Array(this.voxels));
    if (on) this.scene.labelsShown = true;
    this.stage.use(on ? "brush" : "crosshair");
  }

  /** Runs something as one stroke and redraws. */
  stroke(plane, work) {
    this.mask.begin();
    work();
    this.mask.end(this.drawnOn(plane));
    this.scene.relabelled();
  }

  /** What is remembered of a stroke: where it was drawn, and with what. */
  drawnOn(plane) {
    return { plane: plane.axes.name, slice: plane.slice, label: this.scene.brush.label };
  }

  undo() {
    if (this.mask?.undo()) this.scene.relabelled();
  }

  redo() {
    if (this.mask?.redo()) this.scene.relabelled();
  }

  discard() {
    if (this.mask?.discard()) this.scene.relabelled();
  }

  /** The two slices last drawn in the active plane with this label, lower first; null where there are none. */
  get drawnPair() {
    const { axes } = this.stage.active;
    const drawn = new Set();
    for (const { stroke } of [...(this.mask?.history.done ?? [])].reverse()) {
      if (stroke.plane === axes.name && stroke.label === this.scene.brush.label) drawn.add(stroke.slice);
      if (drawn.size === 2) return [...drawn].sort((a, b) => a - b);
    }
    return null;
  }

  /** Fills the slices between; it adds to what is there and takes nothing away. */
  interpolate() {
    const pair = this.drawnPair;
    if (!this.on || !pair || pair[1] - pair[0] < 2) return;
    const plane = this.stage.active;
    const { label } = this.scene.brush;
    const size = [plane.columns, plane.rows];
    const masks = pair.map((slice) => this.#sliceOf(plane, slice, label));
    if (!masks.every((mask) => mask.includes(1))) return;
    const between = interpolate(...masks, pair[1] - pair[0] - 1, size, plane.steps);
    this.mask.begin();
    between.forEach((mask, index) => {
      mask.forEach((inside, at) => inside && this.mask.write(this.indexOn(plane, at % size[0], Math.floor(at / size[0]), pair[0] + 1 + index), label));
    });
    this.mask.end({});
    this.scene.relabelled();
  }

  #sliceOf(plane, slice, label) {
    const mask = new Uint8Array(plane.columns * plane.rows);
    for (let v = 0, at = 0; v < plane.rows; v++) {
      for (let u = 0; u < plane.columns; u++, at++) mask[at] = this.mask.labels[this.indexOn(plane, u, v, slice)] === label ? 1 : 0;
    }
    return mask;
  }

  indexOn({ axes }, u, v, slice) {
    return u * this.mask.steps[axes.u] + v * this.mask.steps[axes.v] + slice * this.mask.steps[axes.w];
  }

  /** Shows what came first instead of what is drawn, while it is on. */
  async compare(on = !this.scene.comparing) {
    if (!this.mask) return;
    try {
      if (this.name && this.aided) this.network ??= await this.api.bytes("labels", this.voxels);
      this.scene.original = this.network ?? this.mask.base;
      this.scene.comparing = on;
      this.scene.relabelled();
    } catch (error) {
      this.stage.failed(error);
    }
  }

  async save() {
    if (!this.on || !this.dirty || this.saving) return;
    this.saving = true;
    const { revision } = this.mask;
    this.scene.changed("controls");
    try {
      const saved = await this.api.saveMask(this.mask.labels, this.scene.view.result_sha256);
      this.name = saved.mask;
      this.savedRevision = revision;
      this.stage.events.saved({ mask: saved.mask, sha256: saved.sha256, changed_voxels: saved.changed_voxels });
    } catch (error) {
      this.stage.failed(error);
    }
    this.saving = false;
    this.scene.changed("controls");
  }

  /** What keys do, by the name of the action. */
  actions(by) {
    return {
      edit: () => this.turn(),
      undo: () => this.undo(),
      redo: () => this.redo(),
      save: () => this.save(),
      interpolate: () => this.interpolate(),
      compare: () => this.compare(),
      radius: () => this.#resize(by),
    };
  }

  #resize(by) {
    const radius = Math.min(MOST_RADIUS[this.scene.unit], Math.max(LEAST_RADIUS, this.scene.brush.radius * by));
    this.scene.set("brush", { ...this.scene.brush, radius }, "marks");
  }

  update() {
    this.controls.update();
  }
}

/** Draws or erases along the way of the pointer, as wide as the circle. */
class BrushTool {
  constructor(editing, erases) {
    this.editing = editing;
    this.erases = erases;
    this.last = null;
  }

  down(plane, place) {
    if (!this.editing.mask || this.editing.scene.comparing) return;
    this.editing.mask.begin();
    this.last = place;
    this.slice = plane.slice;
    this.move(plane, place);
  }

  move(plane, place) {
    if (!this.last) return;
    const { editing } = this;
    const { brush } = editing.scene;
    const label = this.erases ? 0 : brush.label;
    const size = [plane.columns, plane.rows];
    sweep(this.last, place, brush.radius, plane.steps, size, (u, v) => editing.mask.write(editing.indexOn(plane, u, v, this.slice), label));
    this.last = place;
    editing.scene.relabelled();
  }

  up(plane) {
    if (!this.last) return;
    this.last = null;
    this.editing.mask.end({ ...this.editing.drawnOn(plane), slice: this.slice });
    this.editing.scene.relabelled();
  }
}

/** Fills what hangs together around a voxel of the slice and is about as bright, or within the window. */
class FillTool {
  constructor(editing) {
    this.editing = editing;
  }

  down(plane, place) {
    const { editing } = this;
    const { scene } = editing;
    const start = place.map(Math.round);
    if (!editing.mask || scene.comparing || !plane.holds(place)) return;
    const value = (u, v) => brightness(scene.volume, editing.indexOn(plane, u, v, plane.slice));
    const [low, high] = limits(scene, value(...start));
    const holds = (u, v) => value(u, v) >= low && value(u, v) <= high;
    editing.stroke(plane, () =>
      flood(start, [plane.columns, plane.rows], holds, (u, v) => editing.mask.write(editing.indexOn(plane, u, v, plane.slice), scene.brush.label)),
    );
  }

  move() {}

  up() {}
}

/** The value of a voxel; of a colour the mean of its parts. */
function brightness(volume, index) {
  if (volume.channels === 1) return volume.value(index);
  return (volume.data[3 * index] + volume.data[3 * index + 1] + volume.data[3 * index + 2]) / 3;
}

function limits({ brush, window, view }, value) {
  if (brush.inWindow && view.kind !== "colour") return [window.centre - window.width / 2, window.centre + window.width / 2];
  return [value - brush.range, value + brush.range];
}
