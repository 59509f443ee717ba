// Lines over the steps of a training as plain SVG: bands, lines, a guide at one step.

const CHART_HEIGHT = 300;
const MARGIN = { left: 62, right: 14, top: 12, bottom: 42 };

/** At most about `count` round numbers between two others. */
function roundTicks(low, high, count) {
  const raw = (high - low) / count;
  const unit = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((f) => f * unit).find((size) => size >= raw * 0.999);
  const ticks = [];
  for (let n = Math.ceil(low / step); n * step <= high; n++) ticks.push(n * step);
  return ticks;
}

/** The logarithm counts from step 0: 0, 1, 10, 100 stand about equally far apart. */
const AXES = {
  log: {
    place: (step) => Math.log10(1 + step),
    ticks: (last) => [0, ...Array.from({ length: 12 }, (_, i) => 10 ** i)
      .filter((step) => step <= last)],
  },
  linear: {
    place: (step) => step,
    ticks: (last) => roundTicks(0, Math.max(1, last), 6).filter(Number.isInteger),
  },
};

/** Smallest and largest number of the lines and their bands, with a little room. */
function extent(lines) {
  let [low, high] = [Infinity, -Infinity];
  for (const line of lines) {
    for (const part of [line.value, line.low, line.high]) {
      for (const value of part ?? []) {
        const size = Number(value ?? NaN);
        if (Number.isFinite(size)) [low, high] = [Math.min(low, size), Math.max(high, size)];
      }
    }
  }
  if (low > high) return [0, 1];
  const room = (high - low) * 0.05 || Math.abs(high) * 0.1 || 1;
  return [low - room, high + room];
}

/** Where steps and numbers lie on a chart that is so many pixels wide. */
function makeFrame(lines, axis, width) {
  const { place } = AXES[axis];
  const steps = [...new Set(lines.flatMap((line) => line.step))].sort((a, b) => a - b);
  const [low, high] = extent(lines.filter((line) => !line.hidden));
  const [first, last] = [place(steps[0] ?? 0), place(steps[steps.length - 1] ?? 1)];
  const across = width - MARGIN.left - MARGIN.right;
  const down = CHART_HEIGHT - MARGIN.top - MARGIN.bottom;
  return {
    width, steps, low, high,
    x: (step) => MARGIN.left + (across * (place(step) - first)) / (last - first || 1),
    y: (value) => MARGIN.top + (down * (high - value)) / (high - low),
  };
}

/** The path through the points; a number that is none breaks it. */
function pathOf(frame, steps, values) {
  let path = "";
  let pen = "M";
  steps.forEach((step, i) => {
    const value = Number(values[i] ?? NaN);
    if (!Number.isFinite(value)) pen = "M";
    else {
      path += `${pen}${frame.x(step).toFixed(1)} ${frame.y(value).toFixed(1)}`;
      pen = "L";
    }
  });
  return path;
}

function bandOf(frame, line) {
  if (!line.low || !line.high) return [];
  const known = line.step.map((_, i) => i)
    .filter((i) => line.low[i] !== null && line.high[i] !== null);
  const pick = (values) => known.map((i) => values[i]);
  const there = pathOf(frame, pick(line.step), pick(line.high));
  const back = pathOf(frame, pick(line.step).reverse(), pick(line.low).reverse());
  const d = `${there}${back.replace("M", "L")}z`;
  return known.length ? [makeSvg("path", { d, class: "band", "data-line": line.hue })] : [];
}

function chartAxes(frame, axis) {
  const { width, x, y, low, high, steps } = frame;
  const bottom = CHART_HEIGHT - MARGIN.bottom;
  const label = (text, attributes) => makeSvg("text", attributes, text);
  const parts = [];
  for (const tick of roundTicks(low, high, 5)) {
    const at = y(tick);
    const kind = Math.abs(tick) < 1e-9 * (high - low) ? "zero" : "grid";
    parts.push(makeSvg("line", { x1: MARGIN.left, x2: width - MARGIN.right, y1: at, y2: at,
      class: kind }));
    const shown = kind === "zero" ? "0" : number(tick, 3);
    parts.push(label(shown, { x: MARGIN.left - 8, y: at + 4, class: "y" }));
  }
  const last = steps[steps.length - 1] ?? 0;
  for (const tick of AXES[axis].ticks(last).filter((step) => step >= (steps[0] ?? 0))) {
    parts.push(label(String(tick), { x: x(tick), y: bottom + 16, class: "x" }));
  }
  parts.push(label("steps", { x: (MARGIN.left + width - MARGIN.right) / 2,
    y: CHART_HEIGHT - 4, class: "x" }));
  return parts;
}

/** The chart itself; its guide is moved by `moveGuide`. */
function chartSvg(frame, lines, axis) {
  const seen = lines.filter((line) => !line.hidden);
  return makeSvg("svg", { viewBox: `0 0 ${frame.width} ${CHART_HEIGHT}`,
    "aria-hidden": "true" },
  ...chartAxes(frame, axis),
  ...seen.flatMap((line) => bandOf(frame, line)),
  ...seen.map((line) => makeSvg("path", { d: pathOf(frame, line.step, line.value),
    class: "line", "data-line": line.hue, "data-dash": line.dash })),
  makeSvg("line", { class: "guide", y1: MARGIN.top, y2: CHART_HEIGHT - MARGIN.bottom }));
}

function moveGuide(svg, frame, step) {
  const guide = svg.querySelector(".guide");
  for (const end of ["x1", "x2"]) guide.setAttribute(end, frame.x(step));
}
