/** The three-dimensional view. NiiVue is fetched when it is first opened, and fed from memory. */

import { button, element, slider } from "./dom.js";
import { nifti } from "./nifti.js";

const LIBRARY = "../vendor/niivue.min.js";
const OPTIONS = {
  isRadiologicalConvention: true,
  dragAndDropEnabled: false,
  backColor: [0, 0, 0, 1],
  show3Dcrosshair: false,
  isOrientCube: true,
  clipPlaneHotKey: "",
  cycleClipPlaneHotKey: "",
  viewModeHotKey: "",
  logLevel: "error",
  isResizeCanvas: true,
};
/** Of 255; it adds up along the line of sight. */
const ORGAN_ALPHA = 5;
/** Azimuth and elevation that look at the patient from the front, left or above. */
const SIDES = [
  ["Front", 180, 10],
  ["Left", 270, 10],
  ["Above", 180, 90],
];

export class Space {
  constructor(scene) {
    this.scene = scene;
    this.canvas = element("canvas", { aria: { label: "Three-dimensional view" } });
    this.note = element("p", { class: "note", role: "status", text: "Building the three-dimensional view." });
    const sides = SIDES.map(([text, azimuth, elevation]) =>
      button({ label: `Look from: ${text.toLowerCase()}`, text, press: () => this.niivue?.setRenderAzimuthElevation(azimuth, elevation) }),
    );
    const image = slider({ label: "Opacity of the image", name: "Image", value: 60, change: (part) => this.#fade(part / 100) });
    this.root = element("div", { class: "space", hidden: true }, this.canvas, element("div", { class: "sides" }, ...sides, image), this.note);
    this.labelsVersion = -1;
    this.opacity = 0.6;
    scene.listen((parts) => parts.has("labels") && !this.root.hidden && this.open());
  }

  get ready() {
    return this.labelsVersion >= 0;
  }

  /** Shows the volume as it is now. Says so where it is not all there or the browser cannot draw it. */
  async open() {
    if (this.scene.volume.progress < 1) {
      this.note.textContent = "The image is still loading. Open this view again in a moment.";
      return;
    }
    if (this.labelsVersion === this.scene.labelsVersion) return;
    try {
      this.niivue ??= await this.#start();
      await this.#fill();
      this.labelsVersion = this.scene.labelsVersion;
      this.note.textContent = "";
    } catch (error) {
      this.note.textContent = `This browser cannot draw in three dimensions: ${error.message}`;
    }
  }

  async #start() {
    if (!document.createElement("canvas").getContext("webgl2")) throw new Error("WebGL 2 is not available.");
    const { Niivue, SLICE_TYPE } = await import(LIBRARY);
    const niivue = new Niivue(OPTIONS);
    await niivue.attachToCanvas(this.canvas, false);
    niivue.setSliceType(SLICE_TYPE.RENDER);
    niivue.setRenderAzimuthElevation(SIDES[0][1], SIDES[0][2]);
    return niivue;
  }

  async #fill() {
    const { view, volume, labels, window } = this.scene;
    const { NVImage } = await import(LIBRARY);
    const { niivue } = this;
    for (const old of [...niivue.volumes]) niivue.removeVolume(old);
    const image = await NVImage.new(nifti(volume.data, view, view.dtype, view), "image.nii", "gray", this.opacity);
    image.cal_min = window.centre - window.width / 2;
    image.cal_max = window.centre + window.width / 2;
    niivue.addVolume(image);
    if (!labels || !this.scene.labelsShown) return;
    const overlay = await NVImage.new(nifti(labels, view, "uint8", { label: true }), "labels.nii", "gray", 1);
    overlay.setColormapLabel(this.#colours());
    niivue.addVolume(overlay);
  }

  #colours() {
    const { view, hidden } = this.scene;
    const table = { R: [0], G: [0], B: [0], A: [0], I: [0], labels: [""] };
    const labels = view.labels.filter((label) => label.index > 0 && !hidden.has(label.index));
    for (const { index, name, colour } of labels) {
      table.R.push(colour[0]);
      table.G.push(colour[1]);
      table.B.push(colour[2]);
      // The first label is the organ: what lies in it must be seen.
      table.A.push(labels.length > 1 && index === labels[0].index ? ORGAN_ALPHA : 255);
      table.I.push(index);
      table.labels.push(name);
    }
    return table;
  }

  #fade(opacity) {
    this.opacity = opacity;
    if (this.niivue?.volumes.length) this.niivue.setOpacity(0, opacity);
  }
}
