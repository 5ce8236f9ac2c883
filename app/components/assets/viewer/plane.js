/** One plane on the screen: two canvases, the lower for pixels and the upper for lines, and letters at the edges. */

import { css } from "./colours.js";
import { element } from "./dom.js";
import { edges, layout, roundLength } from "./geometry.js";
import { drawMarks } from "./marks.js";
import { fillBytes, fillImage, gather, outlines } from "./painter.js";

const KEPT_TIMES = 600;
const MOST_ZOOM = 64;
const LEAST_ZOOM = 0.25;

export class Plane {
  constructor(scene, axes) {
    this.scene = scene;
    this.axes = axes;
    this.columns = scene.shape[axes.u];
    this.rows = scene.shape[axes.v];
    this.pixels = element("canvas", { class: "pixels" });
    this.marks = element("canvas", { class: "marks" });
    this.text = Object.fromEntries(
      ["left", "right", "top", "bottom", "slice", "where", "scale"].map((name) => [name, element("span", { class: `at-${name}` })]),
    );
    this.root = element("div", { class: "plane", tabindex: "0", "data-plane": axes.name }, this.pixels, this.marks, ...Object.values(this.text));
    if (scene.view.kind === "volume") {
      this.root.setAttribute("role", "slider");
      this.root.setAttribute("aria-label", `${axes.title} slice`);
      this.root.setAttribute("aria-valuemin", "1");
      this.root.setAttribute("aria-valuemax", String(scene.shape[axes.w]));
    } else {
      this.root.setAttribute("role", "application");
      this.root.setAttribute("aria-label", "Image");
    }
    this.letters = edges(scene.view.directions, axes);
    for (const edge of ["left", "right", "top", "bottom"]) this.text[edge].textContent = this.letters?.[edge] ?? "";
    this.layers = Object.fromEntries(["image", "labels", "heat"].map((name) => [name, new Layer(this.columns, this.rows)]));
    this.gathered = new Uint8Array(this.columns * this.rows);
    this.paths = new Map();
    this.drawn = "";
    this.times = [];
    this.hover = null;
    this.reset();
  }

  reset() {
    this.zoom = 1;
    const [across, down] = this.steps;
    this.centre = [(this.columns * across) / 2, (this.rows * down) / 2];
  }

  /** Millimetres (or pixels) between columns and between rows. */
  get steps() {
    return [this.scene.spacing[this.axes.u], this.scene.spacing[this.axes.v]];
  }

  get slice() {
    return this.scene.cross[this.axes.w];
  }

  /** Pixels of the screen per millimetre. */
  get scale() {
    const [across, down] = this.steps;
    return this.zoom * Math.min(this.width / (this.columns * across), this.height / (this.rows * down));
  }

  /** Point on the screen of the place (u, v), where whole numbers are centres of voxels. */
  toScreen(u, v) {
    const [across, down] = this.steps;
    const row = this.axes.flip ? this.rows - 1 - v : v;
    return [
      this.width / 2 + ((u + 0.5) * across - this.centre[0]) * this.scale,
      this.height / 2 + ((row + 0.5) * down - this.centre[1]) * this.scale,
    ];
  }

  /** The place (u, v) of a point on the screen. */
  fromScreen(x, y) {
    const [across, down] = this.steps;
    const u = ((x - this.width / 2) / this.scale + this.centre[0]) / across - 0.5;
    const row = ((y - this.height / 2) / this.scale + this.centre[1]) / down - 0.5;
    return [u, this.axes.flip ? this.rows - 1 - row : row];
  }

  /** The voxel of a place (u, v) in this slice. */
  voxel([u, v]) {
    const voxel = [0, 0, 0];
    voxel[this.axes.u] = Math.round(u);
    voxel[this.axes.v] = Math.round(v);
    voxel[this.axes.w] = this.slice;
    return voxel;
  }

  holds([u, v]) {
    return u >= -0.5 && v >= -0.5 && u < this.columns - 0.5 && v < this.rows - 0.5;
  }

  /** Zooms so that what lies under a point stays there. */
  zoomAt(factor, x = this.width / 2, y = this.height / 2) {
    const before = this.scale;
    this.zoom = Math.min(MOST_ZOOM, Math.max(LEAST_ZOOM, this.zoom * factor));
    const shift = 1 / before - 1 / this.scale;
    this.centre = [this.centre[0] + (x - this.width / 2) * shift, this.centre[1] + (y - this.height / 2) * shift];
  }

  panBy(dx, dy) {
    this.centre = [this.centre[0] - dx / this.scale, this.centre[1] - dy / this.scale];
  }

  /** Brings a voxel into view, in the middle where it was outside. */
  reveal(voxel) {
    const [x, y] = this.toScreen(voxel[this.axes.u], voxel[this.axes.v]);
    if (this.zoom > 1 || x < 0 || y < 0 || x > this.width || y > this.height) this.panBy(this.width / 2 - x, this.height / 2 - y);
  }

