// The socket: events in order and without gaps, resumed after every loss.
// `prev` of each durable frame and `seq` of each heartbeat name the durable frame before it here,
// so a gap shows at once; we then resume with ?after= the last one seen.

const OFFLINE_MS = 2_000; // a heartbeat comes each second
const SILENT_MS = 10_000; // then a new socket is sought
const WATCH_MS = 250;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;
const OVERFLOWED = 4408;
const FORBIDDEN = 4403;

export class Stream {
  #socket = null;
  #retry = null;
  #attempts = 0;
  #soughtAt = 0;

  // onState hears "connecting", "live", "offline" or "resyncing"; onLost is called when the
  // events in between are gone and the page has to begin anew.
  constructor({ url, seq, onFrame, onState, onLost }) {
    Object.assign(this, { url, seq, onFrame, onState, onLost, heardAt: Date.now() });
    setInterval(() => this.#watch(), WATCH_MS);
    addEventListener("online", () => this.#socket === null && this.#connect());
    this.#connect();
  }

  #connect() {
    clearTimeout(this.#retry);
    this.#soughtAt = Date.now();
    const socket = new WebSocket(`${this.url}?after=${this.seq}`);
    socket.onmessage = (message) => this.#hear(JSON.parse(message.data));
    socket.onclose = (event) => this.#closed(event.code);
    this.#socket = socket;
  }

  #hear(frame) {
    this.heardAt = Date.now();
    this.#attempts = 0;
    if (frame.type === "resync") return this.onState("resyncing");
    if (frame.type === "snapshot") {
      // The same seq: the stream has stood still for too long to be resumed, and nothing is missing.
      if (frame.seq !== this.seq) this.onLost();
      return undefined;
    }
    if (frame.type === "heartbeat") {
      if (frame.seq !== this.seq) return this.#resume();
      return this.onState("live");
    }
    if (frame.seq !== undefined) {
      if (frame.seq <= this.seq) return undefined;
      if (frame.prev !== this.seq) return this.#resume();
      this.seq = frame.seq;
    }
    this.onState("live");
    return this.onFrame(frame);
  }

  #watch() {
    if (Date.now() - this.heardAt > OFFLINE_MS) this.onState("offline");
    const quietSince = Math.max(this.heardAt, this.#soughtAt);
    if (this.#socket !== null && Date.now() - quietSince > SILENT_MS) this.#resume();
  }

  #resume() {
    this.#drop();
    this.onState("offline");
    this.#connect();
  }

  #drop() {
    this.#socket.onmessage = this.#socket.onclose = null; // what it still says is not for us
    this.#socket.close();
    this.#socket = null;
  }

  #closed(code) {
    this.#socket = null;
    this.onState("offline");
    if (code === FORBIDDEN) return this.onLost(); // signed out, or other accounts: the page tells
    const longest = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.#attempts++);
    const pause = code === OVERFLOWED ? FIRST_PAUSE_MS : longest;
    this.#retry = setTimeout(() => this.#connect(), pause * (0.5 + Math.random() / 2));
    return undefined;
  }
}
