// Draws the charts, and lets the reader sort and filter tables.
"use strict";

const options = { actions: false, renderer: "svg", ast: true, defaultStyle: false,
                  tooltip: { disableDefaultStyle: true } };
const specs = JSON.parse(document.getElementById("charts").textContent);

async function draw(place) {
  const { view } = await vegaEmbed(place, specs[place.dataset.chart], options);
  view.addEventListener("click", (_, item) => show(item?.datum?.row));
}

// A layer that is clicked in a chart shows in the table.
function show(index) {
  const row = document.getElementById(`layer-${index}`);
  if (!row) return;
  const search = document.querySelector("[data-filter=layers]");
  if (row.hidden) { search.value = ""; filter(search); }
  document.querySelectorAll("tr.found").forEach((other) => other.classList.remove("found"));
  row.classList.add("found");
  row.scrollIntoView({ block: "center" });
}

function sort(table, head) {
  const column = [...head.parentNode.children].indexOf(head);
  const falls = head.getAttribute("aria-sort") === "ascending";
  const body = table.tBodies[0];
  const keyed = [...body.rows].map((row) => ({ row, key: key(row.cells[column]) }));
  // What was not measured stays last, whichever way.
  keyed.sort((a, b) => (a.key === null) - (b.key === null)
    || (a.key === null ? 0 : compare(a.key, b.key) * (falls ? -1 : 1)));
  for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", falls ? "descending" : "ascending");
  body.append(...keyed.map(({ row }) => row));
}

function key(cell) {
  const { value } = cell.dataset;
  if (value === undefined) return cell.textContent;
  return value === "" ? null : Number(value);
}

function compare(a, b) {
  return typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true });
}

function filter(search) {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = [...document.querySelectorAll(`#${search.dataset.filter} tbody tr`)];
  for (const row of rows) {
    const titles = [...row.cells].map((cell) => cell.title);
    const text = [row.textContent, ...titles].join(" ").toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
  }
  const left = rows.filter((row) => !row.hidden).length;
  const count = document.querySelector(`[data-count=${search.dataset.filter}]`);
  count.textContent = `${left} of ${rows.length}`;
}

for (const table of document.querySelectorAll("table[data-sortable]")) {
  for (const head of table.tHead.rows[0].cells) {
    head.querySelector("button").addEventListener("click", () => sort(table, head));
  }
}
for (const search of document.querySelectorAll("[data-filter]")) {
  search.addEventListener("input", () => filter(search));
}
Promise.all([...document.querySelectorAll("[data-chart]")].map(draw))
  .then(() => { document.body.dataset.drawn = "yes"; });
