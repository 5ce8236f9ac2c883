/** What is shown and how: the one state that planes draw from and controls change. */

import { fillWindow, heatTable, labelTable } from "./colours.js";
import { PLANES } from "./geometry.js";
import { Volume } from "./volume.js";

/** Of the brush, and of the unit that lengths are in. */
export const LEAST_RADIUS = 0.25;
export const MOST_RADIUS = { mm: 40, px: 200 };

/** @typedef {"image"|"labels"|"heat"|"marks"|"controls"|"layout"} Part what changed */

export class Scene {
  #listeners = new Set();

  constructor(view, aided) {
    this.view = view;
    this.aided = aided;
    this.shape = view.shape;
    this.spacing = view.spacing_mm ?? [1, 1, 1];
    this.unit = view.spacing_mm ? "mm" : "px";
    this.planes = view.kind === "volume" ? [PLANES.axial, PLANES.coronal, PLANES.sagittal] : [PLANES.axial];
    this.layout = view.kind === "volume" ? "three" : "axial";
    this.active = "axial";
    this.volume = new Volume(view);
    this.places = aided ? view.places.filter((place) => place.at) : [];
    this.focused = null;
    this.cross = this.#start();
    this.windowTable = new Uint32Array(65536);
    this.windows = view.windows.length ? view.windows : [{ name: "All values", ...fullRange(view) }];
    this.windowVersion = 0;
    this.smooth = true;
    /** A flat image has no other planes to link: its crosshair appears when keys move it. */
    this.crossShown = view.kind === "volume";
    this.showWindow(this.windows[0]);
    /** What is drawn: the labels, or the original ones while they are compared. */
    this.labels = null;
    this.original = null;
    this.comparing = false;
    this.labelsShown = true;
    this.hidden = new Set();
    this.fill = 0.35;
    this.labelsVersion = 0;
    this.colourLabels();
    /** @type {{layer: Object, bytes: Uint8Array}|null} */
    this.heat = null;
    this.heatTable = heatTable(true);
    this.heatOpacity = 0.5;
    this.heatVersion = 0;
    this.tool = "crosshair";
    this.measurements = [];
    this.selected = null;
    this.brush = { radius: 5, label: view.labels.find((label) => label.index > 0)?.index ?? 1, range: 25, inWindow: false };
  }

  listen(listener) {
    this.#listeners.add(listener);
  }

  /** @param {...Part} parts */
  changed(...parts) {
    for (const listener of this.#listeners) listener(new Set(parts));
  }

  /** The middle of the first positive finding, or of the image. */
  #start() {
    const place = this.places.find((one) => one.positive) ?? this.places[0];
    return place ? this.inside(place.at) : this.shape.map((size) => size >> 1);
  }

  /** The nearest voxel of the image. */
  inside(voxel) {
    return this.shape.map((size, axis) => Math.min(size - 1, Math.max(0, Math.round(voxel[axis] ?? 0))));
  }

  moveTo(voxel) {
    const next = this.inside(voxel);
    if (next.every((index, axis) => index === this.cross[axis])) return;
    this.cross = next;
    this.changed("image", "controls");
  }

  /** A slice further along the normal of a plane. */
  scroll(axes, step) {
    this.moveTo(this.cross.map((index, axis) => (axis === axes.w ? index + step : index)));
  }

  showWindow({ centre, width }) {
    this.window = { centre, width: Math.max(width, 1e-6) };
    if (this.view.kind !== "colour") fillWindow(this.view, this.window, this.windowTable);
    this.windowVersion++;
    this.changed("image", "controls");
  }

  /** What is drawn of the segmentation; null where there is none, or it is not shown. */
  get drawnLabels() {
    if (!this.labelsShown) return null;
    return this.comparing ? this.original : this.labels;
  }

  /** Opacity of the labels' areas. Under an explanation only their outlines are drawn: two colours over each other say nothing. */
  get shownFill() {
    return this.heat ? 0 : this.fill;
  }

  colourLabels() {
    this.labelTable = labelTable(this.view.labels, this.hidden);
    this.relabelled();
  }

  /** The labels' voxels changed, or which of them are shown. */
  relabelled() {
    this.labelsVersion++;
    this.changed("labels", "controls");
  }

  showHeat(heat) {
    this.heat = heat;
    if (heat) this.heatTable = heatTable(heat.layer.verdict !== "not_faithful");
    this.heatVersion++;
    this.changed("heat", "controls");
  }

  /** Sets one of the plain settings. */
  set(name, value, ...parts) {
    this[name] = value;
    this.changed(...parts, "controls");
  }

  indexOf([i, j, k]) {
    return i + this.shape[0] * (j + this.shape[1] * k);
  }

  /** What is known about a voxel, for the readout. */
  read(voxel) {
    const index = this.indexOf(voxel);
    const colour = this.view.kind === "colour";
    const label = this.drawnLabels ? this.drawnLabels[index] : 0;
    return {
      voxel,
      value: this.volume.has(voxel[2]) && !colour ? this.volume.value(index) : null,
      colour: this.volume.has(voxel[2]) && colour ? [0, 1, 2].map((part) => this.volume.data[3 * index + part]) : null,
      label: this.view.labels.find((one) => one.index === label && label > 0)?.name ?? "",
      heat: this.heat ? (this.heat.bytes[index] / 255) * this.heat.layer.maximum : null,
    };
  }
}

/** A window over everything that the type can hold. */
function fullRange({ dtype, slope, intercept }) {
  const [low, high] = { int16: [-32768, 32767], uint16: [0, 65535], uint8: [0, 255] }[dtype];
  const ends = [low * slope + intercept, high * slope + intercept];
  return { centre: (ends[0] + ends[1]) / 2, width: Math.abs(ends[1] - ends[0]) };
}
