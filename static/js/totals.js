// Money per currency, from the positions. Currencies are never added up, and what a replayed
// account made is in no total.
import { absolute, add, multiply, negate } from "./decimal.js";
import { read } from "./rows.js";

const FIELDS = ["account", "symbol", "currency", "quantity", "last_price", "realized_pnl", "unrealized_pnl", "commission"];

export class Totals {
  constructor(rows, multipliers, replayed) {
    Object.assign(this, { multipliers, replayed });
    this.positions = new Map();
    for (const row of rows) {
      const values = FIELDS.map((name) => [name, read(row.querySelector(`[data-field="${name}"]`))]);
      this.positions.set(row.dataset.key, Object.fromEntries(values));
    }
  }

  put(key, data) {
    this.positions.set(String(key), { ...this.positions.get(String(key)), ...data });
  }

  byCurrency() {
    const sums = new Map();
    for (const held of this.positions.values()) {
      if (this.replayed.has(held.account)) continue;
      const nothing = { realized_pnl: "0", unrealized_pnl: "0", commission: "0", exposure: "0" };
      const sum = sums.get(held.currency) ?? nothing;
      for (const name of ["realized_pnl", "unrealized_pnl", "commission"]) sum[name] = add(sum[name], held[name]);
      sum.exposure = add(sum.exposure, this.#notional(held));
      sums.set(held.currency, sum);
    }
    for (const [currency, sum] of sums) {
      const made = add(sum.realized_pnl, sum.unrealized_pnl);
      Object.assign(sum, { currency, total_pnl: add(made, negate(sum.commission)) });
    }
    return new Map([...sums].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  #notional({ symbol, quantity, last_price: price }) {
    if (!/[1-9]/.test(quantity)) return "0";
    return multiply(multiply(absolute(quantity), price), this.multipliers.get(symbol) ?? null);
  }
}
