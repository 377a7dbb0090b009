// Which of the listed cases are overdue. Time makes them so, not events: the server is asked every minute, and soon after
// an event, which may have set or stopped a clock.

const EVERY_MS = 60_000;
const SOON_MS = 2_000;
const REST_MS = 15_000; // between two questions, however many events come

export class Late {
  #desk;
  #ask;
  #limit;
  #changed;
  #timer = 0;
  #due = 0; // when the timer rings
  #last = 0; // when it was asked

  /** `ask(path)` reads from the server; `changed()` hears that the list has other marks now. */
  constructor(desk, { ask, limit, changed }) {
    this.#desk = desk;
    this.#ask = ask;
    this.#limit = limit;
    this.#changed = changed;
    this.#ring(EVERY_MS);
  }

  /** Something happened. What comes in between is asked for together. */
  soon() {
    const wait = Math.max(SOON_MS, this.#last + REST_MS - Date.now());
    if (this.#due > Date.now() + wait) this.#ring(wait);
  }

  #ring(ms) {
    clearTimeout(this.#timer);
    this.#due = Date.now() + ms;
    this.#timer = setTimeout(() => this.#read(), ms);
  }

  async #read() {
    this.#ring(EVERY_MS);
    this.#last = Date.now();
    const asked = this.#query();
    const found = await this.#ask(`api/cases?${asked}`).catch(() => null); // the next time asks again
    if (!found || asked !== this.#query() || found.log !== this.#desk.log) return;
    if (this.#desk.setOverdue(found)) this.#changed();
  }

  #query() {
    return this.#desk.query({ overdue: true, limit: this.#limit }).toString();
  }
}
