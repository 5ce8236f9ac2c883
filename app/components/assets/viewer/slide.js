/** The viewer of slides: tiles in any magnification, a heat layer, outlines of regions, a scale in micrometres. */

import { button, element, slider, tick } from "./dom.js";
import { roundLength } from "./geometry.js";
import * as keys from "./keys.js";
import { ring, RING } from "./marks.js";
import { group, whyNot } from "./toolbar.js";

const LIBRARY = "../vendor/openseadragon.min.js";
/** Micrometres per pixel that a microscope shows at a magnification of one. */
const ONE_FOLD = 10;
const OUTLINE = "#ffd54a";
/** Screen pixels of the picture at which a place is shown. */
const CLOSE = 2;

export class SlideStage {
  constructor(root, request, api, events) {
    Object.assign(this, { root, api, events, view: request.view, aided: request.aided });
    this.places = request.aided ? request.view.places.filter((place) => place.at) : [];
    this.heatLayer = request.view.heats.find((heat) => heat.maps);
    this.heatOpacity = 0.5;
    this.focused = null;
    this.regions = [];
    this.shown = { regions: true, heat: true };
    this.ready = false;
    this.field = element("div", { class: "field", tabindex: "0", role: "application", aria: { label: "Slide" } });
    this.marks = element("canvas", { class: "marks" });
    this.scale = element("span", { class: "at-scale" });
    this.power = element("span", { class: "at-slice" });
    this.readout = element("output", { class: "readout", aria: { label: "Under the cursor" } });
    this.message = element("span", { class: "message", role: "alert" });
    const frame = element("div", { class: "plane slide" }, this.field, this.marks, this.scale, this.power);
    root.append(this.#bar(), element("div", { class: "planes" }, frame), element("div", { class: "foot" }, this.readout, this.message));
    this.held = { space: false };
    this.unlisten = keys.listen(root, (event) => this.#press(event), this.held);
    this.load();
  }

  #bar() {
    const { view } = this;
    const zoom = (factor) => this.#zoom(factor);
    const buttons = [
      button({ label: "Zoom in (+)", text: "+", press: () => zoom(1.5) }),
      button({ label: "Zoom out (-)", text: "−", press: () => zoom(1 / 1.5) }),
      button({ label: "Whole slide (0)", text: "Whole slide", press: () => this.osd?.viewport.goHome() }),
    ];
    const groups = [group("Zoom", ...buttons)];
    if (this.aided) {
      const regions = tick({ label: "Show the regions (S)", name: "Regions", checked: true, change: () => this.#toggle("regions") });
      this.regionsTick = regions.querySelector("input");
      groups.push(group("Regions", regions));
    }
    if (this.aided && this.heatLayer) {
      const heat = tick({ label: "Show the heat map (H)", name: "Heat map", checked: true, change: () => this.#toggle("heat") });
      this.heatTick = heat.querySelector("input");
      const opacity = slider({ label: "Opacity of the heat map", name: "Opacity", value: 50, change: (part) => this.#fade(part / 100) });
      groups.push(group("Heat map", heat, opacity, element("span", { class: "why", text: whyNot(this.heatLayer) })));
    }
    return element("div", { class: "toolbars" }, element("div", { class: "toolbar", role: "toolbar", aria: { label: "Slide" } }, ...groups));
  }

  /** Opens the slide; what failed before is tried again. */
  async load() {
    this.message.textContent = "";
    try {
      const [{ default: OpenSeadragon }, slide] = await Promise.all([import(LIBRARY), this.api.json("slide")]);
      this.slide = slide;
      if (!this.osd) await this.#open(OpenSeadragon);
      else this.osd.setAjaxHeaders(this.api.headers(), true);
      if (this.aided) await Promise.all([this.#loadRegions(), this.#loadHeat()]);
      this.ready = true;
      if (this.focused !== null) this.focus(this.focused);
      this.#draw();
    } catch (error) {
      this.message.textContent = error.message;
      if (error.status === undefined) throw error;
    }
  }

  async #open(OpenSeadragon) {
    this.OpenSeadragon = OpenSeadragon;
    const { width, height, tile_size: tileSize, max_level: maxLevel } = this.slide;
    this.osd = new OpenSeadragon.Viewer({
      element: this.field,
      drawer: "canvas",
      showNavigationControl: false,
      loadTilesWithAjax: true,
      ajaxHeaders: this.api.headers(),
      maxZoomPixelRatio: 4,
      visibilityRatio: 0.3,
      animationTime: 0.4,
      gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
      crossOriginPolicy: false,
    });
    const opened = new Promise((resolve, reject) => {
      this.osd.addOnceHandler("open", resolve);
      this.osd.addOnceHandler("open-failed", () => reject(new Error("The slide cannot be opened.")));
    });
    this.osd.open({ width, height, tileSize, tileOverlap: 0, minLevel: 0, maxLevel, getTileUrl: (level, x, y) => `${this.api.base}/tiles/${level}/${x}_${y}.jpeg` });
    await opened;
    // Its own keys would turn and mirror the slide.
    this.osd.innerTracker.keyHandler = null;
    this.osd.innerTracker.keyDownHandler = null;
    for (const event of ["update-viewport", "animation", "resize", "open"]) this.osd.addHandler(event, () => this.#draw());
    this.osd.addHandler("tile-load-failed", () => (this.message.textContent = "Some parts of the slide could not be loaded."));
    this.osd.addHandler("canvas-click", (event) => event.quick && this.#clicked(event.position));
    this.field.addEventListener("pointermove", (event) => this.#hovered(event));
  }

  async #loadRegions() {
    const { features = [] } = await this.api.json("regions");
    this.regions = features.flatMap(({ geometry, properties }) =>
      (geometry.type === "MultiPolygon" ? geometry.coordinates : [geometry.coordinates]).map((rings) => ({ rings, properties: properties ?? {} })),
    );
  }

  async #loadHeat() {
    if (!this.heatLayer || this.heat) return;
    const blob = await (await this.api.request("slide-heat.png")).blob();
    const url = URL.createObjectURL(blob);
    await new Promise((resolve, reject) => {
      const success = ({ item }) => {
        URL.revokeObjectURL(url);
        resolve((this.heat = item));
      };
      const error = () => reject(new Error("The heat map cannot be shown."));
      this.osd.addSimpleImage({ url, x: 0, y: 0, width: 1, opacity: this.heatOpacity, loadTilesWithAjax: false, success, error });
    });
  }

  /** Micrometres per pixel of the finest level, across and down; null where they are not known. */
  get mpp() {
    return this.slide?.mpp ?? this.view.mpp;
  }

  /** Screen pixels per pixel of the finest level. */
  get zoom() {
    return this.osd.world.getItemAt(0).viewportToImageZoom(this.osd.viewport.getZoom(true));
  }

  /** Brings a finding into view, its place given in micrometres. */
  focus(finding) {
    this.focused = finding;
    const place = this.places.find((one) => one.finding === finding);
    if (!place || !this.ready) return;
    const [x, y] = this.#pixel(place);
    const viewport = this.osd.viewport;
    const item = this.osd.world.getItemAt(0);
    viewport.zoomTo(Math.max(viewport.getZoom(), item.imageToViewportZoom(1 / CLOSE)), null, true);
    viewport.panTo(item.imageToViewportCoordinates(x, y), true);
    this.#draw();
  }

  #pixel({ at }) {
    return [0, 1].map((axis) => at[axis] / (this.mpp?.[axis] ?? 1));
  }

  #screen(x, y) {
    const point = this.osd.world.getItemAt(0).imageToViewerElementCoordinates(new this.OpenSeadragon.Point(x, y));
    return [point.x, point.y];
  }

  #draw() {
    if (!this.osd?.world.getItemCount()) return;
    const { clientWidth: width, clientHeight: height } = this.field;
    const ratio = window.devicePixelRatio || 1;
    this.marks.width = width * ratio;
    this.marks.height = height * ratio;
    const context = this.marks.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (this.shown.regions) for (const { rings } of this.regions) this.#outline(context, rings);
    for (const place of this.places) ring(context, this.#screen(...this.#pixel(place)), place, this.focused);
    this.#tell(width);
  }

  #outline(context, rings) {
    context.strokeStyle = OUTLINE;
    context.lineWidth = 2;
    context.beginPath();
    for (const ring of rings) {
      ring.forEach(([x, y], index) => context[index ? "lineTo" : "moveTo"](...this.#screen(x, y)));
      context.closePath();
    }
    context.stroke();
  }

  #tell(width) {
    const step = (this.mpp?.[0] ?? 1) / this.zoom;
    const length = roundLength(Math.min(width * 0.3, 160) * step);
    this.scale.style.width = `${length / step}px`;
    this.scale.textContent = lengthText(length, this.mpp !== null);
    this.power.textContent = this.mpp ? `${Number((ONE_FOLD / step).toPrecision(2))}×` : `${Number((100 * this.zoom).toPrecision(2))} %`;
  }

  #hovered(event) {
    if (!this.ready) return;
    const box = this.field.getBoundingClientRect();
    const point = new this.OpenSeadragon.Point(event.clientX - box.left, event.clientY - box.top);
    const { x, y } = this.osd.world.getItemAt(0).viewerElementToImageCoordinates(point);
    const known = this.mpp !== null;
    this.readout.textContent = [x, y].map((pixel, axis) => `${"xy"[axis]} ${known ? lengthText(pixel * this.mpp[axis], true) : `${Math.round(pixel)} px`}`).join("   ");
  }

  #clicked({ x, y }) {
    const found = this.places.find((place) => {
      const [px, py] = this.#screen(...this.#pixel(place));
      return Math.hypot(px - x, py - y) <= RING + 2;
    });
    if (found) this.events.focused(found.finding);
  }

  #toggle(what) {
    this.shown[what] = !this.shown[what];
    if (this.regionsTick) this.regionsTick.checked = this.shown.regions;
    if (this.heatTick) this.heatTick.checked = this.shown.heat;
    this.#fade(this.heatOpacity);
    this.#draw();
  }

  #fade(opacity) {
    this.heatOpacity = opacity;
    this.heat?.setOpacity(this.shown.heat ? opacity : 0);
  }

  #zoom(factor) {
    this.osd?.viewport.zoomBy(factor);
    this.osd?.viewport.applyConstraints();
  }

  #pan([across, down]) {
    const { viewport } = this.osd;
    viewport.panBy(new this.OpenSeadragon.Point((across * 0.2) / viewport.getZoom(), (down * 0.2) / viewport.getZoom()));
    viewport.applyConstraints();
  }

  #press(event) {
    if (!this.osd) return false;
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.key in arrows && !event.ctrlKey && !event.metaKey) {
      this.#pan(arrows[event.key]);
      return true;
    }
    const [name, by] = keys.action(event) ?? [];
    const actions = {
      zoom: () => this.#zoom(by),
      reset: () => this.osd.viewport.goHome(),
      labels: () => this.#toggle("regions"),
      heat: () => this.#toggle("heat"),
    };
    actions[name]?.();
    return name in actions;
  }

  state() {
    return {
      kind: "slide",
      zoom: this.osd ? this.zoom : null,
      regions: this.regions.length,
      heat: this.heat ? this.heat.getOpacity() : null,
      focused: this.focused,
      centre: this.osd ? { ...this.osd.world.getItemAt(0).viewportToImageCoordinates(this.osd.viewport.getCenter(true)) } : null,
    };
  }

  close() {
    this.unlisten();
    this.osd?.destroy();
  }
}

/** "500 µm", "2 mm"; pixels where micrometres are not known. */
function lengthText(length, known) {
  if (!known) return `${Math.round(length)} px`;
  return Math.abs(length) >= 1000 ? `${Number((length / 1000).toFixed(2))} mm` : `${Number(length.toFixed(1))} µm`;
}
