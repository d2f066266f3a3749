// @ts-check
/**
 * `<camera-view camera="entrance">`: the moving picture of a camera, its people drawn above it. Clicking a person (or
 * Enter on one) sends "person" (`detail.global_id`, `detail.track_id`), clicking anywhere "point" (`detail.x`,
 * `detail.y` in [0, 1]).
 */
import { on, showCameras, text } from "./frame.js";

const SVG = "http://www.w3.org/2000/svg";
const COLOURS = 96;

/** Milliseconds without a picture from which a live one is called old. */
const OLD = 5000;

/** @param {number | null} who */
export const colourClass = (who) => (who ? `id-${1 + ((who - 1) % COLOURS)}` : "id-0");

/** @param {import("./frame.js").Person} person */
export const nameOf = (person) => (person.global_id ? `#${person.global_id}${person.name ? ` ${person.name}` : ""}` : text("live.unknown"));

export class CameraView extends HTMLElement {
  connectedCallback() {
    if (this.firstChild) return;
    this.camera = this.getAttribute("camera") ?? "";
    this.canvas = document.createElement("canvas");
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", text("live.picture", { camera: this.camera }));
    this.overlay = document.createElementNS(SVG, "svg");
    this.overlay.setAttribute("viewBox", "0 0 1 1");
    this.overlay.setAttribute("preserveAspectRatio", "none");
    this.waiting = document.createElement("span");
    this.waiting.className = "waiting";
    this.waiting.textContent = text("live.waiting");
    this.labels = document.createElement("div");
    this.labels.setAttribute("aria-hidden", "true");
    /** @type {number | null} */
    this.chosen = null;
    this.shown = 0;
    this.append(this.canvas, this.overlay, this.labels, this.waiting);
    this.addEventListener("click", (event) => {
      const area = this.getBoundingClientRect();
      const [x, y] = [(event.clientX - area.left) / area.width, (event.clientY - area.top) / area.height];
      this.dispatchEvent(new CustomEvent("point", { detail: { x, y, camera: this.camera } }));
    });
    lookAtAll();
  }

  disconnectedCallback() {
    lookAtAll();
  }

  /** Words over the picture. @param {string} words */
  say(words) {
    if (!this.waiting || this.waiting.textContent === words) return;
    this.waiting.textContent = words;
    this.classList.toggle("stale", words !== "" && this.header !== undefined);
  }

  /** A picture that stands still must not be taken for what is to be seen now. */
  checkAge() {
    const age = performance.now() - (this.received ?? Infinity);
    if (age > OLD) this.say(text("live.stale", { seconds: Math.floor(age / 1000) }));
  }

  /** Width in pixels of the screen that is worth asking for. */
  get pixels() {
    return Math.max(160, Math.round(this.clientWidth * Math.min(2, devicePixelRatio)));
  }

  /** @param {import("./frame.js").Picture} picture */
  async show({ header, jpeg, age }) {
    const number = (this.shown = (this.shown ?? 0) + 1);
    const bitmap = jpeg.size ? await createImageBitmap(jpeg) : null;
    if (number !== this.shown || !this.canvas || !this.overlay) return bitmap?.close();
    const [width, height] = header.size;
    this.style.aspectRatio = `${width} / ${height}`;
    for (const box of [this, this.closest(".drawing")]) if (box instanceof HTMLElement) box.style.setProperty("--ratio", String(width / height));
    if (bitmap) {
      this.canvas.width = bitmap.width;
      this.canvas.height = bitmap.height;
      this.canvas.getContext("2d")?.drawImage(bitmap, 0, 0);
      bitmap.close();
    }
    this.received = performance.now();
    this.say("");
    this.header = header;
    this.dataset.time = String(header.time);
    this.dataset.age = String(age);
    this.draw();
  }

  draw() {
    const { overlay, labels, header } = this;
    if (!overlay || !labels || !header) return;
    /** @type {Map<string, SVGGElement>} */
    const old = new Map([...overlay.querySelectorAll("g")].map((group) => [group.dataset.track ?? "", group]));
    labels.textContent = "";
    for (const person of header.people) {
      const key = String(person.track_id);
      const group = old.get(key) ?? this.group(key);
      old.delete(key);
      this.place(group, person);
      labels.append(labelOf(person));
    }
    for (const group of old.values()) group.remove();
  }

  /** @param {string} track */
  group(track) {
    const group = document.createElementNS(SVG, "g");
    group.dataset.track = track;
    group.setAttribute("tabindex", "0");
    group.setAttribute("role", "button");
    group.append(document.createElementNS(SVG, "rect"));
    const choose = () => {
      const person = this.header?.people.find((other) => String(other.track_id) === track);
      if (person) this.dispatchEvent(new CustomEvent("person", { bubbles: true, detail: { ...person, camera: this.camera } }));
    };
    group.addEventListener("click", choose);
    group.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      choose();
    });
    this.overlay?.append(group);
    return group;
  }

  /** @param {SVGGElement} group @param {import("./frame.js").Person} person */
  place(group, person) {
    const chosen = person.global_id !== null && person.global_id === this.chosen;
    group.setAttribute("class", `${colourClass(person.global_id)}${chosen ? " chosen" : ""}`);
    const probability = person.probability === null ? "–" : `${Math.round(100 * person.probability)} %`;
    group.setAttribute("aria-label", text("live.person", { who: nameOf(person), camera: this.camera, probability }));
    const rect = /** @type {SVGRectElement} */ (group.firstChild);
    ["x", "y", "width", "height"].forEach((name, place) => rect.setAttribute(name, String(person.box[place])));
  }
}

/** @param {import("./frame.js").Person} person */
function labelOf(person) {
  const label = document.createElement("span");
  label.className = `label ${colourClass(person.global_id)}`;
  const sure = person.probability === null ? "" : ` ${Math.round(100 * person.probability)} %`;
  label.textContent = nameOf(person) + sure;
  const [left, , width] = person.box;
  if (left > 0.7) label.style.right = `${100 * Math.max(0, 1 - left - width)}%`;
  else label.style.left = `${100 * Math.max(0, left)}%`;
  label.style.top = `${100 * Math.max(0.06, person.box[1])}%`;
  return label;
}

const all = () => /** @type {NodeListOf<CameraView>} */ (document.querySelectorAll("camera-view:not([still])"));

let asking = 0;
function lookAtAll() {
  clearTimeout(asking);
  asking = window.setTimeout(() => {
    if (document.body.dataset.kind === "live") showCameras(document.hidden ? [] : [...all()].map((view) => [view.camera ?? "", view.pixels]));
  }, 50);
}

customElements.define("camera-view", CameraView);
on("picture", (picture) => {
  if (document.body.dataset.kind !== "live") return;
  for (const view of all()) if (view.camera === picture.header.camera) void view.show(picture);
});
setInterval(() => {
  if (document.body.dataset.kind === "live" && !document.hidden) for (const view of all()) view.checkAge();
}, 1000);
document.addEventListener("visibilitychange", () => {
  for (const view of all()) if (view.received) view.received = performance.now(); // a tab in the background gets none
  lookAtAll();
});
addEventListener("resize", lookAtAll);
