// Colour scales: symmetric around 0, linear, or logarithmic where magnitudes differ
// widely; the same rule as in the figures of gradlab.plotting.

const WIDE = 12; // largest over small magnitude from which a scale is logarithmic
const MAX_DECADES = 6;
const LINEAR_PART = 0.6 / 0.9; // decades that the part around 0 takes

/** A map from [-largest, largest] to [-1, 1]; `threshold` is where logs begin. */
function makeScale([largest, small], linear = false) {
  const top = largest > 0 && Number.isFinite(largest) ? largest : 1;
  if (linear || !(largest > 0) || top / small < WIDE) {
    return { top, threshold: null, place: (value) => clamp(value / top) };
  }
  const high = Math.ceil(Math.log10(top));
  const power = Math.max(Math.floor(Math.log10(small)), high - MAX_DECADES);
  const threshold = 10 ** power;
  const stretch = (size) => (size <= threshold
    ? (size / threshold) * LINEAR_PART
    : LINEAR_PART + Math.log10(size / threshold));
  const whole = stretch(top);
  const place = (value) => clamp((Math.sign(value) * stretch(Math.abs(value))) / whole);
  return { top, threshold, place };
}

const clamp = (x) => Math.max(-1, Math.min(1, x));

/** Largest magnitude, and the one that 5 % stay under: as the page's data have them. */
function magnitudes(values) {
  const sizes = Float64Array.from(values, Math.abs)
    .filter((size) => size > 0 && Number.isFinite(size))
    .sort();
  if (!sizes.length) return [0, 0];
  const place = 0.05 * (sizes.length - 1);
  const [low, high] = [sizes[Math.floor(place)], sizes[Math.ceil(place)]];
  return [sizes[sizes.length - 1], low + (place % 1) * (high - low)];
}

/** Values that the legend names: 0 and at most three on each side of it. */
function scaleTicks({ top, threshold }, oneSided) {
  let up = [top];
  if (threshold !== null) {
    const low = Math.round(Math.log10(threshold));
    const high = Math.floor(Math.log10(top) + 1e-9);
    const step = Math.max(1, Math.ceil((high - low + 1) / 3));
    up = [];
    for (let p = high; p >= low && up.length < 3; p -= step) up.push(10 ** p);
  }
  const down = oneSided ? [] : up.map((tick) => -tick);
  return [...down, 0, ...[...up].reverse()];
}

function tickText(value) {
  const power = Math.log10(Math.abs(value));
  if (value !== 0 && Math.abs(power - Math.round(power)) < 1e-9
    && Math.abs(Math.round(power)) > 2) {
    return `${value < 0 ? "−" : ""}${powerOfTen(Math.round(power))}`;
  }
  return number(value, 2);
}

/** Colours a node by where its value lies on the scale; style.css does the rest. */
function paint(node, value, scale, quantity) {
  let kind = "gap"; // not a number
  if (!Number.isNaN(value)) {
    const place = scale.place(value);
    kind = hueOf(value, quantity);
    node.style.setProperty("--share", Math.abs(place).toFixed(3));
  }
  if (node.dataset.hue !== kind) node.dataset.hue = kind;
}

/** up: the token is raised; down: it is lowered; size: no such meaning. */
function hueOf(value, quantity) {
  if (quantity.raises === 0) return "size";
  return value * quantity.raises >= 0 ? "up" : "down";
}

const STEPS = 41; // patches of the legend's bar

function drawLegend(scale, quantity, lossLabel, scope) {
  const oneSided = quantity.raises === 0;
  const negative = quantity.key.endsWith("logp");
  const title = byId("legend-title");
  const name = quantity.each_loss ? `${lossLabel} · ${quantity.label}` : quantity.label;
  write(title, `${name} (${quantity.unit})`);
  const patches = [];
  for (let i = 0; i < STEPS; i++) {
    const along = oneSided ? i / (STEPS - 1) : (2 * i) / (STEPS - 1) - 1;
    const patch = make("span");
    patch.style.setProperty("--share", Math.abs(along).toFixed(3));
    patch.dataset.hue = hueOf(along, quantity);
    patches.push(patch);
  }
  byId("bar").replaceChildren(...patches);
  byId("ticks").replaceChildren(...scaleTicks(scale, oneSided).map((tick) => {
    const node = make("span", {}, tickText(negative ? -tick : tick));
    const place = scale.place(tick);
    node.style.left = `${100 * (oneSided ? place : (place + 1) / 2)}%`;
    return node;
  }));
  byId("legend-note").textContent = legendNote(quantity, scale, scope);
}

function legendNote(quantity, scale, scope) {
  const form = scale.threshold === null
    ? "Linear scale"
    : `Logarithmic scale, linear below ${tickText(scale.threshold)}`;
  const [low, high] = quantity.raises < 0 ? ["Blue", "orange"] : ["Orange", "blue"];
  const meaning = quantity.raises === 0
    ? `The stronger the colour, ${quantity.high}`
    : `${low} (negative): ${quantity.low}; ${high} (positive): ${quantity.high}`;
  return `${meaning}. ${form}; one for both sides, fitted to ${scope}. Framed: the `
    + "first token that differs.";
}
