// What the page asks of the API: each POST with its CSRF token, each refusal in its own words.

const ARMED_MS = 4_000;

export async function post(url, body, onAnswer = () => {}) {
  const token = document.querySelector("[name=csrfmiddlewaretoken]").value;
  try {
    const answer = await fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRFToken": token },
      body: JSON.stringify(body),
    });
    if (answer.ok) {
      const told = await answer.json().catch(() => ({}));
      if (told.proposal) return "Proposed: a second person must approve it before it takes effect.";
      onAnswer(told);
      return null;
    }
    const problem = await answer.json().catch(() => ({}));
    if (problem.code === "step_up_required") {
      location.assign(`/confirm/?undone=1&next=${encodeURIComponent(location.pathname)}`);
    }
    return problem.detail ?? `The site answered ${answer.status}.`;
  } catch {
    return "The site cannot be reached: whether this took effect is unknown.";
  }
}

function prepare(dialog, onDone) {
  const form = dialog.querySelector("form.ask");
  if (!form) return;
  const problem = form.querySelector(".problem");
  const submit = form.querySelector("[type=submit]");
  form.querySelector("[data-closes]").addEventListener("click", () => dialog.close());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const body = { active: form.dataset.active === "true", reason: form.elements.reason.value.trim() };
    if (body.active) {
      const scope = { account: form.elements.account.value || null };
      Object.assign(body, { scope, level: form.elements.level.value, cancel_open: form.elements.cancel_open.checked });
    }
    submit.disabled = true;
    const refusal = await post(form.dataset.url, body);
    submit.disabled = false;
    problem.hidden = refusal === null;
    problem.textContent = refusal ?? "";
    if (refusal !== null) return;
    form.reset();
    dialog.close();
    onDone();
  });
}

export function prepareDialogs(onDone) {
  for (const dialog of document.querySelectorAll("dialog")) prepare(dialog, onDone);
  for (const button of document.querySelectorAll("[data-opens]")) {
    button.addEventListener("click", () => document.getElementById(button.dataset.opens).showModal());
  }
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input, textarea, select, dialog");
    if (!event.shiftKey || event.key !== "K" || typing) return;
    event.preventDefault(); // or the letter would be typed as the reason
    document.getElementById("kill-dialog")?.showModal();
  });
}

export function prepareCancels(list, url, say) {
  prepareButtons(list, { url, field: "symbol", said: (name) => `Cancel of ${name} asked for.`, say });
}

// Closing several legs is asked for twice: the first click arms the button for a while.
export function prepareExits(list, url, say) {
  const body = { reason: "closed on the overview" };
  prepareButtons(list, { url, body, field: "type", said: (name) => `${name} is being closed.`, say, twice: true });
}

function prepareButtons(list, { url, body = {}, field, said, say, twice = false }) {
  list.addEventListener("click", async (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (twice && !("armed" in button.dataset)) return arm(button);
    const row = button.closest("[data-key]");
    const name = row.querySelector(`[data-field="${field}"]`).textContent;
    button.disabled = true;
    const refusal = await post(url.replace("ID", row.dataset.key), body);
    button.disabled = false;
    say(refusal ?? said(name), refusal !== null);
  });
}

function arm(button) {
  const label = button.textContent;
  button.dataset.armed = "";
  button.textContent = button.dataset.sure;
  setTimeout(() => {
    delete button.dataset.armed;
    button.textContent = label;
  }, ARMED_MS);
}
