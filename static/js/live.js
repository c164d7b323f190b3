// Pages whose state the server paints: asked for again every second, except while it is being used.
import { post, prepareDialogs } from "./ask.js";
import { say } from "./toast.js";

const EVERY_MS = 1_000;
const OFFLINE_MS = 2_000;
const WATCH_MS = 250;
const page = document.body;
const byId = (id) => document.getElementById(id);
const dialog = byId("reason-dialog");
const form = byId("reason-form");
let wanted = null;

function isInUse() {
  return document.querySelector("dialog[open]") || byId("live-state").matches(":has(:focus-visible, :active)");
}

let asked = 0;
let heardAt = Date.now();
async function refresh(anyway = false) {
  if (document.hidden && !anyway) return;
  const turn = ++asked;
  try {
    const signal = AbortSignal.timeout(OFFLINE_MS);
    const answer = await fetch(page.dataset.stateUrl, { headers: { Accept: "text/html" }, signal });
    if (answer.redirected) location.reload(); // signed out
    if (!answer.ok || turn !== asked) return;
    const text = await answer.text();
    heardAt = Date.now();
    showState("live");
    if (!anyway && isInUse()) return;
    byId("live-state").innerHTML = text;
    showShell();
  } catch {
    // what is not heard shows in `watch`
  }
}

function watch() {
  if (!document.hidden && Date.now() - heardAt > OFFLINE_MS) showState("offline");
}

// The header's parts that change; its buttons stay, with what listens to them.
const SHELL_PARTS = [".mode", ".killed", ".counts", ".lights", ".waits"];

function showShell() {
  const next = byId("shell-next").content.firstElementChild;
  const shell = byId("shell");
  shell.toggleAttribute("data-killed", next.hasAttribute("data-killed"));
  for (const part of SHELL_PARTS) {
    const [old, made] = [shell.querySelector(part), next.querySelector(part)];
    if (old && made && old.outerHTML !== made.outerHTML) old.replaceWith(document.importNode(made, true));
  }
}

function showState(state) {
  byId("connection").dataset.value = state;
  byId("connection-text").textContent = state;
  if (state === "live") return;
  for (const light of document.querySelectorAll(".light")) light.dataset.health = "unknown";
}

// Opens the dialog for one change; `send` is called with the reason and returns a refusal or null.
function ask(title, text, send) {
  wanted = send;
  byId("reason-title").textContent = form.querySelector("[type=submit]").textContent = title;
  byId("reason-text").textContent = text;
  form.querySelector(".problem").hidden = true;
  form.reset();
  dialog.showModal();
  byId("reason-input").focus();
}

form.querySelector("[data-closes]").addEventListener("click", () => dialog.close());
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const submit = form.querySelector("[type=submit]");
  submit.disabled = true;
  const refusal = await wanted(form.elements.reason.value.trim());
  submit.disabled = false;
  const problem = form.querySelector(".problem");
  problem.hidden = refusal === null;
  problem.textContent = refusal ?? "";
  if (refusal !== null) return;
  dialog.close();
  refresh(true);
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-ask], [data-do]");
  if (!button) return;
  const { dataset } = button;
  if (dataset.ask) {
    const body = JSON.parse(dataset.body ?? "{}");
    ask(dataset.title, dataset.text, (reason) => post(dataset.ask, { ...body, reason }));
    return;
  }
  button.disabled = true;
  const refusal = await post(dataset.do, {});
  say(refusal ?? "Done.", refusal !== null);
  refresh(true);
});

const stops = {
  cancel: { title: "Cancel orders", url: "/api/v1/orders/cancel-all", text: "Every working order of" },
  flatten: { title: "Flatten", url: "/api/v1/positions/flatten", text: "Cancels first, then closes every position of" },
  REDUCE_ONLY: { title: "Kill: REDUCE_ONLY", url: "/api/v1/system/kill-switch", text: "Only orders that make a position smaller pass for" },
  HALTED: { title: "Kill: HALTED", url: "/api/v1/system/kill-switch", text: "Working orders are cancelled and nothing is sent for" },
};

function report(answer) {
  const lines = [...(answer.cancelled ?? []), ...(answer.closed ?? [])];
  const said = lines.map((row) => (row.symbol ? `${row.symbol} ${row.quantity ?? ""}: ${row.result}` : `order ${row.order}: ${row.result}`));
  byId("report").replaceChildren(...(said.length ? said : ["Nothing was working or held."]).map((line) => {
    const item = document.createElement("p");
    item.textContent = line;
    return item;
  }));
}

byId("stop-form")?.addEventListener("click", (event) => {
  const name = event.target.closest("[data-stop]")?.dataset.stop;
  if (!name) return;
  const fields = Object.fromEntries(new FormData(byId("stop-form")));
  const scope = Object.fromEntries(Object.entries(fields).filter(([, value]) => value));
  const covers = Object.entries(scope).map(([part, value]) => `${part} ${value}`).join(", ") || "everything";
  const { title, url, text } = stops[name];
  ask(title, `${text} ${covers}.`, (reason) => {
    if (name === "cancel") return post(url, scope, report);
    if (name === "flatten") return post(url, { ...scope, reason }, report);
    return post(url, { active: true, level: name, scope, cancel_open: name === "HALTED", reason }, report);
  });
});

prepareDialogs(() => refresh(true));
document.addEventListener("visibilitychange", () => (heardAt = Date.now()));
setInterval(refresh, EVERY_MS);
setInterval(watch, WATCH_MS);
showState("live");
