/** The line below the planes: what is under the cursor, how far loading has come, and what went wrong. */

import { element } from "./dom.js";
import { position, positionText } from "./geometry.js";

export class Readout {
  constructor(scene) {
    this.scene = scene;
    this.text = element("output", { class: "readout", aria: { live: "off", label: "Under the cursor" } });
    this.bar = element("progress", { max: "1", value: "0", aria: { label: "Loading the image" } });
    this.message = element("span", { class: "message", role: "alert" });
    this.root = element("div", { class: "foot" }, this.text, this.message, this.bar);
    this.voxel = null;
  }

  at(voxel) {
    this.voxel = voxel;
    this.update();
  }

  /** What is under the cursor, or at the crosshair while it is elsewhere. */
  update() {
    const { scene } = this;
    this.text.textContent = sentence(scene.view, scene.read(scene.inside(this.voxel ?? scene.cross)));
  }

  progress(part) {
    this.bar.value = part;
    this.bar.hidden = part === 1;
    this.bar.title = `${Math.round(part * 100)} % loaded`;
  }

  told(message) {
    this.message.textContent = message;
    if (message) this.bar.hidden = true;
  }
}

/** "L 12.0  P 3.5  H 40.0 mm   57 HU   liver   heat 0.43". */
function sentence(view, { voxel, value, colour, label, heat }) {
  const lps = position(view, voxel);
  const parts = [lps ? positionText(lps) : `column ${voxel[0]}, row ${voxel[1]}`];
  if (value !== null) parts.push(`${Number(value.toFixed(2))}${view.unit ? ` ${view.unit}` : ""}`);
  if (colour) parts.push(`RGB ${colour.join(" ")}`);
  if (label) parts.push(label);
  if (heat !== null) parts.push(`heat ${heat.toPrecision(2)}`);
  return parts.join("   ·   ");
}
