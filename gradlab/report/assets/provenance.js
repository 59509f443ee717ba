// The manifest: everything that says how the numbers came about.

// What a reader looks for first; the rest follows in folds.
const LEADING = ["command", "created_utc", "loss", "policy", "reference", "pairs", "steps",
  "rows", "notes",
  "data_digest", "seed", "dtype", "device", "wall_seconds", "commit", "python",
  "platform"];

function drawValue(value) {
  if (Array.isArray(value)) {
    return make("ul", {}, ...value.map((entry) => make("li", {}, drawValue(entry))));
  }
  if (value !== null && typeof value === "object") return drawEntries(value);
  return write(make("span"), value === null ? "–" : value);
}

function drawEntries(entries) {
  const list = make("dl");
  for (const [key, value] of Object.entries(entries)) {
    list.append(write(make("dt"), key.replaceAll("_", " ")),
      make("dd", {}, drawValue(value)));
  }
  return list;
}

function drawProvenance(run) {
  const manifest = run.manifest;
  const leading = LEADING.filter((key) => key in manifest);
  const others = Object.keys(manifest).filter((key) => !LEADING.includes(key));
  const folds = others.map((key) => make("details", {},
    write(make("summary"), key.replaceAll("_", " ")), drawValue(manifest[key])));
  byId("manifest").replaceChildren(
    drawEntries(Object.fromEntries(leading.map((key) => [key, manifest[key]]))),
    ...folds);
  const share = run.count && run.count < run.total
    ? `The first ${run.count} of ${run.total} pairs are on this page. ` : "";
  const numbers = run.count
    ? `Numbers of single tokens stand on this page with ${run.digits} digits. ` : "";
  byId("precision").textContent = `${share}${numbers}The files in the run's folder have `
    + "all numbers whole.";
}
