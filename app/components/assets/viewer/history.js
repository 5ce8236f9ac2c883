/** Undo and redo by the runs of voxels that changed: exact, and small beside the volume. */

const MOST_BYTES = 64 << 20;

/** @typedef {{starts: Int32Array, ends: Int32Array, before: Uint8Array, after: Uint8Array, stroke: Object}} Change */

/**
 * What is different between two states of the same voxels.
 * @param {Uint8Array} labels as they are now
 * @param {Map<number, Uint8Array>} kept by the flat index of its first voxel, a row as it was
 * @param {Object} stroke anything to be remembered with it
 * @returns {Change|null} null where nothing changed
 */
export function difference(labels, kept, stroke) {
  const starts = [];
  const ends = [];
  const before = [];
  const after = [];
  for (const [first, row] of kept) {
    for (let at = 0, open = false; at < row.length; at++) {
      const changed = row[at] !== labels[first + at];
      if (changed) {
        if (!open) starts.push(first + at);
        before.push(row[at]);
        after.push(labels[first + at]);
      }
      if (open && !changed) ends.push(first + at);
      if (changed && at === row.length - 1) ends.push(first + at + 1);
      open = changed;
    }
  }
  if (!starts.length) return null;
  return { starts: Int32Array.from(starts), ends: Int32Array.from(ends), before: Uint8Array.from(before), after: Uint8Array.from(after), stroke };
}

export class History {
  /** @param {number} mostBytes the oldest strokes are forgotten beyond this */
  constructor(mostBytes = MOST_BYTES) {
    this.mostBytes = mostBytes;
    this.clear();
  }

  clear() {
    this.done = [];
    this.undone = [];
    this.bytes = 0;
  }

  push(change) {
    for (const forgotten of this.undone) this.bytes -= size(forgotten);
    this.undone = [];
    this.done.push(change);
    this.bytes += size(change);
    while (this.bytes > this.mostBytes && this.done.length > 1) this.bytes -= size(this.done.shift());
  }

  /** @returns {Change|undefined} what was undone */
  undo(write) {
    const change = this.done.pop();
    if (!change) return undefined;
    each(change, change.before, write);
    this.undone.push(change);
    return change;
  }

  /** @returns {Change|undefined} what was done again */
  redo(write) {
    const change = this.undone.pop();
    if (!change) return undefined;
    each(change, change.after, write);
    this.done.push(change);
    return change;
  }
}

function each({ starts, ends }, values, write) {
  let next = 0;
  for (let run = 0; run < starts.length; run++) {
    for (let index = starts[run]; index < ends[run]; index++) write(index, values[next++]);
  }
}

function size({ starts, before }) {
  return 8 * starts.length + 2 * before.length;
}
