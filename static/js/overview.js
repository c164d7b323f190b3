// The overview, kept up to date: the server's first paint, then the stream from its seq on.
import { prepareCancels, prepareDialogs, prepareExits } from "./ask.js";
import { Day } from "./day.js";
import { Lights } from "./lights.js";
import { Price } from "./price.js";
import { Rows, align, clock, fill } from "./rows.js";
import { Stream } from "./stream.js";
import { say } from "./toast.js";
import { Totals } from "./totals.js";

const STALE_SECONDS = 10;
const TOTALS_MS = 250;
const CHARTS_MS = 5_000;
const SETTLING_MS = 1_000; // a mark made before a fill may arrive just after it
const TERMINAL = new Set(["FILLED", "CANCELLED", "REJECTED", "EXPIRED", "FAILED"]);

const page = document.body;
const byId = (id) => document.getElementById(id);
const status = (row) => row.querySelector('[data-field="status"]').dataset.value;
const isOpen = (row) => !TERMINAL.has(status(row));
const limit = Number(page.dataset.rowLimit);
const rows = (name, options) => new Rows(document.querySelector(`[data-rows="${name}"]`), options);

const orders = rows("order", { limit, keeps: isOpen });
const fills = rows("fill", { limit });
const signals = rows("signal", { limit });
const positions = rows("position");
const quotes = rows("quote");
const greeks = rows("greeks");
const groups = rows("group", { limit: 10 });
const tiles = rows("tile");
const profits = rows("profit");
const lights = new Lights(rows("light"));
const day = new Day({
  box: byId("pnl-chart"),
  exposure: byId("exposure-chart"),
  choice: byId("day-choice"),
  title: byId("day-title"),
  caption: byId("day-caption"),
  url: page.dataset.historyUrl,
});
const price = new Price({
  box: byId("price-chart"),
  choice: byId("price-choice"),
  title: byId("price-title"),
  caption: byId("price-caption"),
  barsUrl: page.dataset.barsUrl,
  fillsUrl: page.dataset.fillsUrl,
});
const checkTemplate = document.querySelector('template[data-rows="check"]');
const multipliers = new Map([...byId("multipliers").children].map(({ dataset }) => [dataset.symbol, dataset.multiplier]));
const replayed = new Set([...byId("replayed").children].map(({ dataset }) => dataset.account));
const totals = new Totals(positions.byKey.values(), multipliers, replayed);

let heardAt = Date.now();
let quotedAt = Date.now();
let totalsDue = true;
let unspoken = [];
const changedAt = new Map(); // position id -> when its event came
const alertOf = new Map(); // group id -> what was alerted last

function showSystem(system) {
  fill(byId("shell"), system);
  byId("shell").toggleAttribute("data-killed", system.kill_switch.active);
}

function showSignal({ signal, decision }) {
  const row = signals.put(signal.id, signal);
  const unmet = (decision?.checks ?? []).filter((check) => check.status !== "PASSED");
  const lines = unmet.map((check) => {
    const line = checkTemplate.content.firstElementChild.cloneNode(true);
    fill(line, check);
    return line;
  });
  row.querySelector(".checks").replaceChildren(...lines);
}

function showPosition(data) {
  if (positions.put(data.id, data, { version: data.updated_at }) === null) return;
  changedAt.set(data.id, Date.now());
  totals.put(data.id, data);
  totalsDue = true;
}

function showFill(data) {
  const isNew = !fills.get(data.id);
  price.offer(data.symbol);
  fills.put(data.id, data);
  if (isNew) unspoken.push(`${data.side === "BUY" ? "Bought" : "Sold"} ${data.quantity} ${data.symbol} at ${data.price}`);
}

function showMark(data) {
  if (!positions.get(data.id) || Date.now() - (changedAt.get(data.id) ?? 0) < SETTLING_MS) return;
  const { last_price, unrealized_pnl } = data;
  positions.put(data.id, { last_price, unrealized_pnl });
  totals.put(data.id, { last_price, unrealized_pnl });
  totalsDue = true;
}

