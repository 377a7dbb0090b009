// The live connection. The browser reconnects by itself and sends the id of the last event, so nothing is lost;
// what it does not notice (a refused answer, a connection that died silently) is handled here.

const SILENCE_MS = 25_000; // the server says something every 10 s
const RETRY_MS = 3_000;

export class Live {
  #source = null;
  #timer = 0;
  #desk;
  #on;

  /** `on` has the functions state("wait" | "live" | "lost"), event(data) and foreign(): the log is another one. */
  constructor(desk, on) {
    this.#desk = desk;
    this.#on = on;
  }

  /** Listen from where the desk's listing ends. */
  open() {
    this.close();
    const source = new EventSource(`api/events?after=${this.#desk.seq}`);
    this.#source = source;
    this.#heard();
    source.addEventListener("hello", (message) => {
      this.#heard();
      if (JSON.parse(message.data).log !== this.#desk.log) this.#on.foreign();
      else this.#on.state("live");
    });
    source.addEventListener("heartbeat", () => this.#heard());
    source.addEventListener("case", (message) => {
      this.#heard();
      this.#on.event(JSON.parse(message.data));
    });
    source.addEventListener("error", () => {
      this.#on.state("lost");
      if (source.readyState === EventSource.CLOSED) this.#again(RETRY_MS);
    });
  }

  close() {
    clearTimeout(this.#timer);
    this.#source?.close();
  }

  #heard() {
    this.#again(SILENCE_MS, () => this.#on.state("lost"));
  }

  #again(ms, before = () => {}) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      before();
      this.open();
    }, ms);
  }
}
