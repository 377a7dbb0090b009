// One case in full: the picture, who owns it, and what happened.

import { matterName } from "./list.mjs";
import { picture } from "./picture.mjs";
import { badge, element, longTime, metres, percent } from "./words.mjs";

function fact(term, ...value) {
  return element("div", "", element("dt", "", term), element("dd", "", ...value));
}

function facts(record) {
  const { ellipse } = record;
  return element("dl", "facts-table",
    fact("位置（WGS-84）", `${record.lat.toFixed(6)}, ${record.lon.toFixed(6)}`),
    fact("位置误差（1σ）", `±${metres(ellipse.major_m)} 米 × ±${metres(ellipse.minor_m)} 米`),
    fact("检出置信度", percent(record.confidence)),
    fact("目前存在概率", percent(record.probability)),
    fact("目击 / 经过", `${record.sightings.length} 次 / ${record.passes} 车次`),
    fact("首次发现", longTime(record.first_seen_at)),
    fact("最近发现", longTime(record.last_seen_at)),
    fact("立案时间", longTime(record.opened_at)),
    record.closed_at ? fact("结案时间", longTime(record.closed_at)) : null,
    fact("案件编号", element("code", "", record.id)));
}

function share(name, p, className) {
  const meter = element("span", "meter", element("span", ""));
  meter.firstElementChild.style.width = `${p * 100}%`;
  return element("li", className, element("span", "name", name), meter, element("b", "", percent(p)));
}

function owners(record) {
  const list = element("ol", "owners", ...record.owners.map((owner) => share(owner.path, owner.p, "")));
  if (record.unowned_p > 0.0005) list.append(share("无属地（辖区之外）", record.unowned_p, "none"));
  return list;
}

function entry(event, index, all) {
  const to = event.recipients.map((recipient) => recipient.path).join("；");
  const last = all[index - 1];
  const changed = !last || last.state !== event.state ? badge(event.state, event.state_zh) : null;
  const time = element("time", "", longTime(event.at));
  time.dateTime = event.at;
  const item = element("li", "",
    element("span", "what", event.event_zh, changed), time,
    element("span", "how", `存在概率 ${percent(event.probability)} · ${event.passes} 车次`),
    to ? element("span", "to", `推送：${to}`) : null);
  item.dataset.event = event.event;
  return item;
}

function earlier(record) {
  if (!record.previous) return null;
  const link = element("a", "", `查看第 ${record.episode - 1} 次案件`);
  link.href = `#case/${encodeURIComponent(record.previous)}`;
  return element("p", "rebound", `反弹：结案后再次发现，第 ${record.episode} 次。`, link);
}

function merged(record) {
  if (!record.merged_into) return null;
  const link = element("a", "", "查看承接的案件");
  link.href = `#case/${encodeURIComponent(record.merged_into)}`;
  return element("p", "rebound", "已并案：目击和推送已转入另一案件，在那里办理。", link);
}

/** Fill `pane` with a case. Returns its heading, which takes the focus. */
export function showDetail(pane, { case: record, timeline }) {
  const back = element("a", "back", "← 返回列表");
  back.href = "#";
  const title = element("h2", "", matterName(record));
  title.id = "detail-title";
  title.tabIndex = -1;
  const shown = picture(record.evidence, `${record.matter_zh}证据图片，方框标出目标`);
  const caption = record.evidence.url ? element("figcaption", "", "证据图片（人脸已遮挡），方框为检出目标") : null;
  pane.replaceChildren(
    element("div", "detail-bar", back, badge(record.state, record.state_zh)),
    element("div", "detail-body",
      title,
      element("p", record.area_path ? "where" : "where none", record.area_path ?? "无属地：位置不在任何辖区内"),
      earlier(record),
      merged(record),
      element("figure", "", shown, caption),
      element("h3", "", "属地概率"), owners(record),
      element("h3", "", "案件信息"), facts(record),
      element("h3", "", "办理过程"), element("ol", "timeline", ...timeline.map(entry).reverse())));
  return title;
}
