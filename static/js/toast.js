// What the page says for a moment, in its corner.
const SHOWN_MS = 6_000;

export function say(text, isProblem = false) {
  const toast = document.createElement("p");
  toast.textContent = text;
  toast.classList.toggle("problem", isProblem);
  document.getElementById("toasts").append(toast);
  setTimeout(() => toast.remove(), SHOWN_MS);
}
