/** Mouse, pen, fingers and wheel on a plane: what every button does whatever the tool is. */

/** Turning the wheel this far is one slice. */
const NOTCH = 50;
/** Pixels of a drag after which the width of the window is e times as large. */
const WIDEN = 250;

/**
 * @param {import("./plane.js").Plane} plane
 * @param {{tool: () => Object, held: {space: boolean}, redraw: () => void}} desk
 */
export function listen(plane, desk) {
  const { root, scene } = plane;
  const fingers = new Map();
  let gesture = null;
  let turned = 0;

  const at = (event) => {
    const box = root.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };

  root.addEventListener("pointerdown", (event) => {
    root.focus({ preventScroll: true });
    scene.active = plane.axes.name;
    root.setPointerCapture(event.pointerId);
    const point = at(event);
    fingers.set(event.pointerId, point);
    if (gesture?.up) gesture.up(point);
    gesture = fingers.size === 2 ? pinch(plane, desk, fingers) : begin(plane, desk, event, point);
    event.preventDefault();
  });

  root.addEventListener("pointermove", (event) => {
    const point = at(event);
    plane.hover = plane.fromScreen(...point);
    if (fingers.has(event.pointerId)) {
      fingers.set(event.pointerId, point);
      // A browser joins several moves into one; a stroke needs all of them.
      const steps = event.getCoalescedEvents?.() ?? [];
      for (const step of steps.length ? steps : [event]) gesture?.move(at(step));
    }
    desk.hovered(plane);
  });

  const lift = (event) => {
    if (!fingers.delete(event.pointerId)) return;
    gesture?.up?.(at(event));
    gesture = null;
  };
  root.addEventListener("pointerup", lift);
  root.addEventListener("pointercancel", lift);
  root.addEventListener("pointerleave", () => {
    plane.hover = null;
    desk.hovered(plane);
  });
  root.addEventListener("contextmenu", (event) => event.preventDefault());
  root.addEventListener("dblclick", () => desk.enlarge(plane));
  root.addEventListener("focus", () => scene.active !== plane.axes.name && scene.set("active", plane.axes.name, "marks"));

  root.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const [x, y] = at(event);
      const delta = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? event.deltaY * NOTCH : event.deltaY;
      if (event.ctrlKey || scene.view.kind !== "volume") {
        plane.zoomAt(Math.exp(-Math.max(-100, Math.min(100, delta)) / 400), x, y);
        desk.redraw();
        return;
      }
      turned = Math.sign(delta) === Math.sign(turned) ? turned + delta : delta;
      if (Math.abs(turned) < NOTCH) return;
      desk.scroll(plane, Math.sign(turned));
      turned = 0;
    },
    { passive: false },
  );
}

function begin(plane, desk, event, point) {
  if (event.button === 1 || desk.held.space) return pan(plane, desk, point);
  if (event.button === 2) return windowing(plane.scene, point);
  if (event.button !== 0) return null;
  const tool = desk.tool();
  if (plane.scene.view.kind !== "volume" && plane.scene.tool === "crosshair" && event.pointerType === "touch") return pan(plane, desk, point);
  const place = ([x, y]) => plane.fromScreen(x, y);
  tool.down(plane, place(point), ...point);
  return { move: (next) => tool.move(plane, place(next), ...next), up: () => tool.up(plane) };
}

function pan(plane, desk, [x, y]) {
  return {
    move: ([nextX, nextY]) => {
      plane.panBy(nextX - x, nextY - y);
      [x, y] = [nextX, nextY];
      desk.redraw();
    },
  };
}

/** To the right widens the window, upwards brightens. */
function windowing(scene, [startX, startY]) {
  if (scene.view.kind === "colour") return null;
  const { centre, width } = scene.window;
  return {
    move: ([x, y]) => {
      scene.showWindow({ centre: centre + ((y - startY) / WIDEN) * width, width: width * Math.exp((x - startX) / WIDEN) });
    },
  };
}

function pinch(plane, desk, fingers) {
  const pair = () => {
    const [[x0, y0], [x1, y1]] = [...fingers.values()];
    return { x: (x0 + x1) / 2, y: (y0 + y1) / 2, apart: Math.hypot(x1 - x0, y1 - y0) || 1 };
  };
  let before = pair();
  return {
    move: () => {
      if (fingers.size < 2) return;
      const now = pair();
      plane.panBy(now.x - before.x, now.y - before.y);
      plane.zoomAt(now.apart / before.apart, now.x, now.y);
      before = now;
      desk.redraw();
    },
  };
}
