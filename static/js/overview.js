// The overview: what the stream says, on the page.
import uPlot from "../vendor/uPlot.esm.js";
import { parse, spell } from "./money.js";
import { dress, fill, put, sign } from "./rows.js";
import { Stream } from "./stream.js";

const STALE_SECONDS = 10;
const CURVE_POINTS = 1200;
const OPEN = new Set(["PENDING", "SUBMITTING", "IN_DOUBT", "SUBMITTED", "ACCEPTED", "PARTIALLY_FILLED"]);
const $ = (id) => document.getElementById(id);
const shell = $("shell");
const csrf = document.querySelector("[name=csrfmiddlewaretoken]").value;
const money = new Map(); // position id -> what it made
let beatAt = Date.now();

dress(document);
for (const row of $("positions").children) remember(readRow(row));

const stream = new Stream(shell.dataset.stream, Number(shell.dataset.seq), {
  state(name) {
    $("connection").textContent = name;
    $("connection").dataset.state = name;
  },
  beat() { beatAt = Date.now(); },
  snapshot(data) {
    for (const id of ["orders", "fills", "positions", "quotes", "signals"]) $(id).replaceChildren();
    money.clear();
    for (const [id, kind] of [["orders", "order"], ["fills", "fill"], ["positions", "position"], ["quotes", "quote"]]) {
      for (const row of [...data[id]].reverse()) put($(id), kind, row, { flash: false });
    }
    for (const signal of [...data.signals].reverse()) putSignal(signal, signal.decision);
    data.positions.forEach(remember);
    system(data.system);
    count();
    totals();
  },
  frame(frame) { handlers[frame.type]?.(frame.data); },
});

const handlers = {
  order(data) { put($("orders"), "order", data); count(); },
  fill(data) {
    put($("fills"), "fill", data);
    announce(`${data.side} ${data.quantity} ${data.symbol} filled at ${data.price}`);
  },
  position(data) { put($("positions"), "position", data); remember(data); totals(); },
  signal(data) { putSignal(data.signal, data.decision); },
  quote(data) { put($("quotes"), "quote", data, { flash: false }); },
  mark(data) {
    const row = $("positions").querySelector(`[data-key="${data.id}"]`);
    if (!row) return;
    fill(row, { last_price: data.last_price, unrealized_pnl: data.unrealized_pnl });
    const held = money.get(String(data.id));
    if (held) held.unrealized = data.unrealized_pnl;
    totals();
  },
  process(data) { lamp(data); },
  system(data) { system(data); },
  reconciliation(data) { toast(`Reconciliation: ${data.problem}`, true); },
};

function readRow(row) {
  const data = { id: row.dataset.key, currency: row.dataset.currency };
  for (const cell of row.querySelectorAll("[data-field]")) data[cell.dataset.field] = cell.dataset.raw;
  return data;
}

function remember(position) {
  const unknown = position.unrealized_pnl === null || position.unrealized_pnl === "unknown";
  money.set(String(position.id), {
    currency: position.currency,
    realized: position.realized_pnl,
    unrealized: unknown ? null : position.unrealized_pnl,
    commission: position.commission,
  });
}

function totals() {
  const sums = new Map();
  for (const one of money.values()) {
    const sum = sums.get(one.currency) ?? { realized: 0n, unrealized: 0n, commission: 0n };
    sum.realized += parse(one.realized);
    sum.commission += parse(one.commission);
    sum.unrealized = sum.unrealized === null || one.unrealized === null ? null : sum.unrealized + parse(one.unrealized);
    sums.set(one.currency, sum);
  }
  for (const [currency, sum] of sums) {
    const total = sum.unrealized === null ? null : sum.realized + sum.unrealized - sum.commission;
    fill(tile(currency), {
      realized_pnl: spell(sum.realized),
      unrealized_pnl: sum.unrealized === null ? null : spell(sum.unrealized),
      commission: spell(sum.commission),
      total_pnl: total === null ? "unknown" : spell(total),
    });
  }
}

function tile(currency) {
  const found = $("tiles").querySelector(`[data-currency="${currency}"]`);
  if (found) return found;
  const made = document.createElement("article");
  made.className = "tile";
  made.dataset.currency = currency;
  const part = (tag, text, field, signed) => {
    const element = document.createElement(tag);
    element.textContent = text;
    if (field) element.dataset.field = field;
    if (signed) element.classList.add("signed");
    return element;
  };
  const big = part("p", "", "total_pnl", true);
  big.classList.add("big");
  const list = document.createElement("dl");
  list.append(part("dt", "realized"), part("dd", "", "realized_pnl", true), part("dt", "unrealized"), part("dd", "", "unrealized_pnl", true), part("dt", "commission"), part("dd", "", "commission"));
  made.append(part("h2", `${currency} net`), big, list);
  $("tiles").prepend(made);
  return made;
}

function putSignal(signal, decision) {
  const row = put($("signals"), "signal", { ...signal, quantity: signal.quantity ?? "" });
  const failed = (decision?.checks ?? []).filter((check) => check.status !== "PASSED");
  row.querySelector("[data-checks]").replaceChildren(...failed.map((check) => {
    const line = document.createElement("li");
    const name = document.createElement("b");
    name.textContent = check.name;
    const against = check.value !== null && check.limit !== null ? ` (${check.value} against ${check.limit})` : "";
    line.append(name, ` ${check.detail}${against}`);
    return line;
  }));
}

