// One uPlot chart that follows its box and the theme. Drawing is the one place where money becomes a float.
/* global uPlot */

const MINUTES = [1, 5, 10, 15, 30, 60, 120, 180, 240, 360, 720, 1440].map((minutes) => minutes * 60);

export const seconds = (at) => Date.parse(at) / 1000;
export const minute = (time) => (time === null ? "--" : new Date(time * 1000).toISOString().slice(11, 16));
export const amount = (value, digits = 2) =>
  value === null || value === undefined ? "--" : value.toLocaleString("en-US", { maximumFractionDigits: digits });

// A box is drawn over `height` pixels; `describe(colors)` returns series and what else differs.
export class Chart {
  #plot = null;
  #data = null;

  constructor(box, { height, describe }) {
    Object.assign(this, { box, height, describe });
    new ResizeObserver(() => this.#plot?.setSize(this.#size())).observe(box);
    new MutationObserver(() => this.#renew()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#renew());
  }

  show(data) {
    this.#data = data;
    if (this.#plot) this.#plot.setData(data);
    else this.#make();
  }

  #renew() {
    this.#plot?.destroy();
    this.#plot = null;
    if (this.#data) this.#make();
  }

  #make() {
    this.box.replaceChildren();
    this.#plot = new uPlot(this.#options(), this.#data, this.box);
  }

  #size() {
    return { width: this.box.clientWidth, height: this.height };
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
    const names = ["accent", "area", "quiet", "line", "gain", "loss", "surface"];
    const colors = Object.fromEntries(names.map((name) => [name, this.#color(name)]));
    const axis = { stroke: colors.quiet, font: "11px sans-serif", grid: { stroke: colors.line, width: 1 }, ticks: { show: false } };
    const { series, values, ...rest } = this.describe(colors);
    return {
      ...this.#size(),
      legend: { live: true },
      tzDate: (time) => uPlot.tzDate(new Date(time * 1000), "Etc/UTC"),
      axes: [
        { ...axis, size: 26, incrs: MINUTES, space: 72, values: (_, times) => times.map(minute) },
        { ...axis, size: 72, values },
      ],
      series: [{ label: "UTC", value: (_, time) => minute(time) }, ...series],
      ...rest,
      cursor: { y: false, drag: { x: true, y: false }, ...rest.cursor },
    };
  }
}