function showQuote(data) {
  quotedAt = Date.now();
  quotes.put(data.symbol, data, { version: data.as_of, atEnd: true });
}

function showOrder(data) {
  const row = orders.put(data.id, data, { version: data.updated_at });
  const asked = row && data.status === "FILLED" && signals.get(data.signal);
  if (asked && status(asked) === "APPROVED") fill(asked, { status: "EXECUTED" });
}

function showGroup({ id, status, alert, updated_at }) {
  if (alert && alert !== alertOf.get(id)) say(`Group ${id} ${alert}`, true);
  alertOf.set(id, alert);
  if (groups.get(id)) groups.put(id, { status, alert }, { version: updated_at });
}

const SHOW = {
  order: showOrder,
  fill: showFill,
  position: showPosition,
  signal: showSignal,
  system: showSystem,
  mark: showMark,
  quote: showQuote,
  group: showGroup,
  group_mark: (data) => groups.put(data.id, data, { version: data.updated_at }),
  greeks: (data) => (data.held ? greeks.put(data.id, data, { atEnd: true }) : greeks.remove(data.id)),
  process: (data) => lights.put(data),
  reconciliation: (data) => say(`Reconciliation: ${data.problem}`, true),
};

function showTotals() {
  totalsDue = false;
  for (const [currency, sum] of totals.byCurrency()) {
    tiles.put(currency, sum, { atEnd: true });
    profits.put(currency, sum, { atEnd: true });
  }
}

function showCounts() {
  const shown = [...orders.byKey.values()];
  byId("open-count").textContent = shown.filter(isOpen).length;
  const doubtful = shown.filter((row) => status(row) === "IN_DOUBT").length;
  byId("in-doubt-count").textContent = byId("in-doubt-count").dataset.value = doubtful;
}

function speak() {
  if (!unspoken.length) return;
  const rest = unspoken.length > 1 ? `, and ${unspoken.length - 1} more fills` : "";
  byId("announcer").textContent = unspoken[0] + rest;
  unspoken = [];
}

function showAges() {
  for (const panel of document.querySelectorAll("[data-panel]")) {
    const since = panel.dataset.panel === "quotes" ? Math.min(heardAt, quotedAt) : heardAt;
    const age = Math.floor((Date.now() - since) / 1000);
    const isStale = age >= STALE_SECONDS;
    panel.toggleAttribute("data-stale", isStale);
    panel.querySelector("[data-age]").textContent = isStale ? `stale ${age} s` : `${age} s`;
  }
}

function showState(state) {
  byId("connection").dataset.value = state;
  if (byId("connection-text").textContent !== state) byId("connection-text").textContent = state;
}

// What was missed cannot be had any more: the server paints the page again, after any dialog.
function beginAnew() {
  const dialog = document.querySelector("dialog[open]");
  if (dialog) dialog.addEventListener("close", () => location.reload(), { once: true });
  else location.reload();
}

const address = new URL(page.dataset.streamUrl, location.href);
address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
const stream = new Stream({
  url: address.href,
  seq: Number(page.dataset.seq),
  onFrame: (frame) => SHOW[frame.type]?.(frame.data),
  onState: (state) => {
    showState(state);
    lights.isKnown = state === "live";
    if (state === "live") heardAt = Date.now();
  },
  onLost: beginAnew,
});

prepareDialogs(() => byId("connection").dataset.value !== "live" && location.reload());
prepareCancels(orders.list, page.dataset.cancelUrl, say);
prepareExits(groups.list, page.dataset.exitUrl, say);
setInterval(() => {
  if (totalsDue) showTotals();
  showCounts();
  align(document);
}, TOTALS_MS);
setInterval(() => {
  byId("utc-clock").textContent = clock(new Date().toISOString());
  lights.tick();
  showAges();
  speak();
}, 1_000);
function showCharts() {
  if (document.hidden) return;
  Promise.allSettled([day.refresh(), price.refresh()]); // what fails is tried again
}

setInterval(showCharts, CHARTS_MS);
showCharts();
align(document);
showAges();
