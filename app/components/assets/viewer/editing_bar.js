/** The controls for drawing, shown while editing is on. */

import { button, chooser, element, slider, tick } from "./dom.js";
import { LEAST_RADIUS, MOST_RADIUS } from "./scene.js";
import { group, press } from "./toolbar.js";

const ICONS = {
  edit: "M3 17l1-4L14 3l3 3L7 16zM12 5l3 3",
  brush: "M17 3 9 11M9 11c-3-1-5 1-5 3 0 1.500-1 2-2 2 2 2 8 2 8-2 0-1-.500-2-1-3z",
  erase: "M8 16 3 11l8-8 6 6-7 7zM7 7l6 6M8 16h9",
  fill: "M4 10l6-6 6 6-6 6zM4 10h12M17 13c2 3-2 3 0 0z",
  undo: "M7 5 3 9l4 4M3 9h8a5 5 0 0 1 0 9H8",
  redo: "M13 5l4 4-4 4M17 9H9a5 5 0 0 0 0 9h3",
};
const TOOLS = [
  ["brush", "Brush", "Brush (B)"],
  ["erase", "Eraser", "Eraser (Z)"],
  ["fill", "Fill", "Threshold fill (F)"],
];

export class EditingBar {
  constructor(editing) {
    this.editing = editing;
    this.scene = editing.scene;
    this.toggle = editing.allowed
      ? button({ label: "Edit the segmentation (E)", path: ICONS.edit, text: "Edit", press: () => editing.turn(), pressed: false })
      : null;
    this.root = element("div", { class: "toolbar editing", role: "toolbar", hidden: true, aria: { label: "Editing" } });
    if (editing.allowed) this.root.append(this.#tools(), this.#settings(), this.#strokes(), this.#keeping());
  }

  #tools() {
    this.tools = new Map(
      TOOLS.map(([name, text, label]) => [
        name,
        button({ label, text, path: ICONS[name], press: () => this.editing.stage.use(name), pressed: false, extra: "tool" }),
      ]),
    );
    return group("Drawing tools", ...this.tools.values());
  }

  #settings() {
    const { scene } = this;
    const set = (part, ...changed) => scene.set("brush", { ...scene.brush, ...part }, ...changed);
    const labels = scene.view.labels.filter((label) => label.index > 0);
    const options = labels.map((label) => [String(label.index), label.name]);
    const label = chooser({ label: "Label to draw with", name: "Label", options, value: String(scene.brush.label), change: (index) => set({ label: Number(index) }) });
    const radius = slider({ label: `Radius of the brush, ${scene.unit}`, name: "Radius", min: LEAST_RADIUS, max: MOST_RADIUS[scene.unit], step: 0.25, value: scene.brush.radius, change: (size) => set({ radius: size }, "marks") });
    this.radius = radius.querySelector("input");
    this.radiusText = element("span", { class: "figure" });
    const range = element("input", { type: "number", min: 0, step: "any", value: scene.brush.range, aria: { label: "Fill values within this range of the clicked one" } });
    range.addEventListener("change", () => set({ range: Math.max(0, Number(range.value) || 0) }));
    const inWindow = tick({ label: "Fill all values inside the window", name: "In window", checked: false, change: (on) => set({ inWindow: on }) });
    const fill = element("label", { class: "number" }, element("span", { text: "Fill ±" }), range);
    return group("Settings", label, radius, this.radiusText, fill, scene.view.kind === "colour" ? null : inWindow);
  }

  #strokes() {
    const { editing } = this;
    this.undo = button({ label: "Undo (Ctrl + Z)", path: ICONS.undo, press: () => editing.undo() });
    this.redo = button({ label: "Redo (Ctrl + Y)", path: ICONS.redo, press: () => editing.redo() });
    this.interpolate = button({ label: "Interpolate between two drawn slices (K)", text: "Interpolate", press: () => editing.interpolate() });
    const compare = tick({ label: "Show the original (O)", name: "Original", checked: false, change: (on) => editing.compare(on) });
    this.compare = compare.querySelector("input");
    return group("Strokes", this.undo, this.redo, this.scene.view.kind === "volume" ? this.interpolate : null, compare);
  }

  #keeping() {
    const { editing } = this;
    this.count = element("span", { class: "figure", role: "status" });
    this.save = button({ label: "Save the edited segmentation (Ctrl + S)", text: "Save", extra: "primary", press: () => editing.save() });
    this.discard = button({ label: "Discard all changes", text: "Discard", press: () => editing.discard() });
    return group("Keep", this.count, this.save, this.discard);
  }

  update() {
    if (!this.editing.allowed) return;
    const { editing, scene } = this;
    press(this.toggle, editing.on);
    this.root.hidden = !editing.on;
    for (const [name, one] of this.tools) press(one, scene.tool === name);
    this.radius.value = scene.brush.radius;
    this.radiusText.textContent = `${scene.brush.radius.toFixed(1)} ${scene.unit}`;
    const { mask } = editing;
    this.undo.disabled = !mask?.history.done.length;
    this.redo.disabled = !mask?.history.undone.length;
    const pair = editing.drawnPair;
    this.interpolate.disabled = !pair || pair[1] - pair[0] < 2;
    this.compare.checked = scene.comparing;
    const changed = mask?.changedVoxels ?? 0;
    const note = editing.savedRevision && !editing.dirty ? ", saved" : "";
    this.count.textContent = `${changed.toLocaleString("en-GB")} ${changed === 1 ? "voxel" : "voxels"} changed${note}`;
    this.save.disabled = editing.saving || !editing.dirty;
    this.save.lastChild.textContent = editing.saving ? "Saving" : "Save";
    this.discard.disabled = changed === 0;
  }
}
