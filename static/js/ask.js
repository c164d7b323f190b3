// What the page asks of the API: each POST with its CSRF token, each refusal in its own words.

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
    if (body.active) Object.assign(body, { level: form.elements.level.value, cancel_open: form.elements.cancel_open.checked });
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
  list.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-cancels]");
    if (!button) return;
    const row = button.closest("[data-key]");
    const symbol = row.querySelector('[data-field="symbol"]').textContent;
    button.disabled = true;
    const refusal = await post(url.replace("ID", row.dataset.key), {});
    button.disabled = false;
    say(refusal ?? `Cancel of ${symbol} asked for.`, refusal !== null);
  });
}
