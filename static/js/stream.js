// The socket: frames in order, gaps found by `prev`, resumed with ?after=, stale after silence.
const SILENCE_MS = 5000;
const LONGEST_PAUSE_MS = 8000;
const DURABLE = new Set(["signal", "order", "fill", "position", "pnl", "system", "breaker", "connection", "reconciliation", "audit"]);

export class Stream {
  constructor(path, seq, handlers) {
    this.path = path;
    this.seq = seq;
    this.handlers = handlers;
    this.failures = 0;
    this.heardAt = 0;
    setInterval(() => this.#watch(), 1000);
  }

  open() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}${this.path}?after=${this.seq}`);
    this.socket = socket;
    this.heardAt = Date.now();
    socket.onmessage = (message) => this.socket === socket && this.#hear(JSON.parse(message.data));
    socket.onclose = () => this.socket === socket && this.#retry();
    this.handlers.state("connecting");
  }

  #hear(frame) {
    this.heardAt = Date.now();
    this.failures = 0;
    if (frame.type === "heartbeat") {
      if (frame.seq > this.seq) return this.#reopen();
      this.handlers.state("live");
      return this.handlers.beat();
    }
    if (frame.type === "resync") return this.handlers.state("resyncing");
    if (frame.type === "snapshot") {
      this.seq = frame.seq;
      return this.handlers.snapshot(frame.data);
    }
    if (DURABLE.has(frame.type)) {
      if (frame.seq <= this.seq) return;
      if (frame.prev !== this.seq) return this.#reopen();
      this.seq = frame.seq;
    }
    this.handlers.frame(frame);
  }

  #reopen() {
    this.socket.onclose = null;
    this.socket.close();
    this.open();
  }

  #retry() {
    this.handlers.state("reconnecting");
    const pause = Math.min(LONGEST_PAUSE_MS, 250 * 2 ** this.failures++) * (0.5 + Math.random());
    setTimeout(() => this.open(), pause);
  }

  #watch() {
    if (this.socket?.readyState === WebSocket.OPEN && Date.now() - this.heardAt > SILENCE_MS) this.#reopen();
  }
}
