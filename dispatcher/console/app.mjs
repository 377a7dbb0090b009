// The page of the duty officer: puts the parts together.

import { Desk } from "./desk.mjs";
import { showDetail } from "./detail.mjs";
import { HeatLayer } from "./heat.mjs";
import { Late } from "./late.mjs";
import { CaseList } from "./list.mjs";
import { Live } from "./live.mjs";
import { CaseMap, legend } from "./map.mjs";
import { leave, showMe, signedOut } from "./me.mjs";
import { STATES, longTime, percent } from "./words.mjs";
import { WorkPanel } from "./work.mjs";

const LINK_ZH = { wait: "连接中", live: "实时连接", lost: "重连中" };
const LAYERS = ["city", "district", "street", "community"];
const LIMIT = 500;
const $ = (selector) => document.querySelector(selector);

const desk = new Desk();
const form = $("#filters");
const lists = { owned: new CaseList($("#owned .cases")), unowned: new CaseList($("#unowned .cases")) };
const map = new CaseMap($("#map"), (id) => { location.hash = `case/${encodeURIComponent(id)}`; });
const office = new WorkPanel({ mark: (spots) => map.mark(spots) });
const heat = new HeatLayer(map.leaflet, { ask: get, panel: $("#heat-legend"), box: $("#heat-switch") });
const live = new Live(desk, { state: showLink, event: take, foreign: () => reload() });
const late = new Late(desk, { ask: get, limit: LIMIT, changed: () => draw() });
let selected = null; // the case in the detail pane
let fresh = new Set(); // ids that arrived and were not drawn yet
let drawing = 0;

async function get(path) {
  const answer = await fetch(path, { headers: { accept: "application/json" } });
  if (answer.status === 401) leave();
  const body = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(body.detail ?? answer.statusText), { status: answer.status });
  return body;
}

function fault(message) {
  $("#fault").hidden = !message;
  $("#fault").textContent = message ?? "";
}

// Reading and listening

let reading = 0; // which reading is the newest: the filter may change while an older one is under way
let retrying = 0;

/** Read the list anew with the current filter, then listen from there on. */
async function reload() {
  live.close();
  clearTimeout(retrying);
  const turn = ++reading;
  try {
    const listing = await get(`api/cases?${desk.query({ limit: LIMIT })}`);
    if (turn !== reading) return;
    desk.load(listing);
    fault(null);
  } catch (error) {
    if (turn !== reading) return;
    fault(`案件列表读取失败：${error.message}。正在重试…`);
    showLink("lost");
    retrying = setTimeout(reload, 3000);
    return;
  }
  live.open();
  draw();
  refreshSummary();
}

function take(message) {
  const taken = desk.take(message);
  heat.changed();
  late.soon();
  if (!taken) return;
  if (taken.isNew) {
    fresh.add(taken.record.id);
    announce(taken.record, message.event);
  }
  if (taken.record.id === selected?.id) open(taken.record.id, { move: false, focus: false });
  drawing ||= setTimeout(draw, 50); // events that come together are drawn together, also in a hidden tab
  refreshSummary();
}

let waiting = [];
let announcing = 0;

/** For those who listen. What comes within a second is told together. */
function announce(record, event) {
  waiting.push(`${event.event_zh}：${record.matter_zh}，${record.area_path ?? "无属地"}，置信度 ${percent(record.confidence)}`);
  announcing ||= setTimeout(() => {
    $("#announce").textContent = waiting.length > 3 ? `新动态 ${waiting.length} 条，最近：${waiting.at(-1)}` : waiting.join("；");
    waiting = [];
    announcing = 0;
  }, 1000);
}

function showLink(state) {
  if (state === "lost") signedOut().then((over) => over && leave());
  $("#link").dataset.link = state;
  $("#link").textContent = LINK_ZH[state];
}

let summing = 0;

function refreshSummary() {
  summing ||= setTimeout(async () => {
    summing = 0;
    const summary = await get("api/summary").catch(() => null); // the next event asks again
    if (summary) showSummary(summary);
  }, 300);
}

function showSummary(summary) {
  const counts = {
    open: summary.by_state.open, candidate: summary.by_state.candidate, closed: summary.by_state.closed,
    unowned: summary.unowned, today: summary.opened_today,
  };
  for (const [tile, n] of Object.entries(counts)) $(`[data-tile="${tile}"] b`).textContent = n ?? 0;
  for (const option of form.matter.options) {
    option.hidden = option.value !== "" && !option.dataset.kind && !summary.by_matter[option.value];
  }
}

// Drawing

function draw() {
  drawing = 0;
  const records = desk.list();
  const apart = records.filter((record) => record.area === null);
  const rest = records.filter((record) => record.area !== null);
  const look = { fresh, selected: selected?.id ?? null };
  lists.unowned.show(apart, look);
  lists.owned.show(rest, look);
  map.show(records, { fresh, selected });
  $("#unowned").hidden = apart.length === 0;
  $("#unowned .n").textContent = `${apart.length} 件`;
  const total = desk.least ? `超过 ${desk.total} 件` : `共 ${desk.total} 件`;
  const cut = desk.least || desk.total > LIMIT ? `（列出最近 ${records.length} 件，${total}）` : "";
  $("#owned .n").textContent = `${rest.length} 件${cut}`;
  $("#owned .empty").hidden = records.length > 0;
  $("#owned").hidden = rest.length === 0 && apart.length > 0;
  fresh = new Set();
}

