// The tokens as bars: chosen above, rejected below, aligned at the first difference.

const SVG = "http://www.w3.org/2000/svg";
const LANE = 60; // height of a lane; half of it on each side of its zero

function makeSvg(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** The bars of one side: one path for each colour, so that long texts draw at once. */
function laneBars(run, pair, side, values, scale, quantity, zero) {
  const [start, end] = run.range(pair, side);
  const paths = {};
  for (let token = start; token < end; token++) {
    const value = values[token];
    if (Number.isNaN(value) || value === 0) continue;
    const size = Math.abs(scale.place(value)) * (LANE / 2 - 3);
    const up = quantity.raises === 0 || value * quantity.raises > 0;
    const hue = hueOf(value, quantity);
    const x = token - start + 0.1;
    paths[hue] = `${paths[hue] ?? ""}M${x} ${zero}v${(up ? -size : size).toFixed(2)}h.8V${zero}z`;
  }
  return Object.entries(paths).map(([hue, d]) => makeSvg("path", { d, "data-hue": hue }));
}

function drawProfile(run, pair, values, scale, quantity, sides) {
  const lanes = SIDES.filter((side) => sides === "both" || sides === side);
  const width = Math.max(...lanes.map((side) => run.pairs.lengths[side][pair]));
  const height = LANE * lanes.length;
  const first = run.pairs.first[pair];
  const parts = [];
  lanes.forEach((side, row) => {
    const zero = quantity.raises === 0 ? LANE * (row + 1) - 6 : LANE * (row + 0.5);
    parts.push(makeSvg("line", { x1: 0, x2: width, y1: zero, y2: zero }));
    parts.push(...laneBars(run, pair, side, values, scale, quantity, zero));
  });
  const frame = { x: first, y: 1, width: 1, height: height - 2, class: "first" };
  if (first < width) parts.push(makeSvg("rect", frame));
  const svg = makeSvg("svg", {
    viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true",
  }, ...parts);
  svg.style.height = `${height}px`;
  const names = make("div", { class: "lanes", "aria-hidden": "true" },
    ...lanes.map((side) => make("span", {}, side)));
  const note = make("figcaption", {}, profileNote(quantity));
  byId("profile").replaceChildren(names, svg, note);
}

function profileNote(quantity) {
  const meaning = quantity.raises === 0
    ? "Higher: larger in size"
    : "Upwards, blue: raised; downwards, orange: lowered";
  return `The same numbers along the tokens, on the same scale. ${meaning}.`;
}

/** The token node under the pointer. */
function tokenAt(event) {
  const svg = byId("profile").querySelector("svg");
  const box = svg.getBoundingClientRect();
  const lanes = SIDES.filter((side) => shown[side].length);
  const row = Math.floor(((event.clientY - box.top) / box.height) * lanes.length);
  const width = Math.max(...lanes.map((side) => shown[side].length));
  const place = Math.floor(((event.clientX - box.left) / box.width) * width);
  return lanes[row] && shown[lanes[row]][place];
}
