// What the page knows: the cases that match the filter, kept up to date by events.

/** What the codes below an area begin with; the store has the same rule. */
function stem(code) {
  while (code.length > 6 && code.endsWith("000")) code = code.slice(0, -3);
  while ((code.length === 4 || code.length === 6) && code.endsWith("00")) code = code.slice(0, -2);
  return code;
}

function within(record, area) {
  const start = stem(area);
  return Boolean(record.area?.startsWith(start)) || record.alerts.some((alert) => alert.recipient.startsWith(start));
}

export function matches(record, filter) {
  return (!filter.state || record.state === filter.state)
    && (!filter.matter || record.matter === filter.matter)
    && (!filter.area || within(record, filter.area))
    && (!filter.unowned || record.area === null)
    && (!filter.overdue || record.overdue === true);
}

export class Desk {
  filter = { state: "", matter: "", area: "", unowned: false, overdue: false };
  log = null;
  seq = 0;
  total = 0;
  least = false; // there are more than `total`
  #cases = new Map();

  /** The filter, and what else is asked for, as the server reads it. */
  query(more) {
    return new URLSearchParams(Object.entries({ ...this.filter, ...more }).filter(([, value]) => value));
  }

  /** Take a fresh listing, read with the current filter. */
  load(listing) {
    this.log = listing.log;
    this.seq = listing.seq;
    this.total = listing.total;
    this.least = listing.total_is_least;
    this.#cases = new Map(listing.cases.map((record) => [record.id, record]));
  }

  /** Take one live event. Returns the case as listed, and whether the officer has to hear of it. */
  take({ event, case: record }) {
    if (event.seq <= this.seq) return null; // a repeat after a reconnect
    this.seq = event.seq;
    const known = this.#cases.get(record.id);
    const told = event.recipients.length > 0;
    // An event does not say what is due, nor how much it weighs: that is the office's, and time's.
    const { due_at = null, overdue = null, priority = null } = known ?? {};
    const listed = { ...record, due_at, overdue, priority, raised: told || !known ? event.seq : known.raised };
    const shown = matches(listed, this.filter);
    if (shown) this.#cases.set(record.id, listed);
    else this.#cases.delete(record.id);
    this.total += Number(shown) - Number(Boolean(known));
    return { record: listed, shown, isNew: shown && (!known || told), told };
  }

  /** Those of the list that are overdue now, as the server says. Returns whether that changed anything. */
  setOverdue({ cases, total, total_is_least: least }) {
    const late = new Map(cases.map((record) => [record.id, record]));
    let changed = this.filter.overdue && late.size !== this.#cases.size;
    for (const record of this.#cases.values()) {
      const found = late.get(record.id);
      if (Boolean(found) === Boolean(record.overdue)) continue;
      changed = true;
      this.#cases.set(record.id, { ...record, overdue: Boolean(found), due_at: found?.due_at ?? record.due_at });
    }
    if (this.filter.overdue && changed) {
      this.#cases = late;
      this.total = total;
      this.least = least;
    }
    return changed;
  }

  get(id) {
    return this.#cases.get(id);
  }

  /** The last raised first. */
  list() {
    return [...this.#cases.values()].sort((a, b) => b.raised - a.raised || (a.id < b.id ? -1 : 1));
  }
}
