/** The pixels of the image in one array, and which of its slices have come. */

import { Refusal } from "./api.js";

const ARRAYS = { int16: Int16Array, uint16: Uint16Array, uint8: Uint8Array };
const CHUNK_BYTES = 4 << 20;
/** Chunks on their way at the same time. */
const STREAMS = 3;

export class Volume {
  /** @param {Object} view its `shape`, `dtype` and `kind` */
  constructor(view) {
    const [columns, rows, slices] = view.shape;
    this.view = view;
    this.channels = view.kind === "colour" ? 3 : 1;
    this.data = new ARRAYS[view.dtype](columns * rows * slices * this.channels);
    this.sliceBytes = columns * rows * this.channels * this.data.BYTES_PER_ELEMENT;
    this.loaded = new Uint8Array(slices);
    this.version = 0;
  }

  /** Part of the slices that are there. */
  get progress() {
    return this.loaded.reduce((sum, slice) => sum + slice, 0) / this.loaded.length;
  }

  has(slice) {
    return this.loaded[slice] === 1;
  }

  /** Value at a flat index, in the unit of the view. */
  value(index) {
    return this.data[index] * this.view.slope + this.view.intercept;
  }

  /**
   * Fetches what is missing: the slab around `first` before the rest, then outwards.
   * @param {Api} api
   * @param {number} first slice
   * @param {(from: number, to: number) => void} arrived called with slices [from, to) that have come
   * @param {AbortSignal} signal
   */
  async load(api, first, arrived, signal) {
    const waiting = chunks(this.loaded.length, this.sliceBytes, first).filter(([from]) => !this.has(from));
    const take = async (most = Infinity) => {
      for (let taken = 0; taken < most && waiting.length; taken++) {
        const chunk = waiting.shift();
        if (!this.has(chunk[0])) await this.#fetch(api, chunk, arrived, signal);
      }
    };
    // Nothing competes with what the reader looks at first.
    await take(1);
    await Promise.all(Array.from({ length: STREAMS }, () => take()));
  }

  async #fetch(api, [from, to], arrived, signal) {
    const start = from * this.sliceBytes;
    const end = to * this.sliceBytes;
    const answer = await api.request("image", { headers: { Range: `bytes=${start}-${end - 1}` }, signal });
    const bytes = new Uint8Array(await answer.arrayBuffer());
    // A server without ranges sends everything.
    const whole = answer.status === 200;
    const expected = whole ? this.data.byteLength : end - start;
    if (bytes.length !== expected) throw new Refusal("The image came incomplete. Open the case again.", 0);
    new Uint8Array(this.data.buffer).set(bytes, whole ? 0 : start);
    this.loaded.fill(1, whole ? 0 : from, whole ? this.loaded.length : to);
    this.version++;
    arrived(whole ? 0 : from, whole ? this.loaded.length : to);
  }
}

/** Slabs [from, to) of some megabytes, the one around `first` before its neighbours. */
function chunks(slices, sliceBytes, first) {
  const depth = Math.max(1, Math.floor(CHUNK_BYTES / sliceBytes));
  const start = Math.min(Math.max(0, first - (depth >> 1)), slices - 1);
  const slabs = [];
  for (let from = start; from < slices; from += depth) slabs.push([from, Math.min(slices, from + depth)]);
  for (let to = start; to > 0; to -= depth) slabs.push([Math.max(0, to - depth), to]);
  return slabs.sort((a, b) => Math.abs(a[0] - start) - Math.abs(b[0] - start));
}
