// Evidence pictures with the box of the thing drawn in.

import { element, missingReason } from "./words.mjs";

const SVG = "http://www.w3.org/2000/svg";
const CONTEXT = 2.4; // a thumbnail shows the box and so many times its size around it ...
const LEAST = 0.3; // ... but at least this part of the picture

function absent(reason, className) {
  return element("span", `${className} absent`, element("span", "", "无证据图片"), element("small", "", reason));
}

function loaded(evidence, className, alt, ready) {
  if (!evidence.url) return absent(missingReason(evidence.missing ?? "not-recorded"), className);
  const image = element("img", "");
  image.alt = alt;
  image.decoding = "async";
  const frame = element("span", className, image);
  image.addEventListener("load", () => ready(frame, image));
  image.addEventListener("error", () => frame.replaceWith(absent("证据文件缺失或无法读取", className)));
  image.src = evidence.url;
  return frame;
}

/** A thumbnail of `width` by `height` CSS pixels, cut around the box. */
export function thumbnail(evidence, alt, [width, height]) {
  return loaded(evidence, "thumb", alt, (frame, image) => {
    const [x1, y1, x2, y2] = evidence.box_xyxy ?? [0, 0, image.naturalWidth, image.naturalHeight];
    const wide = Math.max((x2 - x1) * CONTEXT, ((y2 - y1) * CONTEXT * width) / height, image.naturalWidth * LEAST);
    const scale = Math.max(width / wide, width / image.naturalWidth, height / image.naturalHeight);
    const place = (centre, whole, part) => Math.min(Math.max(centre * scale - part / 2, 0), whole * scale - part);
    const left = place((x1 + x2) / 2, image.naturalWidth, width);
    const top = place((y1 + y2) / 2, image.naturalHeight, height);
    Object.assign(image.style, {
      width: `${image.naturalWidth * scale}px`, height: `${image.naturalHeight * scale}px`,
      left: `${-left}px`, top: `${-top}px`,
    });
    if (!evidence.box_xyxy) return;
    const box = element("span", "box");
    Object.assign(box.style, {
      left: `${x1 * scale - left}px`, top: `${y1 * scale - top}px`,
      width: `${(x2 - x1) * scale}px`, height: `${(y2 - y1) * scale}px`,
    });
    frame.append(box);
  });
}

/** The whole picture; the box scales with it. */
export function picture(evidence, alt) {
  return loaded(evidence, "picture", alt, (frame, image) => {
    if (!evidence.box_xyxy) return;
    const [x1, y1, x2, y2] = evidence.box_xyxy;
    const overlay = document.createElementNS(SVG, "svg");
    overlay.setAttribute("viewBox", `0 0 ${image.naturalWidth} ${image.naturalHeight}`);
    overlay.setAttribute("aria-hidden", "true");
    for (const name of ["under", "over"]) {
      const box = document.createElementNS(SVG, "rect");
      box.setAttribute("class", name);
      for (const [key, value] of Object.entries({ x: x1, y: y1, width: x2 - x1, height: y2 - y1 })) {
        box.setAttribute(key, value);
      }
      overlay.append(box);
    }
    frame.append(overlay);
  });
}
