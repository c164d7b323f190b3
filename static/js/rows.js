// Rows: cloned from the templates the server renders, filled with the API's strings as they are.
// execution_site/templatetags/trading.py writes them the same way for the first paint.
import { add, negate, sign } from "./decimal.js";

export const UNKNOWN = "—";
const FLASH_CLASSES = { "+": "flash-up", "-": "flash-down" };

export const clock = (iso) => (iso ? iso.slice(11, 19) : UNKNOWN);

function look(data, path) {
  return path.split(".").reduce((value, name) => value?.[name], data);
}

function writeNumber(cell, value) {
  const [whole, ...rest] = (value ?? UNKNOWN).split(".");
  const fraction = rest.length ? `.${rest[0]}` : "";
  const [int, frac] = cell.children;
  if (int.textContent !== whole) int.textContent = whole;
  if (frac.textContent !== fraction) frac.textContent = fraction;
}

export function read(cell) {
  const text = cell.textContent;
  return text === UNKNOWN || text === "" ? null : text;
}

function flash(cell, before, after) {
  const moved = before === null || after === null ? "" : sign(add(after, negate(before)));
  const name = FLASH_CLASSES[moved];
  if (!name) return;
  cell.classList.remove(...Object.values(FLASH_CLASSES));
  void cell.offsetWidth; // restarts the animation
  cell.classList.add(name);
}

function write(cell, value) {
  const { dataset } = cell;
  if (dataset.as === "number") {
    const before = read(cell);
    if (before === value) return;
    writeNumber(cell, value);
    if ("flash" in dataset) flash(cell, before, value);
    if ("sign" in dataset) dataset.sign = sign(value);
    if ("holds" in dataset) dataset.holds = sign(value);
    return;
  }
  if (dataset.as === "float") {
    cell.textContent = value === null ? UNKNOWN : value.toFixed(Number(dataset.digits));
    return;
  }
  const text = value === null ? "" : String(value);
  if (dataset.as === "clock") cell.title = text;
  cell.textContent = dataset.as === "clock" ? clock(text) : text;
  if ("value" in dataset) dataset.value = text;
}

// Writes what `data` has and leaves the rest of the row alone.
export function fill(row, data) {
  for (const cell of row.querySelectorAll("[data-field]")) {
    const value = look(data, cell.dataset.field);
    if (value !== undefined) write(cell, value);
  }
}

export class Rows {
  constructor(list, { limit = Infinity, keeps = () => false } = {}) {
    this.list = list.tBodies ? list.tBodies[0] : list;
    this.template = list.parentElement.querySelector(":scope > template:not([data-rows])");
    this.limit = limit;
    this.keeps = keeps; // rows that stay whatever the limit
    this.byKey = new Map([...this.list.children].map((row) => [row.dataset.key, row]));
  }

  get(key) {
    return this.byKey.get(String(key));
  }

  // Shows `data` under `key` unless the row shows newer; returns the row, or null for old news.
  put(key, data, { version = "", atEnd = false } = {}) {
    let row = this.get(key);
    if (row && version && version < row.dataset.version) return null;
    if (!row) row = this.#insert(String(key), atEnd);
    if (version) row.dataset.version = version;
    fill(row, data);
    return row;
  }

  remove(key) {
    this.get(key)?.remove();
    this.byKey.delete(String(key));
  }

  #insert(key, atEnd) {
    const row = this.template.content.firstElementChild.cloneNode(true);
    row.dataset.key = key;
    if (atEnd) this.list.append(row);
    else this.list.prepend(row);
    row.classList.add("arrived");
    this.byKey.set(key, row);
    if (this.byKey.size > this.limit) this.#trim();
    return row;
  }

  #trim() {
    const last = [...this.list.children].reverse().find((row) => !this.keeps(row));
    if (last) this.remove(last.dataset.key);
  }
}

// Decimal points line up: each number column is as wide behind the point as its longest fraction.
const sheet = new CSSStyleSheet();
const longest = new Map();
document.adoptedStyleSheets.push(sheet);

export function align(root) {
  let grew = false;
  for (const part of root.querySelectorAll("table .frac")) {
    const table = part.closest("table").dataset.rows;
    const column = `[data-rows="${table}"] [data-field="${part.parentElement.dataset.field}"] .frac`;
    const { length } = part.textContent;
    if (longest.has(column) && length <= longest.get(column)) continue;
    longest.set(column, length);
    grew = true;
  }
  if (!grew) return;
  sheet.replaceSync([...longest].map(([at, n]) => `${at}{min-width:${n}ch}`).join("\n"));
}
