/** Makes elements. Text is always set as text and never as markup, so nothing that a file says can become a tag. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * @param {string} tag
 * @param {Object} properties `class`, `text`, `on` (handlers by event), `aria` (by name without the prefix), and attributes;
 *   true sets an empty attribute, false and null none.
 * @param {...(Node|null)} children
 * @returns {HTMLElement}
 */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "text") made.textContent = value;
    else if (name === "on") for (const [event, handler] of Object.entries(value)) made.addEventListener(event, handler);
    else if (name === "aria") for (const [key, text] of Object.entries(value)) made.setAttribute(`aria-${key}`, text);
    else if (value !== false && value != null) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

/** A line drawing of 20 by 20 units, as wide as a letter is high. */
function icon(path) {
  const made = document.createElementNS(SVG, "svg");
  made.setAttribute("viewBox", "0 0 20 20");
  made.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(SVG, "path");
  line.setAttribute("d", path);
  made.append(line);
  return made;
}

/** A button with words, an icon or both; `label` is what is read aloud and shown on hovering. */
export function button({ label, text = "", path = "", press, pressed = null, extra = "" }) {
  const made = element("button", { type: "button", class: `button ${extra}`.trim(), title: label, aria: { label } });
  if (path) made.append(icon(path));
  if (text) made.append(element("span", { text }));
  if (pressed !== null) made.setAttribute("aria-pressed", String(pressed));
  made.addEventListener("click", press);
  return made;
}

/** A slider with its name before it. */
export function slider({ label, name = label, min = 0, max = 100, step = 1, value, change }) {
  const input = element("input", { type: "range", min, max, step, value, title: label, aria: { label } });
  input.addEventListener("input", () => change(Number(input.value)));
  return element("label", { class: "slider" }, element("span", { text: name }), input);
}

/** A list to choose from: pairs of value and text. */
export function chooser({ label, name = label, options, value, change }) {
  const input = element("select", { title: label, aria: { label } });
  for (const [key, text] of options) input.append(element("option", { value: key, text, selected: key === value }));
  let byPointer = false;
  input.addEventListener("pointerdown", () => (byPointer = true));
  input.addEventListener("keydown", () => (byPointer = false));
  input.addEventListener("change", () => {
    change(input.value);
    // Whoever chose by mouse wants the viewer's keys again.
    if (byPointer) input.blur();
  });
  return element("label", { class: "chooser" }, name ? element("span", { text: name }) : null, input);
}

/** A box to tick. */
export function tick({ label, name = label, checked, change }) {
  const input = element("input", { type: "checkbox", checked, title: label, aria: { label } });
  input.addEventListener("change", () => change(input.checked));
  return element("label", { class: "tick", title: label }, input, element("span", { text: name }));
}