// One case

async function open(id, { move = true, focus = true } = {}) {
  let found;
  try {
    found = await get(`api/cases/${encodeURIComponent(id)}`);
  } catch (error) {
    fault(`案件 ${id} 无法打开：${error.message}`);
    close();
    return;
  }
  if (id !== wantedCase()) return; // another one was chosen meanwhile
  fault(null);
  selected = found.case;
  const pane = $("#detail");
  const scrolled = pane.querySelector(".detail-body")?.scrollTop ?? 0;
  const typing = office.focused; // drawing the pane anew takes the panel out of it
  const title = showDetail(pane, found);
  office.show(selected, pane, typing);
  $("#browse").hidden = true;
  pane.hidden = false;
  document.body.classList.add("reading");
  if (focus) title.focus();
  else pane.querySelector(".detail-body").scrollTop = scrolled;
  map.point(selected, { move });
  draw();
}

function close() {
  const last = selected?.id;
  selected = null;
  office.away();
  $("#detail").hidden = true;
  $("#browse").hidden = false;
  document.body.classList.remove("reading");
  map.point(null);
  draw();
  if (last && !lists.owned.focus(last)) lists.unowned.focus(last);
}

function wantedCase() {
  const [, id] = location.hash.match(/^#case\/(.+)$/) ?? [];
  return id ? decodeURIComponent(id) : null;
}

function route() {
  const id = wantedCase();
  if (id) open(id);
  else if (selected) close();
}

// Filters

function filtered() {
  desk.filter = { ...desk.filter, state: form.state.value, matter: form.matter.value, area: form.area.value, overdue: form.overdue.checked };
  const { state, matter, area, unowned, overdue } = desk.filter;
  heat.setMatter(matter);
  $("#reset").hidden = !(state || matter || area || unowned || overdue);
  for (const tile of document.querySelectorAll("button[data-tile]")) {
    const { tile: name } = tile.dataset;
    tile.setAttribute("aria-pressed", String(name === "unowned" ? unowned : name === state));
  }
  reload();
}

function pressed(tile) {
  const on = tile.getAttribute("aria-pressed") !== "true";
  if (tile.dataset.tile === "unowned") desk.filter.unowned = on;
  else form.state.value = on ? tile.dataset.tile : "";
  if (wantedCase()) location.hash = "";
  filtered();
}

function fillAreas({ features }) {
  const below = (parent) => features.map((feature) => feature.properties).filter((area) => area.parent === parent);
  const known = new Set(features.map((feature) => feature.properties.code));
  const add = (area, depth) => {
    if (!LAYERS.includes(area.layer)) return;
    form.area.add(new Option(`${"　".repeat(depth)}${area.name}`, area.code));
    for (const child of below(area.code)) add(child, depth + 1);
  };
  for (const { properties } of features) if (!known.has(properties.parent)) add(properties, 0);
}

function fillMatters(matters) {
  for (const matter of matters) {
    const option = new Option(`${matter.code} ${matter.zh}`, matter.code);
    if (matter.kind) option.dataset.kind = matter.kind;
    option.hidden = !matter.kind;
    form.matter.add(option);
  }
}

function noteAreas(collection) {
  const notes = [];
  if (collection.features.some((feature) => feature.properties.demo)) notes.push("示意辖区（非官方边界）");
  if (collection.features.length === 0) notes.push("未加载辖区：所有案件均无属地");
  if (collection.attribution) notes.push(collection.attribution);
  $("#map-note").textContent = notes.join(" · ");
  $("#map-note").hidden = notes.length === 0;
}

// Start

function listen() {
  addEventListener("hashchange", route);
  addEventListener("pagehide", () => live.close());
  addEventListener("pageshow", (event) => { if (event.persisted) live.open(); });
  addEventListener("keydown", (event) => { if (event.key === "Escape" && selected && !document.querySelector("dialog[open]")) location.hash = ""; });
  form.addEventListener("change", filtered);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => {
    desk.filter.unowned = false;
    setTimeout(filtered); // the fields are reset after this event
  });
  $("#tiles").addEventListener("click", (event) => {
    const tile = event.target.closest("button");
    if (tile) pressed(tile);
  });
}

function tick() {
  $("#clock").textContent = longTime(new Date().toISOString()).slice(0, 16);
}

async function start() {
  for (const state of STATES) form.state.add(new Option(state.zh, state.id));
  legend($("#legend"));
  listen();
  tick();
  setInterval(tick, 5000);
  try {
    showMe($(".bar"), await get("api/me"));
    const [areas, matters, objects] = await Promise.all(["api/areas", "api/matters", "api/objects"].map(get));
    fillAreas(areas);
    fillMatters(matters);
    noteAreas(areas);
    map.setAreas(areas);
    heat.setAreas(areas);
    map.setObjects(objects);
  } catch (error) {
    fault(`辖区或事项读取失败：${error.message}`);
  }
  await reload();
  route();
}

start();
