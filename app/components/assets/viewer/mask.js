/** The label map that is edited: every change goes through `write`, and every stroke can be undone. */

import { difference, History } from "./history.js";

export class Mask {
  /**
   * @param {Uint8Array} labels as they came; they are edited in place, and copied before the first stroke
   * @param {number[]} shape columns, rows, slices
   */
  constructor(labels, shape) {
    this.base = labels;
    this.labels = labels;
    this.shape = shape;
    this.steps = [1, shape[0], shape[0] * shape[1]];
    this.history = new History();
    this.changedVoxels = 0;
    /** Grows with every stroke, undo and redo. */
    this.revision = 0;
    this.kept = null;
  }

  index([i, j, k]) {
    return i + j * this.steps[1] + k * this.steps[2];
  }

  /** Begins a stroke. Rows are kept as they were when they are first written to. */
  begin() {
    if (this.base === this.labels) this.base = this.labels.slice();
    this.kept = new Map();
  }

  write(index, label) {
    const was = this.labels[index];
    if (was === label) return;
    const row = index - (index % this.shape[0]);
    if (this.kept && !this.kept.has(row)) this.kept.set(row, this.labels.slice(row, row + this.shape[0]));
    this.labels[index] = label;
    this.changedVoxels += (label !== this.base[index]) - (was !== this.base[index]);
  }

  /** Ends the stroke; whether it changed anything. */
  end(stroke) {
    const change = difference(this.labels, this.kept, stroke);
    this.kept = null;
    if (change) this.history.push(change);
    this.revision += change ? 1 : 0;
    return change !== null;
  }

  undo() {
    this.revision++;
    return this.history.undo((index, label) => this.write(index, label));
  }

  redo() {
    this.revision++;
    return this.history.redo((index, label) => this.write(index, label));
  }

  /** Everything as it came: a stroke like others, so that it can be undone. */
  discard() {
    this.begin();
    for (let index = 0; index < this.labels.length; index++) this.write(index, this.base[index]);
    return this.end({});
  }
}
