// The map: areas, cases and the error of the selected one. No tiles: nothing is loaded from elsewhere.

import * as L from "./vendor/leaflet/leaflet.mjs";
import { AreaLayer } from "./areas.mjs";
import { STATES, element, sign } from "./words.mjs";

const SIZE = 24;
const STEM = 14; // the selected pin stands above its place, so that the ellipse can be seen
const CLOSE = 19.5; // zoom at which an error of a metre can be seen
const SIGMAS_95 = 2.4477; // a 2-D Gaussian has 95 % of its mass within so many standard deviations
const M_PER_DEG = 111_195;
const ORDER = new Map(STATES.map((state, index) => [state.id, -index * 1000])); // what needs work lies on top

function ring({ lat, lon, ellipse }) {
  const bearing = (ellipse.bearing_deg * Math.PI) / 180;
  return Array.from({ length: 64 }, (_, index) => {
    const angle = (index / 64) * 2 * Math.PI;
    const along = SIGMAS_95 * ellipse.major_m * Math.cos(angle);
    const across = SIGMAS_95 * ellipse.minor_m * Math.sin(angle);
    const north = along * Math.cos(bearing) - across * Math.sin(bearing);
    const east = along * Math.sin(bearing) + across * Math.cos(bearing);
    return [lat + north / M_PER_DEG, lon + east / (M_PER_DEG * Math.cos((lat * Math.PI) / 180))];
  });
}

function icon(state, selected, fresh) {
  const pin = element("span", "pin", sign(state));
  pin.dataset.state = state;
  pin.classList.toggle("selected", selected);
  pin.classList.toggle("fresh", fresh);
  return L.divIcon({
    html: pin, className: "pin-box", iconSize: [SIZE, SIZE],
    iconAnchor: [SIZE / 2, selected ? SIZE + STEM : SIZE / 2],
  });
}

export class CaseMap {
  #map;
  #areas;
  #markers = new Map();
  #ellipse = null;
  #spots = L.layerGroup(); // named places of a form that is being filled
  #onSelect;
  #framed = false;
  #before = null; // the view before the first case was chosen

  constructor(pane, onSelect) {
    this.#onSelect = onSelect;
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.#map = L.map(pane, {
      center: [22.54, 114.05], zoom: 12, minZoom: 4, maxZoom: 21, zoomSnap: 0.5, attributionControl: false,
      zoomControl: false, zoomAnimation: !still, fadeAnimation: !still,
    });
    L.control.zoom({ zoomInTitle: "放大", zoomOutTitle: "缩小" }).addTo(this.#map);
    L.control.scale({ imperial: false, maxWidth: 140 }).addTo(this.#map);
    pane.setAttribute("aria-label", "地图：方向键平移，加减号缩放；每个案件也在列表中");
    pane.setAttribute("role", "application");
    this.#areas = new AreaLayer(this.#map);
    this.#spots.addTo(this.#map);
    new ResizeObserver(() => this.#map.invalidateSize({ animate: false })).observe(pane);
  }

  /** For further layers. */
  get leaflet() {
    return this.#map;
  }

  setAreas(collection) {
    this.#areas.show(collection);
    this.#frame(this.#areas.bounds());
  }

  setObjects(objects) {
    for (const thing of objects) {
      L.circleMarker([thing.lat, thing.lon], { radius: 4, className: "thing", interactive: false }).addTo(this.#map);
    }
  }

  /** Show these cases; `selected` is one of them, or one from outside the list, or null. */
  show(records, { fresh = new Set(), selected = null } = {}) {
    const all = selected && !records.some((record) => record.id === selected.id) ? [...records, selected] : records;
    const wanted = new Set(all.map((record) => record.id));
    for (const [id, { marker }] of this.#markers) {
      if (!wanted.has(id)) {
        marker.remove();
        this.#markers.delete(id);
      }
    }
    for (const record of all) this.#put(record, record.id === selected?.id, fresh.has(record.id));
    if (!this.#framed && records.length) this.#frame(L.latLngBounds(records.map(({ lat, lon }) => [lat, lon])));
  }

  /** Draw the 95 % ellipse of a case and go there; null takes it away and goes back. */
  point(record, { move = true } = {}) {
    this.#ellipse?.remove();
    this.#ellipse = null;
    if (!record) {
      if (this.#before) this.#map.setView(this.#before.centre, this.#before.zoom);
      this.#before = null;
      return;
    }
    this.#ellipse = L.polygon(ring(record), { className: "ellipse", interactive: false }).addTo(this.#map);
    const area = record.area_path?.split(" / ").at(-1) ?? "无属地";
    const options = { permanent: true, direction: "bottom", offset: [0, 14], className: "place" };
    this.#ellipse.bindTooltip(element("span", "", `${area} · 95% 位置范围`), options);
    if (!move) return;
    this.#before ??= { centre: this.#map.getCenter(), zoom: this.#map.getZoom() };
    const fitting = Math.min(CLOSE, this.#map.getBoundsZoom(this.#ellipse.getBounds()) - 1);
    this.#map.setView([record.lat, record.lon], Math.max(this.#map.getZoom(), fitting));
  }

  /** Name some places, in place of those before. */
  mark(spots) {
    this.#spots.clearLayers();
    for (const { lat, lon, name, chosen } of spots) {
      const html = element("span", "spot", name);
      html.classList.toggle("chosen", chosen);
      const icon = L.divIcon({ html, className: "pin-box", iconSize: [18, 18] });
      L.marker([lat, lon], { icon, keyboard: false, interactive: false, zIndexOffset: 11_000 }).addTo(this.#spots);
    }
  }

  #put(record, selected, fresh) {
    const look = `${record.state}|${selected}|${record.lat}|${record.lon}`;
    const known = this.#markers.get(record.id);
    if (known?.look === look && !fresh) return;
    known?.marker.remove();
    const marker = L.marker([record.lat, record.lon], {
      icon: icon(record.state, selected, fresh),
      keyboard: false, // the list is the way by keyboard: hundreds of stops would be in its way
      zIndexOffset: selected ? 10_000 : ORDER.get(record.state) ?? -9_000,
    });
    const tip = element("span", "", `${record.matter_zh} · ${record.state_zh}`);
    marker.bindTooltip(tip, { direction: "top", offset: [0, selected ? -34 : -10] });
    marker.on("click", () => this.#onSelect(record.id));
    marker.addTo(this.#map);
    this.#markers.set(record.id, { marker, look });
  }

  #frame(bounds) {
    if (!bounds?.isValid()) return;
    this.#framed = true;
    this.#map.fitBounds(bounds.pad(0.04), { animate: false, maxZoom: 18 });
  }
}

export function legend(list) {
  for (const state of STATES) {
    const pin = element("span", "pin", state.sign);
    pin.dataset.state = state.id;
    list.append(element("li", "", pin, state.zh));
  }
  list.append(element("li", "", element("span", "thing-key"), "垃圾桶（参照物）"));
}
