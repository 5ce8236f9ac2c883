/** Controls above the planes. They are made once and told what to show when the scene changes. */

import { css, heatColour } from "./colours.js";
import { button, chooser, element, slider, tick } from "./dom.js";
import { remove } from "./tools.js";

const ICONS = {
  crosshair: "M10 2v6M10 12v6M2 10h6M12 10h6",
  distance: "M3 17 17 3M3 13v4h4M13 3h4v4",
  diameter: "M3 17 17 3M8 8l4 4M2 14l4 4M14 2l4 4M6.500 9.500l3-3M10.500 13.500l3-3",
  reset: "M4 10a6 6 0 1 1 2 4.5M4 17v-3.5h3.5",
};
const TOOLS = [
  ["crosshair", "Crosshair", "Crosshair (X)"],
  ["distance", "Distance", "Measure a distance (D)"],
  ["diameter", "Diameters", "Measure two diameters (W)"],
];
const LAYOUTS = [
  ["three", "Three planes"],
  ["axial", "Axial"],
  ["coronal", "Coronal"],
  ["sagittal", "Sagittal"],
  ["space", "3D"],
];

export class Toolbar {
  constructor(stage) {
    this.stage = stage;
    this.scene = stage.scene;
    const { view, aided } = this.scene;
    this.heats = aided ? view.heats.filter((heat) => heat.maps) : [];
    this.root = element("div", { class: "toolbars" });
    this.main = element("div", { class: "toolbar", role: "toolbar", aria: { label: "Image" } }, this.#layouts(), this.#tools(), this.#windows());
    this.layers = element("div", { class: "toolbar", role: "toolbar", aria: { label: "Layers" } }, this.#labels(), this.#heat());
    this.root.append(this.main, ...(this.layers.childElementCount ? [this.layers] : []), stage.editing.bar);
    this.update();
  }

  #layouts() {
    if (this.scene.view.kind !== "volume") return null;
    this.layoutButtons = new Map(
      LAYOUTS.map(([name, text]) => [name, button({ label: text, text, press: () => this.stage.arrange(name), pressed: false })]),
    );
    return group("Layout", ...this.layoutButtons.values());
  }

  #tools() {
    this.toolButtons = new Map(
      TOOLS.map(([name, text, label]) => [
        name,
        button({ label, text, path: ICONS[name], press: () => this.stage.use(name), pressed: false, extra: "tool" }),
      ]),
    );
    this.removeButton = button({ label: "Remove a measurement (Delete)", text: "Remove", press: () => remove(this.scene) });
    const edit = this.stage.editing.button;
    return group("Tools", ...this.toolButtons.values(), this.removeButton, edit);
  }

