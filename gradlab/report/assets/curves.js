// What was followed over a training: one quantity, a line for each probe set of a run,
// or for each run. The legend gives the numbers at the step under the guide.

const CURVED = RUNS.filter((one) => one.curves.length);
const HUES = 7; // colours; further lines are dashed
const drawn = { lines: [], frame: null, svg: null, step: null };
const hiddenLines = new Set();

/** The quantities to choose from: those of the run, or of any run. */
function curveEntries(run) {
  if (state.compare === "sets") return run.curves;
  const entries = CURVED.flatMap((one) => one.curves);
  return entries.filter((entry, i) =>
    entries.findIndex((other) => other.key === entry.key) === i);
}

/** Sets of a quantity, over all runs. */
function setsOf(key) {
  const found = CURVED.flatMap((one) => one.curves)
    .filter((entry) => entry.key === key)
    .flatMap((entry) => Object.keys(entry.series));
  return [...new Set(found)];
}

function curveLines(run, key) {
  const series = (one) => one.curves.find((entry) => entry.key === key)?.series ?? {};
  const lines = state.compare === "sets"
    ? Object.entries(series(run)).map(([name, points]) => ({ name, ...points }))
    : CURVED.filter((one) => Object.hasOwn(series(one), state.set))
      .map((one) => ({ name: one.name, ...series(one)[state.set] }));
  return lines.map((line, i) => ({ ...line, hue: i % HUES,
    dash: Math.floor(i / HUES) % 3, hidden: hiddenLines.has(line.name) }));
}

function fillQuantities(entries) {
  const groups = { probes: "Probed texts", training: "Batches of the training" };
  byId("curve").replaceChildren(...Object.entries(groups).flatMap(([source, label]) => {
    const own = entries.filter((entry) => entry.source === source);
    const options = own.map((entry) => make("option", { value: visible(entry.key) },
      visible(entry.label)));
    return own.length ? [make("optgroup", { label }, ...options)] : [];
  }));
}

/** Draws everything about the curves of the run that is open. */
function drawCurves(run) {
  const there = CURVED.length > 0 && (state.compare === "runs" || run.curves.length > 0);
  byId("curves").hidden = !there;
  if (!there) return;
  const entries = curveEntries(run);
  fillQuantities(entries);
  const entry = entries.find((one) => visible(one.key) === state.curve) ?? entries[0];
  state.curve = visible(entry.key);
  const sets = setsOf(entry.key);
  if (!sets.includes(state.set)) [state.set] = sets;
  fill(byId("set"), sets.map((name) => [visible(name), name]));
  byId("set").selectedIndex = sets.indexOf(state.set);
  byId("set-choice").hidden = state.compare === "sets";
  byId("compare-choice").hidden = CURVED.length < 2;
  for (const id of ["curve", "compare", "axis"]) byId(id).value = state[id];
  drawn.lines = curveLines(run, entry.key);
  const which = state.compare === "runs" && sets.length > 1 ? `, ${state.set}` : "";
  const unit = entry.unit ? ` (${entry.unit})` : "";
  write(byId("curves-title"), `Over training: ${entry.label}${which}${unit}`);
  byId("curve-note").textContent = curveNote(entry);
  drawn.entry = entry;
  drawn.step = null;
  drawChart();
  drawCurveTable();
}

function curveNote(entry) {
  if (entry.source === "training") {
    return "Means over the batches since the line before, as metrics.jsonl has them.";
  }
  const band = drawn.lines.some((line) => line.low) ? ` Lines: ${entry.band}.` : "";
  const what = entry.key === "probes:answers" ? "problems" : "texts";
  return `The same ${what} at every step.${band}`;
}

/** The SVG for the width that there is, and the legend. */
function drawChart() {
  const plot = byId("plot");
  const width = Math.max(260, Math.round(plot.clientWidth) || 640);
  drawn.frame = makeFrame(drawn.lines, state.axis, width);
  drawn.svg = chartSvg(drawn.frame, drawn.lines, state.axis);
  plot.replaceChildren(drawn.svg);
  drawLegendOfLines();
  const { steps } = drawn.frame;
  readStep(steps.includes(drawn.step) ? drawn.step : steps[steps.length - 1]);
}

