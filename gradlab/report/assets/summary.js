// The summary: one row per loss, or per step of a training, sortable by every column.

const order = { column: null, down: true };

function cellText(value, format) {
  if (value === null) return "–";
  if (format === "text") return String(value);
  const size = Number(value);
  const forms = { number: () => number(size, 3), short: () => number(size, 1),
    signed: () => signed(size, 2), percent: () => `${Math.round(100 * size)} %`,
    decimal: () => size.toFixed(2).replace("-", "−") };
  return forms[format]();
}

function sortRows(rows, column) {
  if (column === null) return rows;
  const key = (row) => {
    const value = row[column];
    return typeof value === "string" && Number.isNaN(Number(value))
      ? value : Number(value);
  };
  const sign = order.down ? -1 : 1;
  const gaps = rows.filter((row) => row[column] === null);
  const whole = rows.filter((row) => row[column] !== null);
  whole.sort((a, b) => sign * (key(a) < key(b) ? -1 : Number(key(a) > key(b))));
  return [...whole, ...gaps]; // what has no number comes last, whatever the order
}

function drawSummary(run, state, choose) {
  const table = run.summary;
  byId("summary").hidden = !table;
  if (!table) return;
  const every = byId("every-column").checked;
  const places = table.columns.map((_, i) => i)
    .filter((i) => every || table.columns[i].main);
  const redraw = (column) => {
    order.down = order.column === column ? !order.down : true;
    order.column = column;
    drawSummary(run, state, choose);
    byId("summary-table").querySelector(`[data-column="${column}"]`).focus();
  };
  const head = make("tr", {},
    ...places.map((i) => headCell(run, table.columns[i], i, redraw)));
  const rows = sortRows(table.rows, order.column)
    .map((row) => bodyRow(run, table, row, places, choose));
  byId("summary-table").replaceChildren(
    make("thead", {}, head), make("tbody", {}, ...rows));
  markLoss(state.loss);
  drawNotes(places.map((i) => table.columns[i]));
}

/** Shows which loss is on the page. */
function markLoss(loss) {
  for (const row of byId("summary-table").querySelectorAll("tbody tr")) {
    if (Number(row.dataset.loss) === loss) row.setAttribute("aria-current", "true");
    else row.removeAttribute("aria-current");
  }
}

function headCell(run, column, place, redraw) {
  const sorted = order.column === place;
  const state = sorted ? (order.down ? "descending" : "ascending") : "none";
  const button = make("button", { type: "button", "data-column": place });
  write(button, column.key === "loss" ? run.rows : column.heading);
  button.addEventListener("click", () => redraw(place));
  return make("th", { scope: "col", "aria-sort": state, "data-format": column.format },
    button);
}

function bodyRow(run, table, row, places, choose) {
  const label = row[table.columns.findIndex((column) => column.key === "loss")];
  const loss = run.losses.findIndex((one) => one.label === label);
  const node = make("tr", { "data-loss": loss });
  for (const i of places) {
    const column = table.columns[i];
    if (column.key === "loss" && loss >= 0) {
      const button = write(make("button", { type: "button" }), label);
      button.addEventListener("click", () => choose(loss));
      node.append(make("th", { scope: "row" }, button));
    } else {
      const cell = make("td", { "data-format": column.format, "data-key": visible(column.key),
        "data-value": row[i] === null ? "" : visible(row[i]) });
      node.append(write(cell, cellText(row[i], column.format)));
    }
  }
  return node;
}

function drawNotes(columns) {
  byId("summary-notes").replaceChildren(...columns.filter((c) => c.note).flatMap((c) => [
    write(make("dt"), c.heading), write(make("dd"), c.note)]));
}
