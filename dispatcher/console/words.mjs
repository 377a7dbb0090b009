// Words, numbers and times as the officer reads them.

export const STATES = [
  { id: "open", zh: "待处理", sign: "!" },
  { id: "candidate", zh: "待核实", sign: "?" },
  { id: "handled", zh: "已处置待核查", sign: "…" },
  { id: "closed", zh: "已结案", sign: "✓" },
  { id: "dismissed", zh: "不予立案", sign: "×" },
];
const SIGN = new Map(STATES.map((state) => [state.id, state.sign]));

export const sign = (state) => SIGN.get(state) ?? "·";

const ZONE = "Asia/Shanghai";
const parts = new Intl.DateTimeFormat("zh-CN", {
  timeZone: ZONE, hourCycle: "h23",
  year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit",
});

function split(time) {
  return Object.fromEntries(parts.formatToParts(time).map((part) => [part.type, part.value]));
}

/** "11-20 16:15", with the year when it is not this one; "—" for none. */
export function shortTime(text, now = new Date()) {
  if (!text) return "—";
  const at = split(new Date(text));
  const year = at.year === split(now).year ? "" : `${at.year}-`;
  return `${year}${at.month}-${at.day} ${at.hour}:${at.minute}`;
}

/** "2026-11-20 16:15:02", Beijing time. */
export function longTime(text) {
  if (!text) return "—";
  const at = split(new Date(text));
  return `${at.year}-${at.month}-${at.day} ${at.hour}:${at.minute}:${at.second}`;
}

/** A fraction as percent. What is not certain is never shown as 100 %, what is possible never as 0 %. */
export function percent(fraction) {
  if (fraction > 0 && fraction < 0.001) return "<0.1%";
  if (fraction < 1 && fraction > 0.999) return ">99.9%";
  const value = fraction * 100;
  return `${value < 10 || value > 99 ? Number(value.toFixed(1)) : Math.round(value)}%`;
}

export const metres = (m) => (m < 10 ? m.toFixed(1) : Math.round(m).toString());

const MISSING = [
  ["privacy-unavailable", "人脸、车牌遮挡不可用，未保存图片"],
  ["not-stored", "证据无法写入存储"],
  ["not-recorded", "该目击未附图片"],
  ["stored-elsewhere", "图片存放在其他系统"],
  ["expired", "证据图片保存期满，已删除"],
  ["erased", "证据图片已按要求清除"],
  ["not-shown", "不是案件的证据图片，不予显示"],
];

/** Why there is no picture, for people; the machine's own words follow in brackets. */
export function missingReason(reason) {
  const known = MISSING.find(([code]) => reason.startsWith(code));
  if (!known) return reason;
  const rest = reason.slice(known[0].length).replace(/^:\s*/, "");
  return rest ? `${known[1]}（${rest}）` : known[1];
}

/** An element with a class, text or children. Text is never read as HTML. */
export function element(tag, className, ...content) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...content.filter((item) => item !== null && item !== undefined));
  return made;
}

export function badge(state, zh) {
  const made = element("span", "badge", zh);
  made.dataset.state = state;
  return made;
}
