// The text of a pair: both responses token by token, aligned at the first difference.

/** The token nodes of both sides, in order; rebuilt for every pair. */
const shown = { chosen: [], rejected: [] };

function drawText(run, pair, sides) {
  const columns = SIDES.filter((side) => sides === "both" || sides === side);
  for (const side of SIDES) shown[side] = [];
  byId("sides").dataset.columns = columns.length;
  byId("sides").replaceChildren(...columns.map((side) => drawSide(run, pair, side)));
}

function drawSide(run, pair, side) {
  const [start, end] = run.range(pair, side);
  const first = run.pairs.first[pair];
  const before = make("div", { role: "group", class: "before",
    "aria-label": "before the first difference" });
  const after = make("div", { role: "group", class: "after",
    "aria-label": "from the first difference on" });
  for (let token = start; token < end; token++) {
    const place = token - start;
    const node = make("span", { role: "option", class: "token", tabindex: -1 });
    node.dataset.token = token;
    write(node, run.text(token), { breaks: true });
    if (place === first) node.classList.add("first");
    (place < first ? before : after).append(node);
    shown[side].push(node);
  }
  if (shown[side].length) shown[side][0].tabIndex = 0;
  const label = `${side} response, ${end - start} tokens; arrow keys move between them`;
  return make("section", { class: "side", "data-side": side },
    make("h3", {}, side, make("span", { class: "sum" })),
    make("div", { role: "listbox", class: "tokens", "aria-label": label,
      "aria-orientation": "horizontal" }, before, after));
}

function colourText(run, pair, values, scale, quantity) {
  for (const side of SIDES) {
    const [start] = run.range(pair, side);
    shown[side].forEach((node, i) => paint(node, values[start + i], scale, quantity));
    const head = byId("sides").querySelector(`[data-side=${side}] .sum`);
    if (head) head.textContent = sumText(run, pair, side, values, quantity);
  }
}

function sumText(run, pair, side, values, quantity) {
  const total = run.sum(values, pair, side);
  const text = quantity.raises > 0 ? signed(total, run.digits) : number(total, run.digits);
  return `${run.pairs.lengths[side][pair]} tokens, Σ ${text} ${quantity.unit}`;
}

/** The node that an arrow key leads to; up and down change the side. */
function neighbour(node, key) {
  const side = SIDES.find((name) => shown[name].includes(node));
  const place = shown[side].indexOf(node);
  const other = shown[SIDES[1 - SIDES.indexOf(side)]];
  const last = shown[side].length - 1;
  const target = {
    ArrowRight: shown[side][Math.min(place + 1, last)],
    ArrowLeft: shown[side][Math.max(place - 1, 0)],
    Home: shown[side][0],
    End: shown[side][last],
    ArrowUp: other[Math.min(place, other.length - 1)],
    ArrowDown: other[Math.min(place, other.length - 1)],
  };
  return target[key];
}

/** One tab stop per side, and the arrow keys between its tokens. */
function moveFocus(event) {
  const node = event.target.closest(".token");
  const next = node && neighbour(node, event.key);
  if (!next) return;
  event.preventDefault();
  for (const side of SIDES) {
    if (shown[side].includes(next)) for (const one of shown[side]) one.tabIndex = -1;
  }
  next.tabIndex = 0;
  next.focus();
}
