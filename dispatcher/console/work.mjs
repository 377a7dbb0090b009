// What the office does with a case: step, deadline, buttons, and who did what.

import { nearby, parts } from "./regroup.mjs";
import { element, longTime, shortTime } from "./words.mjs";

const STEPS = ["信息收集", "案卷建立", "任务派遣", "任务处理", "处理反馈", "核查结案", "评价"];
const MINUTE = 60_000;
// What each button asks for. A reason is a box; it must be filled where the desk will ask for it.
const FORMS = {
  acknowledge: {},
  dispatch: { fields: ["office", "disposition", "condition"], reason: false },
  "hand-back": { reason: true, hint: "退回上一级，时限照计" },
  handled: { reason: false, hint: "后续车辆经过时自动复核" },
  call: { fields: ["department"], reason: true, hint: "请部门到场协助" },
  answer: { fields: ["called"], reason: true, hint: "部门到场情况" },
  pause: { reason: true, hint: "挂起期间不计时" },
  resume: { reason: true },
  close: { reason: false },
  reject: { reason: true, hint: "退回承办单位继续处理" },
  evaluate: { fields: ["score"], reason: false },
  dismiss: { fields: ["label"], reason: true, hint: "作废的案件用于改进识别模型" },
  merge: { choices: nearby, reason: true, hint: "为什么是同一处。本案的目击和推送都转入所选案件" },
  split: { choices: parts, reason: true, hint: "为什么是两处。新案件推送给它的属地" },
};
// Which other case an entry names.
const OTHERS = { merge: ["into", "承接的案件"], split: ["part", "拆出的案件"], absorb: ["from", "并入的案件"] };

async function ask(path, options = {}) {
  const answer = await fetch(path, options);
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.detail ?? answer.statusText);
  return [body, answer.headers.get("etag")];
}

function token() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** "2 天 3 小时", "25 分钟" */
function length(ms) {
  const minutes = Math.max(0, Math.floor(ms / MINUTE));
  const [days, hours] = [Math.floor(minutes / 1440), Math.floor((minutes % 1440) / 60)];
  if (days > 0) return `${days} 天 ${hours} 小时`;
  return hours > 0 ? `${hours} 小时 ${minutes % 60} 分钟` : `${minutes} 分钟`;
}

function due(work, now = Date.now()) {
  if (work.paused_at) return element("p", "due stopped", `已挂起（${shortTime(work.paused_at)} 起），时限暂停`);
  if (!work.due_at) return null;
  const text = `处置截止 ${shortTime(work.due_at)}`;
  if (work.overdue) {
    const until = Date.parse(work.handled_at ?? work.ended_at ?? new Date(now).toISOString());
    return element("p", "due late", `${text}，已超时 ${length(until - Date.parse(work.due_at))}`);
  }
  if (work.handled_at || work.ended_at) return element("p", "due", `${text}，按期`);
  return element("p", "due", `${text}，剩余 ${length(Date.parse(work.due_at) - now)}`);
}

function steps(work) {
  const list = element("ol", "steps", ...STEPS.map((name, index) => {
    const item = element("li", index + 1 < work.step_number ? "done" : "", name);
    if (index + 1 === work.step_number) item.setAttribute("aria-current", "step");
    return item;
  }));
  list.setAttribute("aria-label", "办理步骤");
  return list;
}

function line(term, text) {
  return text ? element("div", "", element("dt", "", term), element("dd", "", text)) : null;
}

function facts(work, actions) {
  const { condition } = work;
  const campaigns = actions.find(({ act }) => act === "register")?.details.campaigns ?? [];
  const clock = condition && `${condition.when}：${condition.amount} ${condition.type}${condition.example ? "（示例时限）" : ""}`;
  const calls = work.calls.map((call) => `${call.name}（${call.answered_at ? `已报到：${call.answer}` : "未报到"}）`);
  const counts = [[work.hand_backs, "退回"], [work.rejections, "核查不通过"], [work.rebounds, "反弹"]];
  return element("dl", "facts-table",
    line("承办单位", work.office_name),
    line("处置方式", work.disposition_zh),
    line("立案条件", clock),
    line("结案条件", condition?.closing),
    line("专项行动", campaigns.length > 0 && `${campaigns.join("、")}（权重 ${work.priority}）`),
    line("签收", work.acknowledged_by && `${work.acknowledged_by}，${shortTime(work.acknowledged_at)}`),
    line("逾时升级", work.level > 0 ? `已告知上 ${work.level} 级` : work.escalates_at && `${shortTime(work.escalates_at)} 前未签收即升级`),
    line("吹哨报到", calls.join("；")),
    line("次数", counts.filter(([n]) => n > 0).map(([n, name]) => `${name} ${n} 次`).join("，")),
    line("作废原因", work.label_zh),
    line("评价", work.score && `${work.score} 分`));
}

