// The numbers of one token, beside it, on hover and on keyboard focus.

let carded = null; // the node that the card is about

async function showCard(node, run, state) {
  carded = node;
  const token = Number(node.dataset.token);
  const rows = await Promise.all(run.quantities.map(async (quantity) => {
    const values = await run.values(state.loss, quantity.key);
    return [quantity, values[token]];
  }));
  if (carded !== node) return;
  const card = byId("card");
  const name = write(make("strong"), run.text(token));
  const [side, place] = placeOf(run, state.pair, token);
  const where = `${side}, position ${place}, id ${run.id(token)}`;
  const list = make("dl");
  for (const [quantity, value] of rows) {
    const current = quantity.key === state.quantity ? "current" : null;
    const text = quantity.raises > 0 ? signed(value, run.digits) : number(value, run.digits);
    list.append(
      make("dt", { class: current }, quantity.label),
      make("dd", { class: current, "data-key": quantity.key }, text,
        make("small", {}, ` ${quantity.unit}`)),
    );
  }
  card.replaceChildren(name, make("p", {}, where), list);
  const now = rows.find(([quantity]) => quantity.key === state.quantity);
  node.setAttribute("aria-label", `${visible(run.text(token))}; ${where}; `
    + `${now[0].label} ${number(now[1], run.digits)} ${now[0].unit}`);
  card.hidden = false;
  placeCard(card, node);
}

function placeOf(run, pair, token) {
  const side = SIDES.find((name) => {
    const [start, end] = run.range(pair, name);
    return token >= start && token < end;
  });
  return [side, token - run.range(pair, side)[0]];
}

/** Below the token, or above it where the window ends. */
function placeCard(card, node) {
  const box = node.getClientRects()[0];
  const size = card.getBoundingClientRect();
  const left = Math.min(box.left, window.innerWidth - size.width - 8);
  const below = box.bottom + 8;
  const fits = below + size.height < window.innerHeight;
  card.style.left = `${Math.max(8, left)}px`;
  card.style.top = `${fits ? below : Math.max(8, box.top - size.height - 8)}px`;
}

function hideCard() {
  carded = null;
  byId("card").hidden = true;
}
