// The heat map (社区市容秩序热力图): open cases over expected clear looks, by H3 cell. A cell that nobody looked at is
// hatched and called 未巡查. It has no colour of the scale, so that nobody takes it for clean.

import * as L from "./vendor/leaflet/leaflet.mjs";
import { element, percent } from "./words.mjs";

const SIZES = [[15, 10, "76 米"], [13, 9, "200 米"], [11.5, 8, "530 米"], [0, 7, "1.4 千米"]]; // from zoom, H3 resolution, side
const HUNDRED = 100;
// From how many open cases a hundred clear looks. The same on every map and day, so that colours can be compared.
const STEPS = [
  { from: 30, colour: "#7f0f2b", zh: "≥30" },
  { from: 10, colour: "#c8281f", zh: "10–30" },
  { from: 3, colour: "#ee6a1c", zh: "3–10" },
  { from: 1, colour: "#f8a745", zh: "1–3" },
  { from: 0, colour: "#fbdc8c", zh: "<1" },
];
const QUIET = { colour: "#ffffff", zh: "已巡查，暂无待处理" };
const LITTLE = { colour: "url(#little-hatch)", zh: "只巡查了小部分，暂无待处理" };
const ENOUGH = 0.1; // of a cell's ground, for it to be called looked at without more words
const UNSEEN = { colour: "url(#unseen-ground-hatch)", zh: "未巡查（没有数据，不代表整洁）" };
const DAYS = [[1, "今日"], [7, "近 7 日"], [30, "近 30 日"]];
const EXPLAINED = "有效观察：车载相机清晰看到该格的期望次数，各次经过相加。不足 1 次记为未巡查。";
const SETTLE_MS = 250; // after the map was moved
const REFRESH_MS = 10_000; // not more often, however many cases come in

function kind({ sight, open, open_per_look: perLook, seen_share: share }) {
  if (sight !== "seen") return UNSEEN;
  if (open > 0) return STEPS.find(({ from }) => perLook * HUNDRED >= from);
  return share < ENOUGH ? LITTLE : QUIET;
}

function style({ properties }) {
  const { colour } = kind(properties);
  const className = `heat-cell looks-${properties.sight}`;
  return { className, fillColor: colour, fillOpacity: colour === QUIET.colour ? 0.6 : 0.8, weight: 1, color: "#5b6b7c", opacity: 0.55 };
}

const few = (n) => (n < 10 ? Number(n.toFixed(1)) : Math.round(n));

/** What a cell says when it is pointed at. */
function tip({ sight, open, handled, clear_looks: looks, open_per_look: perLook, seen_share: share }, name, days) {
  const seen = sight === "seen";
  const lines = [
    seen ? null : `未巡查：${days}有效观察 ${few(looks)} 次，不足 1 次，不能判断是否整洁`,
    `待处理 ${open} 件${handled ? `，已处置待核查 ${handled} 件` : ""}`,
    seen ? `有效观察 ${few(looks)} 次，每百次 ${few(perLook * HUNDRED)} 件` : null,
    seen ? `巡查到的范围 ${percent(share)}` : null,
  ];
  return element("span", "heat-tip", element("b", "", name), ...lines.filter(Boolean).map((text) => element("span", "", text)));
}

