// The list of cases. A row is made once for each change of its case, so that pictures and focus stay.

import { thumbnail } from "./picture.mjs";
import { badge, element, metres, percent, shortTime, longTime } from "./words.mjs";

const THUMB = [104, 78]; // CSS pixels, as in cases.css

/** "06010 暴露垃圾" */
export function matterName(record) {
  return element("span", "matter", element("span", "code", record.matter), " ", record.matter_zh);
}

function seen(label, text) {
  const time = element("time", "", shortTime(text));
  time.dateTime = text;
  time.title = longTime(text);
  return element("span", "", `${label} `, time);
}

/** That a case was not, or is not yet, reported as handled in time. */
function late(due) {
  const mark = element("span", "late", "已超时");
  mark.title = `处置截止 ${longTime(due)}`;
  return mark;
}

function row(record) {
  const where = record.area_path ?? "无属地";
  const facts = [
    `置信度 ${percent(record.confidence)}`, `位置 ±${metres(record.error_m)} 米`,
    `目击 ${record.sightings.length} 次 / ${record.passes} 车次`,
  ];
  const link = element("a", "row",
    thumbnail(record.evidence, `${record.matter_zh}证据图片`, THUMB),
    element("span", "body",
      element("span", "top", matterName(record), badge(record.state, record.state_zh)),
      element("span", record.area_path ? "where" : "where none", where,
        record.episode > 1 ? element("span", "again", `反弹 第 ${record.episode} 次`) : null,
        record.priority > 1 ? element("span", "campaign", `专项 ×${record.priority}`) : null,
        record.overdue ? late(record.due_at) : null),
      element("span", "facts", ...facts.map((fact) => element("span", "", fact))),
      element("span", "times", seen("首次", record.first_seen_at), seen("最近", record.last_seen_at))));
  link.href = `#case/${encodeURIComponent(record.id)}`;
  const item = element("li", "", link);
  item.dataset.case = record.id;
  item.dataset.state = record.state;
  return item;
}

export class CaseList {
  #list;
  #rows = new Map();

  constructor(list) {
    this.#list = list;
    list.addEventListener("keydown", (event) => this.#walk(event));
  }

  /** Show these cases in this order. `fresh` are the ids that shine for a moment; `selected` is one id or null. */
  show(records, { fresh = new Set(), selected = null } = {}) {
    const wanted = new Set(records.map((record) => record.id));
    for (const [id, { item }] of this.#rows) {
      if (!wanted.has(id)) {
        item.remove();
        this.#rows.delete(id);
      }
    }
    const items = records.map((record) => this.#row(record)); // first: a changed row takes the place of the old one
    let next = this.#list.firstElementChild;
    for (const [index, record] of records.entries()) {
      const item = items[index];
      if (fresh.has(record.id)) this.#shine(item);
      item.firstElementChild.toggleAttribute("aria-current", record.id === selected);
      if (item === next) next = next.nextElementSibling;
      else this.#list.insertBefore(item, next);
    }
  }

  focus(id) {
    this.#rows.get(id)?.item.firstElementChild.focus();
    return this.#rows.has(id);
  }

  #row(record) {
    const known = this.#rows.get(record.id);
    const look = `${record.seq}|${record.overdue === true}`;
    if (known?.look === look) return known.item;
    const item = row(record);
    if (known) {
      const focused = known.item.contains(document.activeElement);
      known.item.replaceWith(item);
      if (focused) item.firstElementChild.focus();
    }
    this.#rows.set(record.id, { item, look });
    return item;
  }

  #shine(item) {
    item.classList.add("fresh");
    item.addEventListener("animationend", () => item.classList.remove("fresh"), { once: true });
  }

  #walk(event) {
    const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    const target = step && event.target.closest("li")?.[step]?.firstElementChild;
    if (!target) return;
    event.preventDefault();
    target.focus();
  }
}