function count() {
  let open = 0, doubt = 0;
  for (const row of $("orders").children) {
    open += OPEN.has(row.dataset.status);
    doubt += row.dataset.status === "IN_DOUBT";
  }
  $("open-orders").textContent = open;
  $("in-doubt").textContent = doubt;
  $("in-doubt").dataset.count = doubt;
}

function lamp(data) {
  const light = $("lights").querySelector(`[data-light="${data.name}"]`);
  if (!light) return;
  light.dataset.state = data.age > STALE_SECONDS ? "stale" : data.state;
  light.title = `${data.name}: ${data.state}, ${data.restarts} restarts`;
  light.querySelector(".state").textContent = light.dataset.state;
}

function system(data) {
  $("mode").textContent = data.mode;
  $("mode").dataset.mode = data.mode;
  const kill = data.kill_switch;
  shell.dataset.killed = kill.active ? "yes" : "no";
  $("banner").hidden = !kill.active;
  for (const [id, name] of [["kill-level", "level"], ["kill-actor", "actor"], ["kill-since", "engaged_at"], ["kill-reason", "reason"]]) $(id).textContent = kill[name] ?? "";
  if ($("kill")) $("kill").textContent = kill.active ? "RELEASE" : "KILL";
  for (const process of data.processes ?? []) lamp(process);
}

function announce(text) { $("announce").textContent = text; }

function toast(text, bad) {
  const line = document.createElement("p");
  line.textContent = text;
  if (bad) line.className = "bad";
  $("toasts").append(line);
  while ($("toasts").children.length > 3) $("toasts").firstElementChild.remove();
  setTimeout(() => line.remove(), 6000);
}

async function post(url, body) {
  const answer = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRFToken": csrf },
    body: JSON.stringify(body),
  });
  const data = await answer.json();
  if (!answer.ok) throw new Error(data.detail ?? answer.statusText);
  return data;
}

$("orders").addEventListener("click", async (click) => {
  const button = click.target.closest("[data-cancel]");
  if (!button) return;
  const id = button.closest("[data-key]").dataset.key;
  button.disabled = true;
  try {
    await post(shell.dataset.cancelUrl.replace("/0/", `/${id}/`), {});
    toast(`Cancel of order ${id} asked for`);
  } catch (error) {
    toast(`Order ${id}: ${error.message}`, true);
  } finally {
    button.disabled = false;
  }
});

$("kill")?.addEventListener("click", () => {
  const killed = shell.dataset.killed === "yes";
  $("kill-title").textContent = killed ? "Release the kill switch" : "Kill switch";
  $("kill-text").textContent = killed ? "Signals are traded again, in the present mode." : "Nothing more is sent to any venue. Cancels always pass.";
  $("kill-confirm").textContent = killed ? "Release" : "Engage";
  $("cancel-open-row").hidden = killed;
  $("kill-error").hidden = true;
  $("reason").value = "";
  $("kill-dialog").showModal();
});
$("kill-close")?.addEventListener("click", () => $("kill-dialog").close());
$("kill-dialog")?.querySelector("form").addEventListener("submit", async (submit) => {
  submit.preventDefault();
  const active = shell.dataset.killed !== "yes";
  const body = { active, reason: $("reason").value };
  if (active) body.cancel_open = $("cancel-open").checked;
  try {
    system(await post(shell.dataset.killUrl, body));
    $("kill-dialog").close();
  } catch (error) {
    $("kill-error").textContent = error.message;
    $("kill-error").hidden = false;
  }
});

$("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : !matchMedia("(prefers-color-scheme: light)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("theme", root.dataset.theme);
});

// The curve: net PnL of the currency with most positions, once a second.
const times = [], values = [];
let chart = null;

function curveCurrency() {
  const counts = new Map();
  for (const one of money.values()) counts.set(one.currency, (counts.get(one.currency) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0];
}

function draw() {
  const currency = curveCurrency();
  if (!currency) return;
  $("curve-currency").textContent = currency;
  const net = tile(currency).querySelector('[data-field="total_pnl"]').dataset.raw;
  if (net === undefined || net === "unknown") return;
  times.push(Date.now() / 1000);
  values.push(Number(net));
  if (times.length > CURVE_POINTS) { times.shift(); values.shift(); }
  const box = $("curve");
  const style = getComputedStyle(document.documentElement);
  const ink = style.getPropertyValue("--quiet"), line = style.getPropertyValue("--accent"), grid = style.getPropertyValue("--line");
  if (!chart) {
    const axis = { stroke: () => getComputedStyle(document.documentElement).getPropertyValue("--quiet") || ink, grid: { stroke: grid, width: 1 }, ticks: { show: false } };
    chart = new uPlot({
      width: box.clientWidth, height: box.clientHeight, legend: { show: false }, cursor: { y: false },
      axes: [axis, { ...axis, size: 64 }],
      series: [{}, { label: "net", stroke: line, width: 2, fill: `${line.trim()}22`, points: { show: false } }],
    }, [times, values], box);
    addEventListener("resize", () => chart.setSize({ width: box.clientWidth, height: box.clientHeight }));
  } else {
    chart.setData([times, values]);
  }
}

function tick() {
  $("clock").textContent = `${new Date().toISOString().slice(11, 19)} UTC`;
  const silent = Math.floor((Date.now() - beatAt) / 1000);
  document.body.classList.toggle("stale", silent >= STALE_SECONDS);
  for (const age of document.querySelectorAll("[data-age]")) age.textContent = silent >= STALE_SECONDS ? `stale ${silent} s` : `${silent} s`;
  draw();
}

totals();
count();
tick();
setInterval(tick, 1000);
stream.open();