function swatch({ colour, zh }) {
  const key = element("span", "swatch");
  const hatch = colour.match(/^url\(#(.+)-hatch\)$/);
  if (hatch) key.classList.add(hatch[1]);
  else key.style.background = colour;
  return element("li", "", key, zh);
}

export class HeatLayer {
  #map;
  #ask;
  #panel;
  #status = element("p", "heat-status");
  #days = element("select", "");
  #names = new Map();
  #matter = "";
  #on = false;
  #drawn = null; // the layer on the map
  #covers = null; // what was asked for: bounds, resolution, side
  #finest = SIZES[0][1]; // of which the server can make a map
  #renderer = L.svg({ pane: "heat", padding: 0.5 });
  #turn = 0;
  #settling = 0;
  #refreshing = 0;

  /** `ask(path)` reads from the server; `panel` gets the legend; `box` is the switch. */
  constructor(map, { ask, panel, box }) {
    this.#map = map;
    this.#ask = ask;
    this.#panel = panel;
    map.createPane("heat").style.zIndex = 350; // below the lines of areas, which are in the overlay pane
    this.#legend();
    box.addEventListener("change", () => this.#switch(box.checked));
    map.on("moveend", () => this.#moved());
    if (box.checked) this.#switch(true); // a browser keeps it over a reload
  }

  setAreas({ features }) {
    this.#names = new Map(features.map(({ properties }) => [properties.code, properties.name]));
  }

  /** Count only cases of one matter; "" counts all. */
  setMatter(matter) {
    if (matter === this.#matter) return;
    this.#matter = matter;
    if (this.#on) this.#read();
  }

  /** Something happened to a case. */
  changed() {
    if (this.#on) this.#refreshing ||= setTimeout(() => this.#read(), REFRESH_MS);
  }

  #legend() {
    for (const [days, zh] of DAYS) this.#days.add(new Option(zh, days, days === 7, days === 7));
    this.#days.setAttribute("aria-label", "巡查时段");
    this.#days.addEventListener("change", () => this.#read());
    this.#status.setAttribute("role", "status");
    const title = element("h2", "", "社区市容秩序热力图", this.#days);
    const unit = element("p", "", "每百次有效观察的待处理案件数");
    unit.title = EXPLAINED;
    this.#panel.replaceChildren(title, unit, element("ul", "scale", ...[...STEPS, QUIET, LITTLE, UNSEEN].map(swatch)), this.#status);
  }

  #switch(on) {
    this.#on = on;
    this.#panel.hidden = !on;
    this.#map.getContainer().classList.toggle("heat-on", on);
    if (on) this.#read();
    else this.#clear();
  }

  #clear() {
    this.#turn += 1; // an answer under way comes too late
    this.#drawn?.remove();
    this.#drawn = this.#covers = null;
  }

  #moved() {
    clearTimeout(this.#settling);
    if (!this.#on) return;
    const known = this.#covers?.resolution === this.#size()[1] && this.#covers.bounds.contains(this.#map.getBounds());
    if (known) this.#count();
    else this.#settling = setTimeout(() => this.#read(), SETTLE_MS);
  }

  #size() {
    const zoom = this.#map.getZoom();
    return SIZES.find(([from, resolution]) => zoom >= from && resolution <= this.#finest);
  }

  async #read() {
    clearTimeout(this.#refreshing);
    this.#refreshing = 0;
    if (!this.#on) return;
    const turn = ++this.#turn;
    const [, resolution, side] = this.#size();
    const bounds = this.#map.getBounds().pad(0.5); // a little way beyond the screen
    const [south, north] = [Math.max(-90, bounds.getSouth()), Math.min(90, bounds.getNorth())];
    const [west, east] = [Math.max(-180, bounds.getWest()), Math.min(180, bounds.getEast())];
    const query = new URLSearchParams({ resolution, days: this.#days.value, bbox: [west, south, east, north].join() });
    if (this.#matter) query.set("matter", this.#matter);
    try {
      const found = await this.#ask(`api/heatmap?${query}`);
      if (turn !== this.#turn) return;
      this.#covers = { bounds, resolution, side };
      this.#draw(found);
    } catch (error) {
      if (turn !== this.#turn) return;
      if (error.status === 400 && resolution > 7) { // too many cells: the next coarser size
        this.#finest = resolution - 1;
        this.#read();
        return;
      }
      this.#clear();
      this.#status.textContent = `热力图读取失败：${error.message}`;
    }
  }

  #draw(found) {
    this.#drawn?.remove();
    this.#drawn = L.geoJSON(found, { style, pane: "heat", renderer: this.#renderer });
    const days = this.#days.selectedOptions[0].text;
    this.#drawn.bindTooltip(({ feature: { properties } }) => {
      const name = properties.area === null ? "辖区外" : this.#names.get(properties.area) ?? properties.area;
      return tip(properties, name, days);
    }, { sticky: true, direction: "top", className: "heat-box" });
    this.#drawn.addTo(this.#map);
    this.#count();
  }

  /** Say how many of the cells on the screen were looked at. */
  #count() {
    const screen = this.#map.getBounds();
    const shown = this.#drawn.getLayers().filter((layer) => screen.intersects(layer.getBounds()));
    const unseen = shown.filter((layer) => layer.feature.properties.sight !== "seen").length;
    this.#status.textContent = shown.length === 0 ? "本屏没有辖区内的格子"
      : `本屏已巡查 ${shown.length - unseen} 格，未巡查 ${unseen} 格（格子边长约 ${this.#covers.side}）`;
  }
}
