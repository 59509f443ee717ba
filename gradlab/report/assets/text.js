// Text from outside, and the few helpers that put it into the page. Everything goes
// through textContent: nothing on this page parses a string as HTML, CSS or script.

// What would be invisible, reorder the text around it, or control a terminal. The two
// selectors for text and emoji style only choose a glyph.
const HIDDEN = new RegExp(
  "(?![\\uFE0E\\uFE0F])[\\p{Cc}\\p{Cf}\\p{Cn}\\p{Co}\\p{Cs}\\p{Zl}\\p{Zp}"
    + "\\p{Default_Ignorable_Code_Point}\\u2800]|(?! )\\p{Zs}",
  "gu",
);
const MARKS = { "\n": "⏎", "\r": "↵", "\t": "⇥" };

function escapeOf(character) {
  const code = character.codePointAt(0).toString(16).toUpperCase();
  return MARKS[character] ?? `U+${code.padStart(4, "0")}`;
}

/** Text as a reader may see it: what is hidden is spelt out. */
function visible(text) {
  return String(text).replace(HIDDEN, escapeOf);
}

/** Writes text into a node; spelt-out characters stand in boxes of their own. */
function write(node, text, { breaks = false } = {}) {
  const whole = String(text);
  const parts = [];
  let end = 0;
  for (const match of whole.matchAll(HIDDEN)) {
    if (match.index > end) parts.push(whole.slice(end, match.index));
    parts.push(make("span", { class: "escape" }, escapeOf(match[0])));
    if (breaks && match[0] === "\n") parts.push("\n");
    end = match.index + match[0].length;
  }
  if (end < whole.length) parts.push(whole.slice(end));
  // A combining mark would sit on the character before the node.
  if (/^\p{M}/u.test(whole)) parts.unshift("◌");
  if (!whole) parts.push(make("span", { class: "escape" }, "empty"));
  node.replaceChildren(...parts);
  return node;
}

/** A new element with attributes and children; strings become text nodes. */
function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

const byId = (id) => document.getElementById(id);

const SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹";
function powerOfTen(power) {
  const digits = String(Math.abs(power)).replace(/\d/g, (d) => SUPERSCRIPTS[d]);
  return `10${power < 0 ? "⁻" : ""}${digits}`;
}

/** A number in few characters: 0.05, 12.3, 3.2×10⁻⁵; a dash where there is none. */
function number(value, digits = 4) {
  if (value === null || Number.isNaN(value)) return "–";
  if (value === 0) return "0";
  if (!Number.isFinite(value)) return value < 0 ? "−∞" : "∞";
  const [mantissa, exponent] = value.toExponential(digits - 1).split("e");
  const power = Number(exponent);
  const text = power < -3 || power > 4
    ? `${trimmed(mantissa)}×${powerOfTen(power)}`
    : trimmed(Number(value.toPrecision(digits)).toFixed(Math.max(0, digits - 1 - power)));
  return text.replace("-", "−");
}

function trimmed(text) {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

/** A signed number: what rises or falls shows it. */
function signed(value, digits = 4) {
  return value > 0 ? `+${number(value, digits)}` : number(value, digits);
}
