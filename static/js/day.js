// An account's trading day: net PnL, and exposure below it on the same time axis.
import { Chart, amount, seconds } from "./chart.js";

const SYNC = { sync: { key: "day" } };
const line = (label, stroke, more = {}) => ({ label, stroke, width: 1.5, points: { show: false }, value: (_, v) => amount(v), ...more });
const values = (_, ticks) => ticks.map((tick) => amount(tick));

export class Day {
  constructor({ box, exposure, choice, title, caption, url }) {
    Object.assign(this, { choice, title, caption, url, results: [] });
    this.pnl = new Chart(box, {
      height: 200,
      describe: ({ accent, area }) => ({ values, cursor: SYNC, series: [line("Net PnL", accent, { fill: area })] }),
    });
    this.exposure = new Chart(exposure, {
      height: 132,
      describe: ({ accent, quiet, area }) => ({
        values,
        cursor: SYNC,
        series: [line("Gross exposure", quiet, { fill: area, width: 1 }), line("Net exposure", accent)],
      }),
    });
    choice.addEventListener("change", () => this.draw());
  }

  async refresh() {
    const answer = await fetch(this.url);
    if (!answer.ok) return;
    this.results = (await answer.json()).results;
    const named = this.results.map(({ account, currency }) => `${account} · ${currency}`);
    if (named.join() !== [...this.choice.options].map((option) => option.text).join()) {
      const chosen = this.choice.value;
      this.choice.replaceChildren(...named.map((name) => new Option(name)));
      if (named.includes(chosen)) this.choice.value = chosen;
    }
    this.draw();
  }

  draw() {
    const day = this.results[this.choice.selectedIndex];
    if (!day || day.at.length < 2) return;
    const times = day.at.map(seconds);
    const made = day.total_pnl.map((total) => Number(total) - Number(day.base));
    this.pnl.show([times, made]);
    this.exposure.show([times, day.gross_exposure.map(Number), day.net_exposure.map(Number)]);
    this.title.textContent = `Net PnL and exposure, trading day ${day.day}`;
    this.caption.textContent =
      `${day.account}: ${amount(made.at(-1))} ${day.currency} made since the day began; ` +
      `gross exposure ${amount(Number(day.gross_exposure.at(-1)))}, net ${amount(Number(day.net_exposure.at(-1)))}.`;
    this.caption.dataset.points = times.length;
  }
}
