/** The viewer of volumes, films and pictures: planes, controls, loading, and what keys do. */

import { element } from "./dom.js";
import { Editing } from "./editing.js";
import { PLANES } from "./geometry.js";
import * as keys from "./keys.js";
import { CrosshairTool, MeasureTool, remove } from "./tools.js";
import { Plane } from "./plane.js";
import { listen } from "./pointer.js";
import { Readout } from "./readout.js";
import { Scene } from "./scene.js";
import { Space } from "./space.js";
import { Toolbar } from "./toolbar.js";

/** Pixels that a key moves the image. */
const KEY_PAN = 40;

export class Stage {
  /**
   * @param {HTMLElement} root empty
   * @param {Object} request what the page asked for
   * @param {import("./api.js").Api} api
   * @param {{focused: Function, saved: Function}} events of the page
   */
  constructor(root, request, api, events) {
    Object.assign(this, { root, api, events });
    this.scene = new Scene(request.view, request.aided);
    this.mask = request.mask;
    this.stopped = new AbortController();
    this.held = { space: false };
    this.planes = this.scene.planes.map((axes) => new Plane(this.scene, axes));
    this.editing = new Editing(this, request);
    this.tools = {
      crosshair: new CrosshairTool(events.focused),
      distance: new MeasureTool("distance"),
      diameter: new MeasureTool("diameter"),
      ...this.editing.tools,
    };
    this.readout = new Readout(this.scene);
    this.space = new Space(this.scene);
    this.grid = element("div", { class: "planes" }, ...this.planes.map((plane) => plane.root), this.space.root);
    this.toolbar = new Toolbar(this);
    root.append(this.toolbar.root, this.grid, this.readout.root);
    this.waiting = false;
    this.scene.listen((parts) => this.#changed(parts));
    for (const plane of this.planes) listen(plane, this);
    this.unlisten = keys.listen(root, (event) => this.#press(event), this.held);
    // Leaving the page asks first while something is drawn that is not saved.
    window.addEventListener("beforeunload", (event) => this.editing.dirty && event.preventDefault(), { signal: this.stopped.signal });
    this.sizes = new ResizeObserver(() => this.#resized());
    this.sizes.observe(this.grid);
    for (const plane of this.planes) this.sizes.observe(plane.root);
    this.arrange();
    this.load();
  }

  /** Loads what is missing; what failed before is tried again. */
  async load() {
    this.readout.told("");
    try {
      await Promise.all([
        this.scene.volume.load(this.api, this.scene.cross[2], () => this.#arrived(), this.stopped.signal),
        this.editing.load(),
      ]);
      this.readout.progress(1);
    } catch (error) {
      this.failed(error);
    }
  }

  /** Says in the viewer what went wrong. */
  failed(error) {
    if (error.name === "AbortError") return;
    this.readout.told(error.message);
    if (error.status === undefined) throw error;
  }

  #arrived() {
    this.readout.progress(this.scene.volume.progress);
    this.scene.changed("image");
  }

  get ready() {
    return this.scene.volume.progress === 1 && this.editing.ready;
  }

  tool() {
    return this.tools[this.scene.tool];
  }

  use(name) {
    const editing = name in this.editing.tools;
    if (editing && !this.editing.on) return;
    this.grid.dataset.tool = name;
    this.scene.set("tool", name, "marks");
  }

  /** The plane that keys act on. */
  get active() {
    return this.planes.find((plane) => plane.axes.name === this.scene.active) ?? this.planes[0];
  }

  arrange(layout = this.scene.layout) {
    this.scene.layout = layout;
    this.grid.dataset.layout = layout;
    if (layout in PLANES) this.scene.active = layout;
    this.space.root.hidden = layout !== "space";
    if (layout === "space") this.space.open();
    for (const plane of this.planes) plane.root.hidden = layout !== "three" && layout !== plane.axes.name;
    this.scene.changed("layout", "controls");
  }

  enlarge(plane) {
    if (this.scene.tool !== "crosshair" || this.planes.length === 1) return;
    this.arrange(this.scene.layout === "three" ? plane.axes.name : "three");
  }

  showMask(name) {
    this.editing.show(name).catch((error) => this.failed(error));
  }

  /** Centres all planes on a finding. */
  focus(finding) {
    const place = this.scene.places.find((one) => one.finding === finding);
    this.scene.focused = finding;
    if (place) this.scene.moveTo(place.at);
    if (place) for (const plane of this.planes) if (plane.visible) plane.reveal(this.scene.cross);
    this.scene.changed("marks");
  }

  /** Slices go towards the feet, the back or the left as the wheel is turned towards the reader. */
  scroll(plane, turned) {
    this.scene.scroll(plane.axes, plane.axes.name === "axial" ? -turned : turned);
  }

  hovered(plane) {
    this.readout.at(plane.hover && plane.holds(plane.hover) ? plane.voxel(plane.hover) : null);
    if (this.scene.tool === "brush" || this.scene.tool === "erase") this.redraw();
  }

  reset() {
    for (const plane of this.planes) plane.reset();
    this.scene.showWindow(this.scene.windows[0]);
  }

  async showHeat(number) {
    const layer = this.scene.view.heats.find((heat) => heat.number === number);
    if (!layer) return this.scene.showHeat(null);
    const size = this.scene.shape.reduce((product, length) => product * length);
    try {
      this.heats ??= new Map();
      if (!this.heats.has(number)) this.heats.set(number, await this.api.bytes(`heat/${number}`, size));
      this.scene.showHeat({ layer, bytes: this.heats.get(number) });
    } catch (error) {
      this.failed(error);
    }
    return undefined;
  }

  nextHeat() {
    const numbers = this.toolbar.heats.map((heat) => heat.number);
    const next = numbers[numbers.indexOf(this.scene.heat?.layer.number) + 1];
    return this.showHeat(next);
  }

  redraw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      for (const plane of this.planes) if (!plane.root.hidden) plane.draw();
    });
  }

