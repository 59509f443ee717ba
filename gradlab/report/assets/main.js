// What is shown, and what changes it.

const state = { run: 0, pair: 0, loss: 0, quantity: "weight", side: "both",
  scale: "loss", form: "auto", curve: "", compare: "sets", set: "", axis: "log" };
const OPTIONS = ["side", "scale", "form"]; // controls with fixed choices
const CURVE_CHOICES = ["curve", "compare", "set", "axis"];
let turn = 0; // of two drawings under way only the later one may finish

const run = () => RUNS[state.run];

/** What a scale was fitted to; the rows of a training are its steps. */
function scopeOf(scale) {
  const { rows, count } = run();
  const pairs = count > 1 ? "all pairs on this page" : "this pair";
  return { loss: `${pairs} for this ${rows}`, pair: `this pair for this ${rows}`,
    all: `${pairs} for all ${PLURALS[rows]}` }[scale];
}

const PLURALS = { loss: "losses", step: "steps" };
const COUNTED = { loss: "pairs", step: "probed pairs" };

/** Names what the page calls losses, by what they are in this run. */
function nameRows(rows) {
  byId("loss-name").textContent = rows === "loss" ? "Loss" : "Step";
  byId("scale-of-one").textContent = `this ${rows}`;
  byId("scale-of-all").textContent = `all ${PLURALS[rows]}`;
  const title = byId("summary-title");
  if (title) title.textContent = `All ${PLURALS[rows]}`;
}

/** The loss that is shown first; of a training, the last step. */
const firstLoss = (one) => (one.rows === "step" ? Math.max(0, one.losses.length - 1) : 0);

function fill(select, labels) {
  select.replaceChildren(...labels.map(([value, label]) => {
    const option = make("option", { value });
    option.textContent = visible(label);
    return option;
  }));
}

/** Everything that depends on the run alone. */
async function openRun() {
  const current = run();
  await current.open();
  if (current !== run()) return undefined; // another one was chosen meanwhile
  nameRows(current.rows);
  for (const id of ["list", "pair"]) if (byId(id)) byId(id).hidden = !current.count;
  document.body.classList.toggle("textless", !current.count);
  if (current.count) {
    fill(byId("loss"), current.losses.map((loss, i) => [i, loss.label]));
    fill(byId("quantity"), current.quantities.map((q) => [q.key, q.label]));
    if (!(state.loss < current.losses.length)) state.loss = firstLoss(current);
    state.pair = Math.min(state.pair, current.count - 1);
    if (!current.quantity(state.quantity)) state.quantity = current.quantities[0].key;
  }
  if (!PAGE.single) {
    const { command, policy, loss, created_utc: created } = current.manifest;
    const name = String(command ?? "").replace(/^gradlab /, "") || "report";
    write(byId("title"), name);
    document.title = visible(`gradlab ${name}: ${current.name}`);
    write(byId("facts"), [current.name, policy && `model ${policy}`, loss,
      current.total && `${current.total} ${COUNTED[current.rows]}`, created?.slice?.(0, 10)]
      .filter(Boolean).join(" · "));
    byId("run").value = state.run;
    byId("falls-choice").hidden = !fallingQuantity(current);
    drawProvenance(current);
    drawCurves(current);
    drawSummary(current, state, (place) => change({ loss: place }));
    if (current.count) drawList(current, state, await fallsOf(current, state.loss));
  }
  if (current.count) return drawPair();
  remember();
  document.body.dataset.drawn = ++turn;
}

/** Another pair or side: new text. */
async function drawPair() {
  hideCard();
  const current = run();
  const { pairs } = current;
  drawText(current, state.pair, state.side);
  const prompt = byId("prompt");
  prompt.hidden = !pairs.prompt[state.pair];
  write(prompt, pairs.prompt[state.pair], { breaks: true });
  byId("pair-title").textContent = `Pair ${pairs.number[state.pair]}`;
  byId("pair-facts").textContent = [
    pairs.row && `row ${pairs.row[state.pair]} of the data`,
    `edit distance ${number(pairs.edit[state.pair], 2)}`,
    `first difference at position ${pairs.first[state.pair]}`,
  ].filter(Boolean).join(" · ");
  if (!PAGE.single) markPair(state.pair);
  await drawNumbers();
}

function scaleFor(values) {
  const { loss, quantity, scale, pair } = state;
  const linear = state.form === "linear" || run().quantity(quantity).linear;
  if (scale === "all") return makeScale(run().scales[quantity], linear);
  if (scale === "loss") {
    return makeScale(run().home(loss, quantity).scales[quantity], linear);
  }
  const [start] = run().range(pair, "chosen");
  const [, end] = run().range(pair, "rejected");
  return makeScale(magnitudes(values.subarray(start, end)), linear);
}

