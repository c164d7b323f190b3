// Net PnL over the session, sampled while the page is open and kept for this tab.
/* global uPlot */
import { clock } from "./rows.js";

const KEY = "pnl-curve";
const MOST_POINTS = 3600;
const GAP_SECONDS = 10;
const HEIGHT = 220;
const LEAST_SECONDS = 60; // a shorter session is drawn with room to grow
const TICKS = [1, 5, 10, 15, 30, 60, 300, 600, 1800, 3600, 7200, 14400];

const utc = (seconds) => (seconds === null ? "--" : clock(new Date(seconds * 1000).toISOString()));

function stored() {
  try {
    return new Map(JSON.parse(sessionStorage.getItem(KEY)));
  } catch {
    return new Map(); // nothing kept, or nothing we can read
  }
}

export class Curve {
  #plot = null;

  constructor(box, choice) {
    this.box = box;
    this.choice = choice;
    this.points = stored();
    choice.addEventListener("change", () => this.draw());
    new ResizeObserver(() => this.#plot?.setSize(this.#size())).observe(box);
    new MutationObserver(() => this.#renew()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#renew());
    addEventListener("pagehide", () => sessionStorage.setItem(KEY, JSON.stringify([...this.points])));
  }

  // Adds a sample; drawing is the one place where money becomes a float.
  sample(totals, now = Math.floor(Date.now() / 1000)) {
    for (const [currency, { total_pnl: total }] of totals) {
      if (total === null) continue;
      if (![...this.choice.options].some((option) => option.value === currency)) this.choice.add(new Option(currency));
      const [times, values] = this.points.get(currency) ?? [[], []];
      const last = times.at(-1) ?? now;
      if (times.length && now - last < 1) continue;
      if (now - last > GAP_SECONDS) times.push(last + 1) && values.push(null);
      times.push(now);
      values.push(Number(total));
      const over = Math.max(0, times.length - MOST_POINTS);
      this.points.set(currency, [times.slice(over), values.slice(over)]);
    }
    this.draw();
  }

  draw() {
    const data = this.points.get(this.choice.value);
    if (!data || data[0].length < 2) return;
    if (!this.#plot) {
      this.box.replaceChildren();
      this.#plot = new uPlot(this.#options(), data, this.box);
    } else {
      this.#plot.setData(data);
    }
  }

  #renew() {
    this.#plot?.destroy();
    this.#plot = null;
    this.draw();
  }

  #size() {
    return { width: this.box.clientWidth, height: HEIGHT };
  }

  // light-dark() is resolved by asking an element for its color.
  #color(name) {
    const probe = document.createElement("i");
    probe.className = `color-${name}`;
    this.box.append(probe);
    const { color } = getComputedStyle(probe);
    probe.remove();
    return color;
  }

  #options() {
    const [accent, area, quiet, line] = ["accent", "area", "quiet", "line"].map((name) => this.#color(name));
    const axis = { stroke: quiet, font: "11px sans-serif", grid: { stroke: line, width: 1 }, ticks: { show: false } };
    return {
      ...this.#size(),
      scales: { x: { range: (_, from, to) => [from, Math.max(to, from + LEAST_SECONDS)] } },
      legend: { live: true },
      cursor: { y: false, drag: { x: true, y: false } },
      axes: [
        { ...axis, incrs: TICKS, space: 80, values: (_, times) => times.map(utc) },
        { ...axis, size: 64 },
      ],
      series: [
        { label: "UTC", value: (_, time) => utc(time) },
        { label: "Net PnL", stroke: accent, width: 1.5, fill: area, points: { show: false } },
      ],
    };
  }
}
