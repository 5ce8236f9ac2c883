/** Lines over the image: crosshair, places of findings, measurements, the circle of the brush. */

import { ends, reading } from "./measure.js";

const LINE = "#7fd4ff";
const MEASURE = "#ffd54a";
const PLACE = "#ff9e5e";
const FONT = "600 13px system-ui, sans-serif";
const HANDLE = 4;
/** Radius of the ring around a finding. */
export const RING = 9;

/** @param {import("./plane.js").Plane} plane */
export function drawMarks(plane) {
  const { scene } = plane;
  const context = plane.marks.getContext("2d");
  const ratio = plane.marks.width / plane.width;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, plane.width, plane.height);
  if (scene.crossShown) crosshair(context, plane);
  for (const place of placesHere(plane)) ring(context, placed(plane, place), place, scene.focused);
  for (const one of scene.measurements) if (one.plane === plane.axes.name && one.slice === plane.slice) measurement(context, plane, one);
  if (plane.hover && (scene.tool === "brush" || scene.tool === "erase")) circle(context, plane);
}

/** Findings that lie in the slice which a plane shows. */
function placesHere({ scene, axes, slice }) {
  return scene.places.filter((place) => Math.round(place.at[axes.w] ?? 0) === slice);
}

/** The finding whose ring is under a point of the screen. */
export function placeAt(plane, x, y) {
  return placesHere(plane).find((place) => {
    const [px, py] = placed(plane, place);
    return Math.hypot(px - x, py - y) <= RING + 2;
  });
}

function placed(plane, place) {
  return plane.toScreen(place.at[plane.axes.u], place.at[plane.axes.v]);
}

function crosshair(context, plane) {
  const { axes, scene } = plane;
  const [x, y] = plane.toScreen(scene.cross[axes.u], scene.cross[axes.v]);
  const gap = 12;
  context.strokeStyle = LINE;
  context.globalAlpha = 0.7;
  context.lineWidth = 1;
  context.beginPath();
  for (const [x0, y0, x1, y1] of [
    [0, y, x - gap, y], [x + gap, y, plane.width, y], [x, 0, x, y - gap], [x, y + gap, x, plane.height],
  ]) {
    context.moveTo(x0, y0);
    context.lineTo(x1, y1);
  }
  context.stroke();
  context.globalAlpha = 1;
}

/** The ring and number of a finding; dashed where it is not called, thick where it was jumped to. */
export function ring(context, [x, y], place, focused) {
  context.strokeStyle = PLACE;
  context.lineWidth = place.finding === focused ? 3 : 1.5;
  context.setLineDash(place.positive ? [] : [3, 3]);
  context.beginPath();
  context.arc(x, y, RING, 0, 2 * Math.PI);
  context.stroke();
  context.setLineDash([]);
  caption(context, String(place.finding + 1), x + RING + 2, y - RING, PLACE);
}

function measurement(context, plane, one) {
  const chosen = one === plane.scene.selected;
  const points = ends(one, plane.steps).map(([u, v]) => plane.toScreen(u, v));
  context.strokeStyle = MEASURE;
  context.lineWidth = chosen ? 2.5 : 1.5;
  context.beginPath();
  for (let index = 0; index + 1 < points.length; index += 2) {
    context.moveTo(...points[index]);
    context.lineTo(...points[index + 1]);
  }
  context.stroke();
  for (const [x, y] of points) {
    context.fillStyle = MEASURE;
    context.fillRect(x - HANDLE / 2, y - HANDLE / 2, HANDLE, HANDLE);
  }
  const [x, y] = points.reduce((best, point) => (point[0] > best[0] ? point : best));
  const text = reading(one, plane.steps, plane.scene.unit);
  context.font = FONT;
  caption(context, text, Math.min(x + 8, plane.width - context.measureText(text).width - 6), y + 4, MEASURE);
}

function circle(context, plane) {
  const [x, y] = plane.toScreen(...plane.hover);
  context.strokeStyle = plane.scene.tool === "erase" ? "#ffffff" : MEASURE;
  context.lineWidth = 1;
  context.beginPath();
  context.arc(x, y, plane.scene.brush.radius * plane.scale, 0, 2 * Math.PI);
  context.stroke();
}

function caption(context, text, x, y, colour) {
  context.font = FONT;
  context.lineWidth = 3;
  context.strokeStyle = "rgba(0, 0, 0, 0.8)";
  context.strokeText(text, x, y);
  context.fillStyle = colour;
  context.fillText(text, x, y);
}