/** Another loss, quantity or scale: new colours on the same text. */
async function drawNumbers() {
  const mine = ++turn;
  const current = run();
  const quantity = current.quantity(state.quantity);
  const values = await current.values(state.loss, state.quantity);
  if (mine !== turn) return;
  const scale = scaleFor(values);
  colourText(current, state.pair, values, scale, quantity);
  drawLegend(scale, quantity, current.losses[state.loss].label,
    scopeOf(state.scale));
  drawProfile(current, state.pair, values, scale, quantity, state.side);
  for (const id of ["loss", "quantity", ...OPTIONS]) byId(id).value = state[id];
  remember();
  if (!PAGE.single) {
    const falls = await fallsOf(current, state.loss);
    if (mine !== turn) return;
    updateList(current, state, falls);
    markLoss(state.loss);
  }
  document.body.dataset.drawn = mine;
  unpackAhead(current, state.quantity);
}

let ahead = ""; // for what `unpackAhead` was begun

/** Unpacks in idle moments what the other losses would show, so that they come at once. */
function unpackAhead(current, key) {
  const begun = `${state.run} ${key}`;
  if (begun === ahead) return;
  ahead = begun;
  const next = (loss) => requestIdleCallback(async () => {
    if (begun !== ahead || loss === current.losses.length) return;
    await Promise.all([current.values(loss, key), fallsOf(current, loss)]);
    next(loss + 1);
  });
  next(0);
}

/** Changes what is shown and draws as little as that needs. */
function change(changes) {
  Object.assign(state, changes);
  if ("run" in changes) {
    state.loss = firstLoss(run());
    return openRun();
  }
  if (CURVE_CHOICES.some((name) => name in changes)) {
    drawCurves(run());
    return remember();
  }
  if ("pair" in changes || "side" in changes) return drawPair();
  return drawNumbers();
}

/** The address names what is shown, so that a link leads to it. */
function remember() {
  if (PAGE.single) return;
  const hash = new URLSearchParams(state).toString();
  history.replaceState(null, "", `#${hash}`);
}

function recall() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  const place = (name, size, otherwise = 0) => {
    const value = Number(wanted.get(name) ?? NaN);
    return Number.isInteger(value) && value >= 0 && value < size ? value : otherwise;
  };
  state.run = place("run", RUNS.length);
  state.pair = place("pair", run().count);
  state.loss = place("loss", run().losses.length, firstLoss(run()));
  for (const id of ["curve", "set"]) state[id] = wanted.get(id) ?? "";
  for (const id of PAGE.single ? OPTIONS : [...OPTIONS, "compare", "axis"]) {
    const known = [...byId(id).options].some((o) => o.value === wanted.get(id));
    if (known) state[id] = wanted.get(id);
  }
  if (run().quantity(wanted.get("quantity"))) state.quantity = wanted.get("quantity");
}

function listen() {
  byId("loss").addEventListener("change", (e) => change({ loss: Number(e.target.value) }));
  for (const id of ["quantity", ...OPTIONS]) {
    byId(id).addEventListener("change", (e) => change({ [id]: e.target.value }));
  }
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  const texts = byId("sides");
  const card = (node) => (node ? showCard(node, run(), state) : hideCard());
  texts.addEventListener("keydown", moveFocus);
  for (const kind of ["mouseover", "focusin"]) {
    texts.addEventListener(kind, (event) => card(event.target.closest(".token")));
  }
  for (const kind of ["mouseleave", "focusout"]) texts.addEventListener(kind, hideCard);
  byId("profile").addEventListener("mousemove", (e) => card(tokenAt(e)));
  byId("profile").addEventListener("mouseleave", hideCard);
  document.addEventListener("keydown", (e) => { if (e.key === "Escape") hideCard(); });
  document.addEventListener("scroll", hideCard, { passive: true });
  if (PAGE.single) return;
  listenList();
  listenCurves();
}

function listenList() {
  const step = (places) => change({ pair: stepInList(state.pair, places) });
  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  byId("pairs").addEventListener("keydown", (event) => {
    const places = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 }[event.key];
    if (places === undefined) return;
    event.preventDefault();
    step(places);
  });
  byId("pairs").addEventListener("click", (event) => {
    const node = event.target.closest("li");
    if (node) change({ pair: Number(node.dataset.pair) });
  });
  const redraw = async () => drawList(run(), state, await fallsOf(run(), state.loss));
  for (const id of ["search", "edit-low", "edit-high", "length-low", "length-high",
    "falls", "sort"]) byId(id).addEventListener("input", redraw);
  byId("every-column").addEventListener("change",
    () => drawSummary(run(), state, (loss) => change({ loss })));
  byId("run").addEventListener("change", (e) => change({ run: Number(e.target.value) }));
  fill(byId("run"), RUNS.map((one, i) => [i, one.name]));
  byId("run-choice").hidden = RUNS.length < 2;
}

if (CURVED.length > 1) state.compare = "runs";
recall();
listen();
openRun();
