// Process lights: what the supervisor last said of each, and how long ago; grey while nothing is
// heard at all. execution_site/dashboard/overview.py says the same for the first paint.

const SILENT_SECONDS = 3;

export class Lights {
  #isKnown = true;

  constructor(rows) {
    this.rows = rows;
    this.heard = new Map();
    for (const [name, { dataset }] of rows.byKey) this.#note(name, dataset.state, Number(dataset.age));
  }

  put({ name, state, age }) {
    this.#note(name, state, age);
    this.rows.put(name, { name }, { atEnd: true });
    this.#show(name);
  }

  set isKnown(isKnown) {
    if (isKnown === this.#isKnown) return;
    this.#isKnown = isKnown;
    this.tick();
  }

  tick() {
    for (const name of this.heard.keys()) this.#show(name);
  }

  #note(name, state, age) {
    this.heard.set(name, { state, since: Date.now() - age * 1000 });
  }

  #show(name) {
    const { state, since } = this.heard.get(name);
    const age = Math.max(0, Math.floor((Date.now() - since) / 1000));
    const silent = age > SILENT_SECONDS;
    if (!this.#isKnown) {
      this.rows.put(name, { said: "unknown" }).dataset.health = "unknown";
      return;
    }
    const said = state !== "up" ? state : silent ? `silent ${age} s` : `${age} s`;
    const row = this.rows.put(name, { said });
    row.dataset.health = state === "up" && !silent ? "good" : "bad";
  }
}