  #changed(parts) {
    if (parts.has("controls")) this.toolbar.update();
    this.readout.update();
    this.redraw();
  }

  #resized() {
    for (const plane of this.planes) plane.fit();
    this.redraw();
  }

  #press(event) {
    const told = keys.action(event);
    if (!told) return false;
    const [name, by] = told;
    const { scene, active } = this;
    const actions = {
      scroll: () => scene.scroll(active.axes, Number.isFinite(by) ? by : Math.sign(by) * scene.shape[active.axes.w]),
      crosshair: () => this.#moveCrosshair(by),
      pan: () => active.panBy(-KEY_PAN * by[0], -KEY_PAN * by[1]),
      window: () => this.#nudge(by),
      preset: () => scene.windows[by] && scene.showWindow(scene.windows[by]),
      space: () => this.planes.length > 1 && this.arrange(scene.layout === "space" ? "three" : "space"),
      layout: () => this.planes.length > 1 && this.arrange(scene.layout === "three" ? active.axes.name : "three"),
      zoom: () => active.zoomAt(by),
      reset: () => this.reset(),
      smooth: () => scene.set("smooth", !scene.smooth, "image"),
      labels: () => scene.set("labelsShown", !scene.labelsShown, "labels"),
      heat: () => this.nextHeat(),
      tool: () => this.use(by),
      remove: () => remove(scene),
      use: () => this.#useAtCrosshair(),
      ...this.editing.actions(by),
    };
    actions[name]?.();
    this.redraw();
    return name in actions;
  }

  #moveCrosshair([across, down]) {
    const { axes } = this.active;
    const next = [...this.scene.cross];
    next[axes.u] += across;
    next[axes.v] += axes.flip ? -down : down;
    this.scene.crossShown = true;
    this.scene.moveTo(next);
  }

  #nudge([wider, down]) {
    const { centre, width } = this.scene.window;
    this.scene.showWindow({ centre: centre + down * width * 0.05, width: width * 1.1 ** wider });
  }

  #useAtCrosshair() {
    const { scene, active } = this;
    const place = [scene.cross[active.axes.u], scene.cross[active.axes.v]];
    const tool = this.tool();
    if (tool.press) return tool.press(active, place);
    const point = active.toScreen(...place);
    tool.down(active, place, ...point);
    return tool.up(active);
  }

  close() {
    this.stopped.abort();
    this.unlisten();
    this.sizes.disconnect();
  }
}
