// Two cases that are one, one that is two: what can be chosen in the forms of 并案 and 拆分.

import { thumbnail } from "./picture.mjs";
import { badge, element, metres, percent, shortTime } from "./words.mjs";

const NEAR_M = 150; // what lies farther away is hardly the same thing
const LEAST_M = 0.1;
const MOST = 20; // cases to choose from
const PAGES = 5; // of a list: a page may be short though there are more
const M_PER_DEG = 111_195;
const THUMB = [104, 78];

/** Metres to the east and to the north. */
function offset(from, to) {
  const east = (to.lon - from.lon) * M_PER_DEG * Math.cos((from.lat * Math.PI) / 180);
  return [east, (to.lat - from.lat) * M_PER_DEG];
}

const apart = (from, to) => Math.hypot(...offset(from, to));

/** "偏东 8.2 米，偏南 1.0 米" */
function bearing(from, to) {
  const [east, north] = offset(from, to);
  const ways = [[east, "东", "西"], [north, "北", "南"]].filter(([m]) => Math.abs(m) >= LEAST_M);
  return ways.map(([m, there, back]) => `偏${m < 0 ? back : there} ${metres(Math.abs(m))} 米`).join("，") || "就在案件位置";
}

function choice(type, name, value, picture, ...lines) {
  const input = element("input", "");
  Object.assign(input, { type, name, value });
  return element("label", "choice", input, picture, element("span", "body", ...lines));
}

/** A group of choices that fills itself; `ready` tells how many there are to choose from. */
function group(title, className, fill) {
  const set = element("fieldset", `choices ${className}`, element("legend", "", title), element("p", "hint", "读取中…"));
  const ready = fill().then((rows) => {
    set.querySelector("p").remove();
    set.append(...rows);
    return rows.filter((row) => row.matches(".choice")).length;
  }).catch((error) => {
    set.querySelector("p").replaceWith(element("p", "refused", `读取失败：${error.message}`));
    return 0;
  });
  return { set, ready };
}

async function around(record, state, ask) {
  const north = NEAR_M / M_PER_DEG;
  const east = north / Math.cos((record.lat * Math.PI) / 180);
  const bbox = [record.lon - east, record.lat - north, record.lon + east, record.lat + north].map((x) => x.toFixed(7));
  const query = new URLSearchParams({ state, matter: record.matter, bbox: bbox.join(","), limit: 100 });
  const found = [];
  for (let page = 0; page < PAGES; page += 1) {
    const [{ cases, next }] = await ask(`api/cases?${query}`);
    found.push(...cases);
    if (!next) break;
    query.set("cursor", next);
  }
  return found;
}

/** The cases that one could go on in: of the same matter, not over, the nearest first. */
export function nearby(record, { ask }) {
  return group(`并入哪一件（${NEAR_M} 米内同一事项的在办案件）`, "into", async () => {
    const found = (await Promise.all(["open", "handled"].map((state) => around(record, state, ask)))).flat();
    const others = found.filter(({ id }) => id !== record.id).sort((a, b) => apart(record, a) - apart(record, b));
    if (others.length === 0) return [element("p", "hint", "没有可以并入的案件。")];
    return others.slice(0, MOST).map((other) => {
      const row = choice("radio", "into", other.id, thumbnail(other.evidence, `${other.matter_zh}证据图片`, THUMB),
        element("span", "top", element("b", "", `相距 ${metres(apart(record, other))} 米`), badge(other.state, other.state_zh)),
        element("span", "", bearing(record, other)),
        element("span", "facts", `立案 ${shortTime(other.opened_at)}`, ` · ${other.sightings.length} 次目击`),
        element("span", "facts", other.area_path ?? "无属地"));
      row.querySelector("input").required = true;
      return row;
    });
  });
}

/** What a case is made of: some of it, and not all, can be taken out. `mark` shows on the map where each was seen. */
export function parts(record, { ask, mark }) {
  const made = group("哪些目击是另一处的（勾选的移到新案件）", "parts", async () => {
    const [sightings] = await ask(`api/cases/${encodeURIComponent(record.id)}/sightings`);
    const rows = sightings.map((sighting, index) => {
      const from = sighting.reported ? "市民上报" : `第 ${sighting.look} 车次`;
      return choice("checkbox", "sightings", sighting.id, thumbnail(sighting.evidence, "目击图片", THUMB),
        element("span", "top", element("b", "", `${index + 1}. ${shortTime(sighting.seen_at)}`), element("span", "", from)),
        element("span", "", bearing(record, sighting)),
        element("span", "facts", `误差 ±${metres(sighting.error_m)} 米 · 置信度 ${percent(sighting.confidence)}`));
    });
    const boxes = rows.map((row) => row.querySelector("input"));
    const changed = () => {
      const taken = boxes.filter((box) => box.checked).length;
      const wrong = taken === 0 ? "请勾选要拆出的目击" : taken === boxes.length ? "至少留一次目击在原案件中" : "";
      boxes.at(0)?.setCustomValidity(wrong);
      mark(sightings.map(({ lat, lon }, index) => ({ lat, lon, name: String(index + 1), chosen: boxes[index].checked })));
    };
    for (const box of boxes) box.addEventListener("change", changed);
    if (made.set.isConnected) changed(); // else the form was closed while this was read
    return rows;
  });
  return made;
}
