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
/** It adds up along the line of sight. */
const ORGAN_OPACITY = 0.03;
const ENLARGED = 1.5;
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
    const image = slider({ label: "Opacity of the image", name: "Image", value: 40, change: (part) => this.#fade(part / 100) });
    this.root = element("div", { class: "space", hidden: true }, this.canvas, element("div", { class: "sides" }, ...sides, image), this.note);
    this.labelsVersion = -1;
    this.opacity = 0.4;
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
    const version = this.scene.labelsVersion;
    if (this.opening || this.labelsVersion === version) return;
    this.opening = true;
    try {
      this.niivue ??= await this.#start();
      // Once, when all is there: without a graphics card a picture takes seconds.
      this.niivue.isBusy = true;
      await this.#fill();
      this.niivue.isBusy = false;
      this.niivue.drawScene();
      this.labelsVersion = version;
      this.note.textContent = "";
    } catch (error) {
      this.note.textContent = `This browser cannot draw in three dimensions: ${error.message}`;
      return;
    } finally {
      this.opening = false;
    }
    // The labels may have changed meanwhile.
    if (!this.root.hidden) this.open();
  }

  async #start() {
    if (!document.createElement("canvas").getContext("webgl2")) throw new Error("WebGL 2 is not available.");
    this.library = await import(LIBRARY);
    const { Niivue, SLICE_TYPE } = this.library;
    const niivue = new Niivue(OPTIONS);
    await niivue.attachToCanvas(this.canvas, false);
    niivue.isBusy = true;
    niivue.setSliceType(SLICE_TYPE.RENDER);
    niivue.setScale(ENLARGED);
    niivue.setRenderAzimuthElevation(SIDES[0][1], SIDES[0][2]);
    return niivue;
  }

  async #fill() {
    const { view, volume, labels, window } = this.scene;
    const { niivue } = this;
    const { NVImage } = this.library;
    for (const old of [...niivue.volumes]) niivue.removeVolume(old);
    const image = await NVImage.new(nifti(volume.data, view, view.dtype, view), "image.nii", "gray", this.opacity);
    image.cal_min = window.centre - window.width / 2;
    image.cal_max = window.centre + window.width / 2;
    niivue.addVolume(image);
    if (!labels || !this.scene.labelsShown) return;
    const shown = view.labels.filter((label) => label.index > 0 && !this.scene.hidden.has(label.index));
    // The first label is the organ: what lies in it must be seen through it.
    const organ = shown.length > 1 ? shown.slice(0, 1) : [];
    if (organ.length) await this.#overlay(organ, ORGAN_OPACITY);
    if (shown.length) await this.#overlay(shown.slice(organ.length), 1);
  }

  async #overlay(shown, opacity) {
    const { view, labels } = this.scene;
    const kept = new Set(shown.map(({ index }) => index));
    const part = labels.map((label) => (kept.has(label) ? label : 0));
    const overlay = await this.library.NVImage.new(nifti(part, view, "uint8", { label: true }), "labels.nii", "gray", opacity);
    overlay.setColormapLabel(table(shown));
    this.niivue.addVolume(overlay);
  }

  #fade(opacity) {
    this.opacity = opacity;
    if (this.niivue?.volumes.length) this.niivue.setOpacity(0, opacity);
  }
}

/** Labels as NiiVue wants them. */
function table(labels) {
  const part = (axis) => [0, ...labels.map(({ colour }) => colour[axis])];
  return {
    R: part(0),
    G: part(1),
    B: part(2),
    A: [0, ...labels.map(() => 255)],
    I: [0, ...labels.map(({ index }) => index)],
    labels: ["", ...labels.map(({ name }) => name)],
  };
}
