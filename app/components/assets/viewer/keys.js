/** Keys of the viewer. The page's own (findings, decisions, help) are not among them. */

/** What the help tells: keys and what they do. `app.components.viewer.SHORTCUTS` says the same. */
export const SHORTCUTS = [
  ["Arrow up, arrow down", "Next or previous slice"],
  ["Page up, page down", "Ten slices further"],
  ["Home, end", "First or last slice"],
  ["Shift + arrows", "Move the crosshair in the plane"],
  ["Ctrl + arrows", "Move the image"],
  ["Alt + arrows", "Width and centre of the window"],
  ["Shift + 1 … 9", "Window presets"],
  ["Tab", "Next plane or control"],
  ["V", "Three planes, or the active one large"],
  ["+, -", "Zoom in or out"],
  ["Space + drag", "Move the image"],
  ["Arrows on a slide", "Move the slide"],
  ["0", "Reset zoom, position and window"],
  ["I", "Smooth or square voxels"],
  ["S", "Segmentation on or off"],
  ["H", "Next explanation map"],
  ["X", "Crosshair"],
  ["D", "Measure a distance"],
  ["W", "Measure two diameters"],
  ["Delete", "Remove a measurement"],
  ["E", "Edit the segmentation"],
  ["B", "Brush"],
  ["Z", "Eraser"],
  ["F", "Threshold fill"],
  ["[, ]", "Smaller or larger brush"],
  ["Enter", "Use the tool at the crosshair"],
  ["K", "Interpolate between two drawn slices"],
  ["O", "Compare with the original"],
  ["Ctrl + Z, Ctrl + Y", "Undo, redo"],
  ["Ctrl + S", "Save the edited segmentation"],
  ["T", "Three-dimensional view"],
  ["Escape", "Back to the crosshair"],
];

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const STEPS = { ArrowUp: 1, ArrowDown: -1, ArrowRight: 1, ArrowLeft: -1, PageUp: 10, PageDown: -10, Home: -Infinity, End: Infinity };

/**
 * Listens on the document while the focus is in the viewer or nowhere in particular.
 * @param {HTMLElement} root of the viewer
 * @param {(event: KeyboardEvent) => boolean} press does what a key says; whether it was one of the viewer's
 * @param {{space: boolean}} held is told while the space bar is down
 * @returns {() => void} stops listening
 */
export function listen(root, press, held) {
  const down = (event) => {
    const [target] = event.composedPath();
    if (!mine(root, event) || typing(target, event.key)) return;
    if (event.code === "Space" && !isControl(target)) {
      held.space = true;
      event.preventDefault();
    } else if (!(event.key === "Enter" && isControl(target)) && press(event)) {
      event.preventDefault();
    }
  };
  const up = (event) => event.code === "Space" && (held.space = false);
  document.addEventListener("keydown", down);
  document.addEventListener("keyup", up);
  return () => {
    document.removeEventListener("keydown", down);
    document.removeEventListener("keyup", up);
  };
}

function mine(root, event) {
  return event.composedPath().includes(root) || document.activeElement === document.body || !document.activeElement;
}

/** Whether a control needs the key for itself: all of them where one writes, those that move it on a slider. */
function typing(target, key) {
  if (!(target instanceof Element)) return false;
  if (target.matches("input[type=range]")) return key in STEPS;
  return target.matches("input:not([type=checkbox]), select, textarea") || target.isContentEditable;
}

function isControl(target) {
  return target instanceof Element && target.closest("button, input, a, [role=button]") !== null;
}

/** The name of an action for a key with its modifiers, and by how much; null where the key is none of ours. */
export function action(event) {
  const { key, code } = event;
  if (event.ctrlKey || event.metaKey) return withControl(event);
  if (event.altKey) return key in ARROWS ? ["window", ARROWS[key]] : null;
  if (event.shiftKey && key in ARROWS) return ["crosshair", ARROWS[key]];
  if (event.shiftKey && /^Digit[1-9]$/.test(code)) return ["preset", Number(code.at(-1)) - 1];
  if (key in STEPS) return ["scroll", STEPS[key]];
  return PLAIN[key.length === 1 ? key.toLowerCase() : key] ?? null;
}

function withControl({ key, shiftKey }) {
  if (key in ARROWS) return ["pan", ARROWS[key]];
  const pressed = key.toLowerCase();
  if (pressed === "z") return [shiftKey ? "redo" : "undo"];
  return { y: ["redo"], s: ["save"] }[pressed] ?? null;
}

const PLAIN = {
  v: ["layout"],
  "+": ["zoom", 1.25],
  "=": ["zoom", 1.25],
  "-": ["zoom", 0.8],
  0: ["reset"],
  i: ["smooth"],
  s: ["labels"],
  h: ["heat"],
  x: ["tool", "crosshair"],
  d: ["tool", "distance"],
  w: ["tool", "diameter"],
  Delete: ["remove"],
  Backspace: ["remove"],
  e: ["edit"],
  b: ["tool", "brush"],
  z: ["tool", "erase"],
  f: ["tool", "fill"],
  "[": ["radius", 1 / 1.25],
  "]": ["radius", 1.25],
  Enter: ["use"],
  k: ["interpolate"],
  o: ["compare"],
  t: ["space"],
  Escape: ["tool", "crosshair"],
};