function record(entry) {
  const time = element("time", "", longTime(entry.at));
  time.dateTime = entry.at;
  const [field, text] = OTHERS[entry.act] ?? [];
  const link = field ? element("a", "", text) : null;
  if (link) link.href = `#case/${encodeURIComponent(entry.details[field])}`;
  return element("li", "", element("span", "what", entry.act_zh), element("span", "who", entry.name), time,
    entry.reason ? element("q", "", entry.reason) : null, link);
}

function chooser(name, label, options, chosen) {
  const select = element("select", "");
  select.name = name;
  for (const [value, text] of options) select.add(new Option(text, value, false, value === chosen));
  return element("label", "", `${label} `, select);
}

/** One panel for the case that is open; a form that is being filled stays while the case changes. */
export class WorkPanel {
  root = element("section", "office");
  #mark;
  #record = null;
  #id = null;
  #tag = null;
  #work = null;
  #conditions = [];
  #words = null;
  #act = null; // whose form is open
  #form = element("form", "ask");
  #key = null; // of the request that the open form makes: pressed twice, it is done once

  /** `mark` shows places on the map; an empty list takes them away. */
  constructor({ mark }) {
    this.#mark = mark;
    this.root.setAttribute("aria-label", "处置");
    this.#form.addEventListener("submit", (event) => { event.preventDefault(); this.#send(); });
  }

  /** What has the focus in this panel, if anything has. */
  get focused() {
    return this.root.contains(document.activeElement) ? document.activeElement : null;
  }

