// A symbol's day, minute by minute, with its fills marked on the price.
import { Chart, amount, seconds } from "./chart.js";

const MARK = 6; // half a triangle's width, in CSS pixels
const GAP = 4; // between a mark and the price it is at
const DIGITS = 6;

export class Price {
  constructor({ box, choice, title, caption, barsUrl, fillsUrl }) {
    Object.assign(this, { choice, title, caption, barsUrl, fillsUrl, fills: [] });
    this.chart = new Chart(box, { height: 240, describe: (colors) => this.#describe(colors) });
    choice.addEventListener("change", () => this.refresh());
  }

  // Lets a symbol be chosen that has been traded since the page was painted.
  offer(symbol) {
    if (![...this.choice.options].some((option) => option.value === symbol)) this.choice.add(new Option(symbol), 0);
  }

  async refresh() {
    const symbol = this.choice.value;
    if (!symbol) return;
    const bars = await (await fetch(this.barsUrl.replace("SYMBOL", encodeURIComponent(symbol)))).json();
    if (!bars.at || bars.at.length < 2 || symbol !== this.choice.value) return;
    const query = new URLSearchParams({ symbol, since: bars.at[0], limit: 1000 });
    this.fills = (await (await fetch(`${this.fillsUrl}?${query}`)).json()).results;
    const columns = ["close", "high", "low"].map((name) => bars[name].map(Number));
    this.chart.show([bars.at.map(seconds), ...columns]);
    this.title.textContent = `${symbol}, ${bars.day}`;
    const bought = this.fills.filter(({ side }) => side === "BUY").length;
    this.caption.textContent =
      `Last ${amount(Number(bars.close.at(-1)), DIGITS)}. ${this.fills.length} fills marked: ` +
      `▲ ${bought} bought, ▼ ${this.fills.length - bought} sold.`;
    this.caption.dataset.fills = this.fills.length;
  }

  #describe(colors) {
    const price = (_, value) => amount(value, DIGITS);
    const quiet = { stroke: "transparent", width: 0, points: { show: false }, value: price };
    return {
      values: (_, ticks) => ticks.map((tick) => amount(tick, DIGITS)),
      series: [
        { label: "Price", stroke: colors.accent, width: 1.25, points: { show: false }, value: price },
        { ...quiet, label: "High" },
        { ...quiet, label: "Low" },
      ],
      bands: [{ series: [2, 3], fill: colors.area }],
      hooks: { draw: [(plot) => this.#mark(plot, colors)] },
    };
  }

  #mark(plot, colors) {
    const { ctx, bbox } = plot;
    const scale = devicePixelRatio;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    for (const { side, price, traded_at: at } of this.fills) {
      const x = plot.valToPos(seconds(at), "x", true);
      const y = plot.valToPos(Number(price), "y", true);
      const up = side === "BUY" ? 1 : -1;
      const tip = y + up * GAP * scale;
      const base = tip + up * MARK * 1.6 * scale;
      ctx.beginPath();
      ctx.moveTo(x, tip);
      ctx.lineTo(x - MARK * scale, base);
      ctx.lineTo(x + MARK * scale, base);
      ctx.closePath();
      ctx.fillStyle = up > 0 ? colors.gain : colors.loss;
      ctx.strokeStyle = colors.surface;
      ctx.lineWidth = scale;
      ctx.fill();
      ctx.stroke();
    }
    ctx.restore();
  }
}
