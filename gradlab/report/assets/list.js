// The list of pairs: search, filters, order.

/** By what responses fall: the predicted drift; in a training that since its start. */
const fallingQuantity = (run) => ["drift", "predicted"].find((key) => run.quantity(key));

/** Which responses fall under the loss, from the sums of the drift. */
async function fallsOf(run, loss) {
  const key = fallingQuantity(run);
  if (!key) return null;
  const values = await run.values(loss, key);
  return Object.fromEntries(SIDES.map((side) => [
    side,
    Array.from({ length: run.count }, (_, pair) => run.sum(values, pair, side) < 0),
  ]));
}

function bound(id, otherwise) {
  const value = byId(id).value;
  return value === "" ? otherwise : Number(value);
}

const longer = (run, pair) => Math.max(...SIDES.map((s) => run.pairs.lengths[s][pair]));

/** Texts in lower case, made once, for the search. */
function haystack(run, pair) {
  run.search ??= [];
  run.search[pair] ??= [run.pairs.prompt[pair],
    ...SIDES.map((side) => run.responseText(pair, side))].join("\n").toLowerCase();
  return run.search[pair];
}

function fallsMatch(choice, falls, pair) {
  if (!choice || !falls) return true;
  const [chosen, rejected] = SIDES.map((side) => falls[side][pair]);
  const kinds = { chosen, rejected, both: chosen && rejected,
    none: !chosen && !rejected };
  return kinds[choice];
}

/** The pairs that pass search and filters, in order. */
function selected(run, falls) {
  const needle = byId("search").value.toLowerCase();
  const edit = [bound("edit-low", 0), bound("edit-high", Infinity)];
  const length = [bound("length-low", 0), bound("length-high", Infinity)];
  const within = (value, [low, high]) => value >= low && value <= high;
  const passing = [];
  for (let pair = 0; pair < run.count; pair++) {
    if (within(run.pairs.edit[pair], edit)
      && within(longer(run, pair), length)
      && fallsMatch(byId("falls").value, falls, pair)
      && (!needle || haystack(run, pair).includes(needle))) passing.push(pair);
  }
  const keys = { number: (p) => p, edit: (p) => run.pairs.edit[p],
    length: (p) => longer(run, p), first: (p) => run.pairs.first[p] };
  const key = keys[byId("sort").value];
  return passing.sort((a, b) => key(a) - key(b) || a - b);
}

/** What differs: the last shared words, then what each side goes on with. */
function snippet(run, pair, side) {
  const [start, end] = run.range(pair, side);
  const at = start + run.pairs.first[pair];
  let [before, after] = ["", ""];
  for (let t = Math.max(start, at - 3); t < Math.min(at, end); t++) before += run.text(t);
  for (let t = at; t < end && after.length < 40; t++) after += run.text(t);
  const flat = (text) => visible(text.replace(/\s+/g, " "));
  const text = make("span", { class: "snippet" }, flat(before), make("b", {}, flat(after)));
  const arrow = make("span", { class: "arrow", role: "img", hidden: "",
    "data-side": side, "aria-label": `${side} falls` }, "↓");
  return make("span", { class: "line" }, text, arrow);
}

function drawList(run, state, falls) {
  const pairs = selected(run, falls);
  byId("count").textContent = `${pairs.length} of ${run.count} pairs`;
  byId("pairs").replaceChildren(...pairs.map((pair) => {
    const facts = `edit ${number(run.pairs.edit[pair], 2)} · ${longer(run, pair)} tokens`;
    const node = make("li", { role: "option", id: `pair-${pair}`,
      "aria-selected": pair === state.pair },
    make("span", { class: "number" }, run.pairs.number[pair]),
    ...SIDES.map((side) => snippet(run, pair, side)),
    make("small", {}, facts));
    node.dataset.pair = pair;
    return node;
  }));
  markFalls(falls);
  markPair(state.pair);
}

/** Another loss: other responses fall; the list itself changes only if it says so. */
function updateList(run, state, falls) {
  if (byId("falls").value) drawList(run, state, falls);
  else markFalls(falls);
}

function markFalls(falls) {
  for (const arrow of byId("pairs").querySelectorAll(".arrow")) {
    const { pair } = arrow.closest("li").dataset;
    const hidden = !falls?.[arrow.dataset.side][pair];
    if (arrow.hidden !== hidden) arrow.hidden = hidden;
  }
}

/** Shows which pair is open, and scrolls the list (not the page) to it. */
function markPair(pair) {
  const list = byId("pairs");
  for (const node of list.children) {
    node.setAttribute("aria-selected", Number(node.dataset.pair) === pair);
  }
  const node = byId(`pair-${pair}`);
  if (!node) {
    list.removeAttribute("aria-activedescendant");
    return;
  }
  list.setAttribute("aria-activedescendant", node.id);
  const [top, bottom] = [node.offsetTop, node.offsetTop + node.offsetHeight];
  if (top < list.scrollTop) list.scrollTop = top;
  if (bottom > list.scrollTop + list.clientHeight) {
    list.scrollTop = bottom - list.clientHeight;
  }
}

/** The pair so many places further in the list as it is filtered now. */
function stepInList(pair, places) {
  const pairs = [...byId("pairs").children].map((node) => Number(node.dataset.pair));
  const at = pairs.indexOf(pair);
  const next = at < 0 ? 0 : Math.max(0, Math.min(pairs.length - 1, at + places));
  return pairs.length ? pairs[next] : pair;
}
