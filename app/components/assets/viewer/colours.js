/** Tables that turn what is stored into pixels: 32 bits, alpha in the highest byte and red in the lowest. */

const OPAQUE = 0xff000000;
/** Heat below this part of the highest is not drawn: it would veil the image without saying anything. */
const FAINT = 0.1;

/** Byte of a value: black at centre - width/2, white at centre + width/2, linear between. */
function grey(value, window) {
  return Math.min(255, Math.max(0, Math.round(255 * ((value - window.centre) / window.width + 0.5))));
}

/**
 * Grey of every 16-bit pattern, so that a pixel costs one look-up whatever the type.
 * @param {{dtype: string, slope: number, intercept: number}} view
 * @param {Uint32Array} table 65536 long, overwritten
 */
export function fillWindow(view, window, table) {
  const signed = view.dtype === "int16";
  for (let pattern = 0; pattern < 65536; pattern++) {
    const stored = signed && pattern > 32767 ? pattern - 65536 : pattern;
    const level = grey(stored * view.slope + view.intercept, window);
    table[pattern] = (OPAQUE | (level << 16) | (level << 8) | level) >>> 0;
  }
}

/** Pixels of the labels that are shown; 0 is clear. */
export function labelTable(labels, hidden) {
  const table = new Uint32Array(256);
  for (const { index, colour } of labels) if (index > 0 && !hidden.has(index)) table[index] = pack(colour);
  return table;
}

/**
 * Heat: lightness grows linearly (in Oklab) from dark violet over red to light yellow, so that equal steps look equal and
 * the order survives in grey and for the colour-blind. A map that is not faithful has no colour at all.
 */
export function heatColour(part, faithful = true) {
  const lightness = 0.3 + 0.65 * part;
  const chroma = faithful ? 0.1 + 0.09 * Math.sin(Math.PI * Math.min(1, part * 1.15)) : 0;
  const hue = ((310 + 155 * part) * Math.PI) / 180;
  return oklab(lightness, chroma * Math.cos(hue), chroma * Math.sin(hue));
}

/** Pixels of the bytes of a heat map. */
export function heatTable(faithful) {
  const table = new Uint32Array(256);
  for (let byte = Math.ceil(FAINT * 255); byte < 256; byte++) table[byte] = pack(heatColour(byte / 255, faithful));
  return table;
}

/** `rgb(…)` for style sheets and canvases. */
export function css([red, green, blue]) {
  return `rgb(${red}, ${green}, ${blue})`;
}

function pack([red, green, blue]) {
  return (OPAQUE | (blue << 16) | (green << 8) | red) >>> 0;
}

/** Bytes of a colour in Oklab (Björn Ottosson, 2020); what sRGB cannot show is clipped. */
function oklab(lightness, a, b) {
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ].map((linear) => {
    const part = Math.min(1, Math.max(0, linear));
    return Math.round(255 * (part <= 0.0031308 ? 12.92 * part : 1.055 * part ** (1 / 2.4) - 0.055));
  });
}