  #windows() {
    const { scene, stage } = this;
    const reset = button({ label: "Reset zoom, position and window (0)", path: ICONS.reset, press: () => stage.reset() });
    const smooth = tick({ label: "Smooth the image (I)", name: "Smooth", checked: true, change: (on) => scene.set("smooth", on, "image") });
    this.smooth = smooth.querySelector("input");
    if (scene.view.kind === "colour") return group("View", smooth, reset);
    const options = [...scene.windows.map(({ name }, index) => [String(index), name]), ["-1", "Own"]];
    const windows = chooser({ label: "Window", options, value: "0", change: (index) => scene.windows[index] && scene.showWindow(scene.windows[index]) });
    this.window = windows.querySelector("select");
    this.windowText = element("span", { class: "figure" });
    return group("Window", windows, this.windowText, smooth, reset);
  }

  #labels() {
    const { scene } = this;
    const labels = scene.view.labels.filter((label) => label.index > 0);
    if (!labels.length || (!scene.aided && !this.stage.editing.allowed)) return null;
    const shown = tick({ label: "Show the segmentation (S)", name: "Segmentation", checked: true, change: (on) => scene.set("labelsShown", on, "labels") });
    this.shown = shown.querySelector("input");
    const swatches = labels.map((label) => this.#swatch(label));
    const fill = slider({ label: "Opacity of the segmentation", name: "Fill", value: 100 * scene.fill, change: (part) => scene.set("fill", part / 100, "labels") });
    this.fill = fill.querySelector("input");
    return group("Segmentation", shown, ...swatches, fill);
  }

  #swatch({ index, name, colour }) {
    const { scene } = this;
    const change = (on) => {
      if (on) scene.hidden.delete(index);
      else scene.hidden.add(index);
      scene.colourLabels();
    };
    const box = tick({ label: `Show ${name}`, name, checked: true, change });
    const patch = element("i", { class: "swatch" });
    patch.style.background = css(colour);
    box.insertBefore(patch, box.lastChild);
    return box;
  }

  #heat() {
    if (!this.heats.length) return null;
    const { scene, stage } = this;
    const options = [["", "None"], ...this.heats.map((heat) => [String(heat.number), heatName(heat)])];
    const choice = chooser({ label: "Explanation map (H)", name: "Explanation", options, value: "", change: (number) => stage.showHeat(number === "" ? -1 : Number(number)) });
    this.heat = choice.querySelector("select");
    const opacity = slider({ label: "Opacity of the explanation", name: "Opacity", value: 100 * scene.heatOpacity, change: (part) => scene.set("heatOpacity", part / 100, "heat") });
    this.scale = element("canvas", { class: "colours", width: 96, height: 10, role: "img" });
    this.highest = element("span", { class: "figure" });
    this.legend = element("span", { class: "legend" }, element("span", { class: "figure", text: "0" }), this.scale, this.highest);
    this.why = element("span", { class: "why" });
    return group("Explanation", choice, opacity, this.legend, this.why);
  }

  /** Tells the controls what is so. */
  update() {
    const { scene } = this;
    for (const [name, one] of this.layoutButtons ?? []) press(one, scene.layout === name);
    for (const [name, one] of this.toolButtons) press(one, scene.tool === name);
    this.removeButton.disabled = scene.measurements.length === 0;
    this.smooth.checked = scene.smooth;
    if (this.window) this.#tellWindow();
    if (this.shown) {
      this.shown.checked = scene.labelsShown;
      this.fill.disabled = scene.heat !== null;
    }
    if (this.heat) this.#tellHeat();
    this.stage.editing.update();
  }

  #tellWindow() {
    const { centre, width } = this.scene.window;
    const index = this.scene.windows.findIndex((one) => one.centre === centre && one.width === width);
    this.window.value = String(index);
    const unit = this.scene.view.unit ? ` ${this.scene.view.unit}` : "";
    this.windowText.textContent = `C ${figure(centre)}  W ${figure(width)}${unit}`;
  }

  #tellHeat() {
    const layer = this.scene.heat?.layer;
    this.heat.value = layer ? String(layer.number) : "";
    this.legend.hidden = !layer;
    this.why.textContent = layer ? whyNot(layer) : "";
    if (!layer) return;
    this.highest.textContent = Number(layer.maximum.toPrecision(2)).toString();
    this.scale.setAttribute("aria-label", `Colours from 0 to ${this.highest.textContent}`);
    const context = this.scale.getContext("2d");
    for (let x = 0; x < this.scale.width; x++) {
      context.fillStyle = css(heatColour(x / (this.scale.width - 1), layer.verdict !== "not_faithful"));
      context.fillRect(x, 0, 1, this.scale.height);
    }
  }
}

export function group(label, ...children) {
  return element("div", { class: "group", role: "group", aria: { label } }, ...children);
}

export function press(one, pressed) {
  one.setAttribute("aria-pressed", String(pressed));
}

/** What a map explains and how it was made; a map that failed says so in the list already. */
function heatName({ label, method, about, verdict }) {
  return `${[label, about].filter(Boolean).join(" ")}, ${method}${verdict === "not_faithful" ? " (not faithful)" : ""}`;
}

/** Why a map is not to be trusted, in words; "" where it was not found out. */
export function whyNot({ verdict, why }) {
  return verdict === "not_faithful" ? `Not faithful: ${why.join(" ") || "its score card failed."}` : "";
}

function figure(number) {
  return String(Math.abs(number) >= 10 ? Math.round(number) : Number(number.toPrecision(3)));
}
