// Areas on the map: one soft colour a street, and names where there is room for them.

import * as L from "./vendor/leaflet/leaflet.mjs";
import { element } from "./words.mjs";

const COLOURS = ["#8fb8de", "#a8d0b0", "#e3c98f", "#c9b3dc", "#9fd1d4", "#e2b3a6", "#c3cf94", "#b5bfd6"];
const RANK = ["city", "district", "street", "community", "grid"];
const WEIGHT = { city: 3, district: 3, street: 2, community: 1, grid: 0.5 };
const EM = { city: 22, district: 21, street: 16, community: 13, grid: 13 }; // pixels a character takes in a label

function label(text, layer) {
  const html = element("span", "", text);
  return L.divIcon({ html, className: `area-label ${layer}`, iconSize: [0, 0] });
}

export class AreaLayer {
  #map;
  #shapes = L.featureGroup();
  #labels = []; // { marker, bounds, text, layer }, coarse layers first
  #colours = new Map();

  constructor(map) {
    this.#map = map;
    this.#shapes.addTo(map);
    map.on("zoomend", () => this.#relabel());
  }

  bounds() {
    return this.#shapes.getBounds();
  }

  /** Show a FeatureCollection, coarse layers first. */
  show({ features }) {
    const ordered = [...features].sort((a, b) => RANK.indexOf(a.properties.layer) - RANK.indexOf(b.properties.layer));
    const parents = new Set(features.map((feature) => feature.properties.parent));
    for (const feature of ordered) this.#add(feature, !parents.has(feature.properties.code));
    this.#relabel();
  }

  #add(feature, finest) {
    const { code, name, layer, parent } = feature.properties;
    const shape = L.geoJSON(feature, {
      interactive: false,
      style: {
        className: "area-shape",
        weight: WEIGHT[layer] ?? 1, color: layer === "street" || layer === "district" ? "#5b7391" : "#8397b0",
        dashArray: layer === "district" ? "8 5" : null,
        fill: finest, fillColor: this.#colour(layer === "community" ? parent ?? code : code), fillOpacity: 0.38,
      },
    });
    this.#shapes.addLayer(shape);
    const bounds = shape.getBounds();
    const marker = L.marker(this.#centre(shape, bounds), {
      icon: label(name, layer), interactive: false, keyboard: false, zIndexOffset: -50_000,
    });
    this.#labels.push({ marker, bounds, text: name, layer });
  }

  /** Inside the area, also where it has several parts: the middle of the first one. */
  #centre(shape, bounds) {
    const [polygon] = shape.getLayers();
    return polygon?.getCenter ? polygon.getCenter() : bounds.getCenter();
  }

  #colour(street) {
    if (!this.#colours.has(street)) this.#colours.set(street, COLOURS[this.#colours.size % COLOURS.length]);
    return this.#colours.get(street);
  }

  /** The finest names that fit, then coarser ones wherever they do not lie over a name. */
  #relabel() {
    const taken = [];
    for (const item of [...this.#labels].reverse()) {
      const place = this.#room(item);
      const shown = place !== null && !taken.some((other) => other.intersects(place));
      if (shown) {
        taken.push(place);
        item.marker.addTo(this.#map);
      } else item.marker.remove();
    }
  }

  /** The pixels that a name takes, null when its area is too small for it. */
  #room({ marker, bounds, text, layer }) {
    const at = (latLng) => this.#map.latLngToLayerPoint(latLng);
    const size = at(bounds.getSouthEast()).subtract(at(bounds.getNorthWest()));
    const half = L.point((text.length * (EM[layer] ?? EM.community)) / 2 + 4, EM.district * 0.7);
    if (size.x < 2 * half.x || size.y < 2 * half.y) return null;
    const centre = at(marker.getLatLng());
    return L.bounds(centre.subtract(half), centre.add(half));
  }
}
