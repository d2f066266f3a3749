// @ts-check
/** Points that are clicked on a picture: an SVG above it with a view box of 1 x 1, so that points are shares of it. */

const SVG = "http://www.w3.org/2000/svg";
const NEAR = 14;

/** @typedef {[number, number]} Point */

/** @param {string} name @param {Record<string, string>} attributes */
export function shape(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

/** A dot that is round however the picture is stretched. @param {Point} point @param {string} kind */
export const dot = ([x, y], kind) => shape("path", { d: `M ${x} ${y} h 0`, class: kind });

export class PointLayer {
  /**
   * @param {SVGSVGElement} svg
   * @param {{changed: () => void, most: () => number, outline: () => "polygon" | "polyline" | null}} options
   */
  constructor(svg, options) {
    this.svg = svg;
    this.options = options;
    /** @type {Point[]} */
    this.points = [];
    this.group = /** @type {SVGGElement} */ (shape("g", { class: "new" }));
    svg.append(this.group);
    /** @type {number | null} */
    this.held = null;
    svg.addEventListener("pointerdown", (event) => this.press(event));
    svg.addEventListener("pointermove", (event) => this.move(event));
    svg.addEventListener("pointerup", () => (this.held = null));
  }

  /** @param {PointerEvent} event @returns {Point} */
  at(event) {
    const area = this.svg.getBoundingClientRect();
    const inside = (/** @type {number} */ share) => Math.min(1, Math.max(0, share));
    return [inside((event.clientX - area.left) / area.width), inside((event.clientY - area.top) / area.height)];
  }

  /** @param {PointerEvent} event */
  press(event) {
    if (event.button !== 0) return;
    event.preventDefault();
    const point = this.at(event);
    const area = this.svg.getBoundingClientRect();
    const apart = (/** @type {Point} */ [x, y]) => Math.hypot((x - point[0]) * area.width, (y - point[1]) * area.height);
    const near = this.points.findIndex((other) => apart(other) < NEAR);
    if (near >= 0) this.held = near;
    else if (this.points.length < this.options.most()) this.held = this.points.push(point) - 1;
    if (this.held !== null) this.svg.setPointerCapture(event.pointerId);
    this.update();
  }

  /** @param {PointerEvent} event */
  move(event) {
    if (this.held === null) return;
    this.points[this.held] = this.at(event);
    this.update();
  }

  /** @param {Point[]} points */
  set(points) {
    this.points = points;
    this.update();
  }

  update() {
    this.draw();
    this.options.changed();
  }

  draw() {
    this.group.textContent = "";
    const outline = this.options.outline();
    if (outline && this.points.length > 1) {
      this.group.append(shape(outline, { points: this.points.map((point) => point.join(",")).join(" ") }));
    }
    for (const point of this.points) this.group.append(dot(point, "knob"));
  }
}

/** Put the names of places where they are. @param {ParentNode} [root] */
export function placeNames(root = document) {
  for (const name of root.querySelectorAll(".names [data-x]")) {
    if (!(name instanceof HTMLElement)) continue;
    name.style.left = `${100 * Number(name.dataset.x)}%`;
    name.style.top = `${100 * Number(name.dataset.y)}%`;
  }
}

// How wide a picture may be follows from its shape: all of it is to be in the window.
for (const image of document.querySelectorAll(".drawing > img")) {
  if (!(image instanceof HTMLImageElement)) continue;
  const fit = () => image.naturalWidth && image.parentElement?.style.setProperty("--ratio", String(image.naturalWidth / image.naturalHeight));
  image.addEventListener("load", fit);
  fit();
}
