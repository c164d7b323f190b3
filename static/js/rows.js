// Rows: the server's template, cloned and filled with the API's own strings.
const SHOWN = 100;
const EMPTY = { limit_price: "market", average_price: "–", last_price: "–", bid: "–", ask: "–", last: "–", unrealized_pnl: "unknown", status_reason: "", quantity: "" };
const still = matchMedia("(prefers-reduced-motion: reduce)");

export function put(list, kind, data, { flash = true } = {}) {
  const key = String(data.id ?? data.symbol);
  let row = list.querySelector(`:scope > [data-key="${CSS.escape(key)}"]`);
  if (row && data.updated_at && row.dataset.updated && row.dataset.updated > data.updated_at) return row;
  if (!row) {
    row = document.getElementById(`row-${kind}`).content.firstElementChild.cloneNode(true);
    row.dataset.key = key;
    list.prepend(row);
    while (list.children.length > SHOWN) list.lastElementChild.remove();
    if (flash) light(row);
  }
  fill(row, data);
  return row;
}

export function fill(row, data) {
  for (const cell of row.querySelectorAll("[data-field]")) {
    const name = cell.dataset.field;
    if (!(name in data)) continue;
    const text = data[name] === null ? (EMPTY[name] ?? "") : String(data[name]);
    if (cell.dataset.raw === text) continue;
    const moved = cell.dataset.raw !== undefined && cell.classList.contains("number");
    cell.dataset.raw = text;
    if (cell.classList.contains("time")) {
      cell.textContent = text.slice(11, 19);
      cell.title = text;
    } else {
      cell.textContent = text;
    }
    if (cell.classList.contains("signed")) sign(cell, text);
    if (moved) light(cell);
  }
  if (data.status) row.dataset.status = data.status;
  if (data.side) row.dataset.side = data.side;
  if (data.currency) row.dataset.currency = data.currency;
  if (data.updated_at) row.dataset.updated = data.updated_at;
}

export function sign(cell, text) {
  cell.dataset.sign = text.startsWith("-") ? "minus" : /[1-9]/.test(text) ? "plus" : "zero";
}

export function dress(root) {
  for (const row of root.querySelectorAll("[data-key]")) {
    const data = {};
    for (const cell of row.querySelectorAll("[data-field]")) data[cell.dataset.field] = cell.textContent;
    fill(row, data);
  }
  for (const cell of root.querySelectorAll(".signed")) sign(cell, cell.textContent);
}

function light(element) {
  if (still.matches) return;
  element.classList.remove("flash");
  void element.offsetWidth;
  element.classList.add("flash");
}
