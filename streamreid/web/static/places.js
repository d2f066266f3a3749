// @ts-check
/** Places: zones and lines drawn on a camera's picture or on the plan. */
import "./camera_view.js";
import { api, fresh, on, say, text } from "./frame.js";
import { PointLayer, placeNames } from "./point_layer.js";

/** @typedef {import("./point_layer.js").Point} Point */

placeNames();
on("swapped", () => placeNames());

const form = /** @type {HTMLFormElement | null} */ (document.getElementById("draw"));
const svg = document.getElementById("layer");
if (form && svg instanceof SVGSVGElement) drawing(form, svg);

/** @param {HTMLFormElement} form @param {SVGSVGElement} svg */
function drawing(form, svg) {
  const field = (/** @type {string} */ name) => /** @type {HTMLInputElement} */ (form.elements.namedItem(name));
  const corners = /** @type {HTMLElement} */ (document.getElementById("corners"));
  const line = () => field("kind").value === "line";
  const layer = new PointLayer(svg, {
    changed: list,
    most: () => (line() ? 2 : 200),
    outline: () => (line() ? "polyline" : "polygon"),
  });

  /** The corners as numbers, for whoever does not click. */
  function list() {
    if (corners.contains(document.activeElement)) return;
    corners.textContent = "";
    layer.points.forEach((point, number) => {
      const row = document.createElement("tr");
      const head = document.createElement("th");
      head.scope = "row";
      head.textContent = String(number + 1);
      row.append(head, ...["x", "y"].map((axis, place) => cell(number, axis, place, point[place])), removal(number));
      corners.append(row);
    });
  }

  /** @param {number} number @param {string} axis @param {number} place @param {number} value */
  function cell(number, axis, place, value) {
    const input = document.createElement("input");
    Object.assign(input, { type: "number", min: "0", max: "100", step: "0.1", value: (100 * value).toFixed(1) });
    input.setAttribute("aria-label", text("places.corner", { number: number + 1, axis }));
    input.addEventListener("input", () => {
      layer.points[number][place] = Math.min(1, Math.max(0, Number(input.value) / 100));
      layer.draw();
    });
    const box = document.createElement("td");
    box.append(input);
    return box;
  }

  /** @param {number} number */
  function removal(number) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text("places.remove_corner", { number: number + 1 });
    button.addEventListener("click", () => layer.set(layer.points.filter((_, other) => other !== number)));
    const box = document.createElement("td");
    box.append(button);
    return box;
  }

  document.getElementById("add-corner")?.addEventListener("click", () => {
    if (layer.points.length < (line() ? 2 : 200)) layer.set([...layer.points, [0.5, 0.5]]);
  });
  document.getElementById("clear")?.addEventListener("click", () => layer.set([]));
  field("kind").addEventListener("change", () => layer.set(line() ? layer.points.slice(0, 2) : layer.points));

  /** @param {Point} point @returns {Point} */
  function given(point) {
    const scale = Number(form.dataset.scale);
    if (!scale) return [Number(point[0].toFixed(4)), Number(point[1].toFixed(4))];
    const [width, height, left, bottom] = ["width", "height", "left", "bottom"].map((key) => Number(form.dataset[key]));
    return [Number(((point[0] * width - left) * scale).toFixed(3)), Number(((bottom - point[1] * height) * scale).toFixed(3))];
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const points = layer.points.map(given);
    if (points.length < (line() ? 2 : 3)) return say(text(line() ? "places.two" : "places.three"), "error");
    const ground = Boolean(form.dataset.scale);
    /** @type {Record<string, unknown>} */
    const body = { name: field("name").value };
    if (!ground) body.camera = form.dataset.camera;
    if (line()) Object.assign(body, { from: points[0], to: points[1] }, ground ? { ground: true } : {});
    else {
      body[ground ? "ground" : "polygon"] = points;
      if (field("loitering_time").value) body.loitering_time = Number(field("loitering_time").value);
      if (field("queue").checked) body.queue = true;
    }
    try {
      await api("POST", line() ? "/lines" : "/zones", body);
    } catch {
      return;
    }
    say(text("places.saved", { name: field("name").value }));
    field("name").value = "";
    layer.set([]);
    fresh("place");
  });
}