  /** The page is left: what is chosen on the map is not seen any more. */
  away() {
    if (FORMS[this.#act]?.choices) this.#close();
  }

  /** Read the work on a case anew, and put the panel into its page; `focused` goes on having the focus. */
  async show(record, pane, focused = this.focused) {
    const { id } = record;
    this.#record = record;
    pane.querySelector(".where").after(this.root);
    focused?.focus();
    if (id !== this.#id) {
      this.#id = id;
      this.#close();
      this.root.replaceChildren();
    }
    try {
      this.#words ??= (await ask("api/choices"))[0];
      const [standing, tag] = await ask(`api/cases/${encodeURIComponent(id)}/work`);
      if (id !== this.#id) return;
      this.#tag = tag;
      this.#work = standing.work;
      this.#conditions = standing.conditions;
      this.#draw(standing.actions);
    } catch (error) {
      if (id === this.#id) this.#tell(`办理情况读取失败：${error.message}`);
    }
  }

  #draw(actions) {
    const work = this.#work;
    const held = this.#form.contains(document.activeElement) ? document.activeElement : null;
    if (this.#act && !work.allowed.includes(this.#act)) this.#close();
    const possible = work.allowed.filter((act) => act !== "split" || this.#record.sightings.length > 1);
    const buttons = possible.map((act) => {
      const button = element("button", `act ${act}`, this.#words.acts[act]);
      button.type = "button";
      button.dataset.act = act;
      button.setAttribute("aria-expanded", String(act === this.#act));
      button.addEventListener("click", () => this.#pressed(act));
      return button;
    });
    const records = actions.length === 0 ? null
      : element("details", "records", element("summary", "", `处置记录 ${actions.length} 条`), element("ol", "", ...actions.map(record).reverse()));
    if (records) records.open = this.root.querySelector(".records")?.open ?? false;
    const hint = work.first_occurrence && !work.outcome ? element("p", "hint", "首次发现：可先劝导改正（首违不罚，仅供参考，由执法人员决定）") : null;
    const ended = work.outcome_zh ? element("p", "ended", `已${work.outcome_zh}（${shortTime(work.ended_at)}）`) : null;
    this.root.replaceChildren(...[
      steps(work), due(work), ended, hint,
      buttons.length ? element("div", "acts", ...buttons) : null,
      this.#form, facts(work, actions), records,
    ].filter(Boolean));
    held?.focus();
  }

  #pressed(act) {
    if (act === this.#act) {
      this.#close();
      return;
    }
    this.#act = act;
    this.#key = token();
    for (const button of this.root.querySelectorAll(".acts button")) button.setAttribute("aria-expanded", String(button.dataset.act === act));
    const { fields = [], choices, reason, hint } = this.#asks(act);
    if (reason === undefined && fields.length === 0) {
      this.#send();
      return;
    }
    const box = element("textarea", "");
    Object.assign(box, { name: "reason", rows: 2, maxLength: 2000, required: reason, placeholder: hint ?? "" });
    const go = element("button", "go", `确认${this.#words.acts[act]}`);
    const stop = element("button", "", "取消");
    stop.type = "button";
    stop.addEventListener("click", () => this.#close());
    const chosen = choices?.(this.#record, { ask, mark: this.#mark });
    go.disabled = Boolean(chosen);
    chosen?.ready.then((n) => { go.disabled = n === 0; });
    this.#form.replaceChildren(
      ...fields.map((field) => this.#field(field)),
      chosen?.set ?? "",
      element("label", "", reason ? "原因（必填） " : "说明 ", box),
      element("div", "acts", go, stop));
    this.#form.hidden = false;
    this.#form.querySelector("select, textarea").focus();
  }

  #asks(act) {
    const closing = this.#work.condition?.closing;
    if (act === "close" && closing) return { reason: true, hint: `结案条件：${closing}。请写明核查情况` };
    return FORMS[act] ?? { reason: true };
  }

  #field(name) {
    const { departments, dispositions, labels } = this.#words;
    const own = [this.#work.office, this.#work.office_name ?? "—"];
    switch (name) {
      case "office": {
        const areas = [...document.querySelectorAll("#filters [name=area] option")].map((option) => [option.value, option.text]);
        const others = [...Object.entries(departments), ...areas].filter(([code]) => code && code !== own[0]);
        return chooser("office", "承办单位", own[0] ? [own, ...others] : others, own[0]);
      }
      case "disposition": return chooser("disposition", "处置方式", Object.entries(dispositions), this.#work.disposition ?? "order");
      case "condition": return chooser("condition", "立案条件", this.#conditions.map((c) => [c.id, `${c.when}（${c.amount} ${c.type}）`]), this.#work.condition?.id);
      case "department": return chooser("department", "部门", Object.entries(departments));
      case "called": return chooser("department", "部门", this.#work.calls.filter((call) => !call.answered_at).map((call) => [call.department, call.name]));
      case "label": return chooser("label", "作废类型", Object.entries(labels));
      default: return chooser("score", "评价", [5, 4, 3, 2, 1].map((n) => [n, `${n} 分`]));
    }
  }

  async #send() {
    const given = Object.fromEntries([...new FormData(this.#form)].filter(([, value]) => value.trim() !== ""));
    if (given.score) given.score = Number(given.score);
    if (given.sightings) given.sightings = new FormData(this.#form).getAll("sightings");
    const id = this.#id;
    const headers = { "content-type": "application/json", "if-match": this.#tag, "idempotency-key": this.#key };
    this.#tell(null);
    try {
      await ask(`api/cases/${encodeURIComponent(id)}/actions`, { method: "POST", headers, body: JSON.stringify({ act: this.#act, ...given }) });
      if (id === this.#id) this.#close();
    } catch (error) {
      if (id === this.#id) this.#tell(`未办理：${error.message}`);
    }
    if (id === this.#id) await this.show(this.#record, this.root.closest(".detail"));
  }

  #tell(message) {
    this.root.querySelector(".refused")?.remove();
    if (!message) return;
    const told = element("p", "refused", message);
    told.setAttribute("role", "alert");
    this.#form.after(told);
    if (!told.isConnected) this.root.append(told);
  }

  #close() {
    this.#act = null;
    this.#mark([]);
    this.#form.replaceChildren();
    this.#form.hidden = true;
    for (const button of this.root.querySelectorAll(".acts button")) button.setAttribute("aria-expanded", "false");
  }
}