function drawLegendOfLines() {
  byId("lines").replaceChildren(...drawn.lines.map((line) => {
    const swatch = makeSvg("svg", { viewBox: "0 0 24 10", "aria-hidden": "true" },
      makeSvg("path", { d: "M0 5H24", class: "line", "data-line": line.hue,
        "data-dash": line.dash }));
    const button = make("button", { type: "button", "aria-pressed": String(!line.hidden) },
      swatch, write(make("span"), line.name));
    button.addEventListener("click", () => {
      if (!hiddenLines.delete(line.name)) hiddenLines.add(line.name);
      line.hidden = hiddenLines.has(line.name);
      const place = [...byId("lines").children].indexOf(button.parentNode);
      drawChart();
      byId("lines").children[place].querySelector("button").focus();
    });
    return make("li", {}, button, make("span", { class: "reading" }));
  }));
}

/** The number of a line at a step, with its band. */
function reading(line, step) {
  const i = line.step.indexOf(step);
  const value = (values) => number(Number(values?.[i] ?? NaN));
  if (i < 0) return "–";
  const band = line.low && line.low[i] !== null
    ? ` [${value(line.low)}, ${value(line.high)}]` : "";
  return `${value(line.value)}${band}`;
}

/** Moves the guide to a step and gives the numbers there. */
function readStep(step) {
  if (step === undefined) return;
  drawn.step = step;
  moveGuide(drawn.svg, drawn.frame, step);
  byId("reading-step").textContent = `step ${step}`;
  const texts = drawn.lines.map((line) => reading(line, step));
  [...byId("lines").querySelectorAll(".reading")].forEach((node, i) => {
    node.textContent = texts[i];
  });
  const plot = byId("plot");
  const { steps } = drawn.frame;
  plot.setAttribute("aria-valuemin", steps[0]);
  plot.setAttribute("aria-valuemax", steps[steps.length - 1]);
  plot.setAttribute("aria-valuenow", step);
  plot.setAttribute("aria-valuetext", `step ${step}: ${drawn.lines
    .map((line, i) => `${visible(line.name)} ${texts[i]}`).join("; ")}`);
}

function drawCurveTable() {
  const table = byId("curve-table");
  table.replaceChildren();
  if (!byId("curve-numbers").open || !drawn.frame) return;
  const head = make("tr", {}, make("th", { scope: "col" }, "step"),
    ...drawn.lines.map((line) => write(make("th", { scope: "col" }), line.name)));
  const rows = drawn.frame.steps.map((step) => make("tr", {},
    make("th", { scope: "row" }, String(step)),
    ...drawn.lines.map((line) => make("td", {}, reading(line, step)))));
  table.append(make("thead", {}, head), make("tbody", {}, ...rows));
}

function listenCurves() {
  for (const id of ["curve", "compare", "axis"]) {
    byId(id).addEventListener("change", (e) => change({ [id]: e.target.value }));
  }
  byId("set").addEventListener("change",
    (e) => change({ set: setsOf(drawn.entry.key)[e.target.selectedIndex] }));
  byId("curve-controls").addEventListener("submit", (event) => event.preventDefault());
  byId("curve-numbers").addEventListener("toggle", drawCurveTable);
  const plot = byId("plot");
  plot.addEventListener("mousemove", (event) => {
    const at = event.clientX - plot.getBoundingClientRect().left;
    const away = (step) => Math.abs(drawn.frame.x(step) - at);
    readStep(drawn.frame.steps.reduce((a, b) => (away(b) < away(a) ? b : a)));
  });
  plot.addEventListener("keydown", (event) => {
    const { steps } = drawn.frame;
    const at = steps.indexOf(drawn.step);
    const next = { ArrowRight: at + 1, ArrowUp: at + 1, ArrowLeft: at - 1,
      ArrowDown: at - 1, Home: 0, End: steps.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    readStep(steps[Math.max(0, Math.min(steps.length - 1, next))]);
  });
  new ResizeObserver(() => {
    if (drawn.frame && Math.abs(plot.clientWidth - drawn.frame.width) > 4) drawChart();
  }).observe(plot);
}