  fit() {
    const { clientWidth, clientHeight } = this.root;
    const ratio = window.devicePixelRatio || 1;
    this.width = clientWidth;
    this.height = clientHeight;
    for (const canvas of [this.pixels, this.marks]) {
      canvas.width = Math.round(clientWidth * ratio);
      canvas.height = Math.round(clientHeight * ratio);
    }
    this.drawn = "";
  }

  get visible() {
    return this.width > 0 && this.height > 0;
  }

  /** Draws what changed since the last time. */
  draw() {
    if (!this.visible) return;
    const begun = performance.now();
    const { scene } = this;
    const place = layout(scene.shape, this.axes, this.slice);
    const labels = scene.drawnLabels;
    this.layers.image.update(`${this.slice}:${scene.volume.version}:${scene.windowVersion}`, (pixels) =>
      fillImage(pixels, scene.volume, place, scene.windowTable),
    );
    if (labels) {
      this.layers.labels.update(`${this.slice}:${scene.labelsVersion}`, (pixels) => {
        gather(labels, place, this.gathered);
        for (let at = 0; at < pixels.length; at++) pixels[at] = scene.labelTable[this.gathered[at]];
        this.paths = outlines(this.gathered, this.columns, this.rows);
      });
    }
    if (scene.heat) {
      this.layers.heat.update(`${this.slice}:${scene.heatVersion}`, (pixels) =>
        fillBytes(pixels, scene.heat.bytes, place, scene.heatTable),
      );
    }
    const state = [
      this.layers.image.key, labels && this.layers.labels.key, scene.heat && this.layers.heat.key,
      scene.shownFill, scene.heatOpacity, scene.smooth, this.zoom, ...this.centre,
    ].join("|");
    if (state !== this.drawn) {
      this.#compose(labels);
      this.drawn = state;
      this.times.push(performance.now() - begun);
      if (this.times.length > KEPT_TIMES) this.times.shift();
    }
    drawMarks(this);
    this.#tell();
  }

  #compose(labels) {
    const { scene } = this;
    const context = this.pixels.getContext("2d");
    const ratio = this.pixels.width / this.width;
    const [across, down] = this.steps;
    const [left, top] = this.#corner();
    const box = [left, top, this.columns * across * this.scale, this.rows * down * this.scale];
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.globalAlpha = 1;
    context.clearRect(0, 0, this.width, this.height);
    context.imageSmoothingEnabled = scene.smooth;
    context.drawImage(this.layers.image.canvas, ...box);
    if (scene.heat) {
      context.globalAlpha = scene.heatOpacity;
      context.drawImage(this.layers.heat.canvas, ...box);
    }
    if (!labels) return;
    context.imageSmoothingEnabled = false;
    context.globalAlpha = scene.shownFill;
    context.drawImage(this.layers.labels.canvas, ...box);
    context.globalAlpha = 1;
    this.#stroke(context, new DOMMatrix([across * this.scale, 0, 0, down * this.scale, left, top]));
  }

  #stroke(context, matrix) {
    context.lineWidth = 1.5;
    for (const { index, colour } of this.scene.view.labels) {
      const path = this.paths.get(index);
      if (!path || this.scene.hidden.has(index)) continue;
      const placed = new Path2D();
      placed.addPath(path, matrix);
      context.strokeStyle = css(colour);
      context.stroke(placed);
    }
  }

  /** Where the top left corner of the image is on the screen. */
  #corner() {
    return [this.width / 2 - this.centre[0] * this.scale, this.height / 2 - this.centre[1] * this.scale];
  }

  #tell() {
    const { scene, axes, text } = this;
    const slices = scene.shape[axes.w];
    if (scene.view.kind === "volume") {
      text.slice.textContent = `${axes.title}  ${this.slice + 1} / ${slices}`;
      this.root.setAttribute("aria-valuenow", String(this.slice + 1));
      this.root.setAttribute("aria-valuetext", `slice ${this.slice + 1} of ${slices}`);
    }
    const length = roundLength(Math.min(this.width * 0.3, 160) / this.scale);
    text.scale.style.width = `${length * this.scale}px`;
    text.scale.textContent = `${length} ${scene.unit}`;
    this.root.classList.toggle("active", scene.active === axes.name && scene.planes.length > 1);
  }
}

/** Pixels at the resolution of the voxels, filled again when their key changes. */
class Layer {
  constructor(columns, rows) {
    this.canvas = new OffscreenCanvas(columns, rows);
    this.context = this.canvas.getContext("2d");
    this.data = new ImageData(columns, rows);
    this.pixels = new Uint32Array(this.data.data.buffer);
    this.key = "";
  }

  update(key, fill) {
    if (key === this.key) return;
    fill(this.pixels);
    this.context.putImageData(this.data, 0, 0);
    this.key = key;
  }
}
