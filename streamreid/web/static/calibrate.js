// @ts-check
/** A camera is calibrated: places are clicked, and where they are is typed, or clicked in another camera or on the plan. */
import { api, say, text } from "./frame.js";
import { PointLayer, dot, placeNames, shape } from "./point_layer.js";

/** @typedef {import("./point_layer.js").Point} Point */

const MOST = 100;
const PAUSE = 250;
const FOLLOW = 1000;
const byId = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));
const form = /** @type {HTMLFormElement} */ (byId("calibrate"));
const known = /** @type {HTMLSelectElement} */ (form.elements.namedItem("known"));
const rows = byId("points");
const keep = /** @type {HTMLButtonElement} */ (byId("keep"));

/** @type {[number, number, number, number][]} */
const before = JSON.parse(byId("known-points").textContent ?? "[]");
/** @type {[string, string][]} what was typed for each place, by number */
let typed = before.map(([, , x, y]) => [String(x), String(y)]);
/** @type {any} */
let answer = null;
/** @type {unknown} of the request that was answered so */
let body = null;
let waiting = 0;
let asked = 0;

const here = new PointLayer(/** @type {SVGSVGElement} */ (/** @type {unknown} */ (byId("layer"))), { most: () => MOST, outline: () => null, changed });
/** @type {Map<string, PointLayer>} */
const partners = new Map();
for (const box of document.querySelectorAll(".partner")) {
  const svg = /** @type {SVGSVGElement} */ (box.querySelector("svg.active"));
  partners.set(box.getAttribute("data-partner") ?? "", new PointLayer(svg, { most: () => MOST, outline: () => null, changed }));
}

const kind = () => known.value;
const partnerName = () => (kind() === "other" ? (known.selectedOptions[0].dataset.other ?? "") : "");
const partner = () => (kind() === "ground" ? null : (partners.get(partnerName()) ?? null));

/** Where a place is said to be; null where that is not said yet. @param {number} number @returns {Point | null} */
function place(number) {
  const other = partner();
  if (other) {
    const point = other.points[number];
    if (!point || kind() === "other") return point ?? null;
    const box = /** @type {HTMLElement} */ (other.svg.parentElement);
    return [point[0] * Number(box.dataset.width), point[1] * Number(box.dataset.height)];
  }
  const [x, y] = typed[number] ?? ["", ""];
  return x.trim() === "" || y.trim() === "" || !Number.isFinite(Number(x) + Number(y)) ? null : [Number(x), Number(y)];
}

/** What was answered, or is being asked, is of other points: nothing is kept of it. */
function stale() {
  answer = null;
  asked += 1;
  keep.disabled = true;
  clearTimeout(waiting);
  waiting = window.setTimeout(calculate, PAUSE);
}

function changed() {
  stale();
  table();
  numbers();
}

function table() {
  const active = rows.contains(document.activeElement) ? /** @type {HTMLElement} */ (document.activeElement).id : "";
  rows.textContent = "";
  here.points.forEach((point, number) => {
    const row = document.createElement("tr");
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = String(number + 1);
    row.append(head, ...point.map((value, axis) => share(number, axis, value)), ...[0, 1].map((axis) => coordinate(number, axis)));
    for (const key of ["error_cm", "error_px"]) {
      const cell = document.createElement("td");
      cell.className = "number";
      cell.textContent = answer?.points?.[number] ? answer.points[number][key].toFixed(1) : "–";
      row.append(cell);
    }
    row.append(removal(number));
    rows.append(row);
  });
  if (active) document.getElementById(active)?.focus();
}

/** @param {number} number @param {number} axis @param {number} value */
function share(number, axis, value) {
  const input = field(`share-${number}-${axis}`, (100 * value).toFixed(2), text("cameras.point", { number: number + 1, what: axis ? "down" : "across" }));
  input.addEventListener("change", () => {
    here.points[number][axis] = Math.min(1, Math.max(0, Number(input.value) / 100));
    here.update();
  });
  return cellOf(input);
}

/** @param {number} number @param {number} axis */
function coordinate(number, axis) {
  const other = partner();
  const value = other ? (other.points[number]?.[axis] ?? null) : (typed[number]?.[axis] ?? "");
  const shown = other ? (value === null ? "" : (100 * Number(value)).toFixed(2)) : String(value);
  const input = field(`place-${number}-${axis}`, shown, text("cameras.point", { number: number + 1, what: axis ? "y" : "x" }));
  input.dataset.place = `${number} ${axis}`;
  input.addEventListener("input", () => {
    if (other) return;
    typed[number] = typed[number] ?? ["", ""];
    typed[number][axis] = input.value;
    stale();
  });
  input.readOnly = other !== null;
  return cellOf(input);
}

/** @param {string} id @param {string} value @param {string} label */
function field(id, value, label) {
  const input = document.createElement("input");
  Object.assign(input, { type: "number", step: "any", value, id });
  input.setAttribute("aria-label", label);
  return input;
}

/** @param {HTMLElement} inside */
function cellOf(inside) {
  const cell = document.createElement("td");
  cell.append(inside);
  return cell;
}

/** @param {number} number */
function removal(number) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = text("cameras.remove_point", { number: number + 1 });
  button.addEventListener("click", () => {
    typed = typed.filter((_, other) => other !== number);
    const other = partner();
    if (other) other.points = other.points.filter((_, place) => place !== number);
    other?.draw();
    here.set(here.points.filter((_, place) => place !== number));
  });
  return cellOf(button);
}

function numbers() {
  for (const layer of [here, ...partners.values()]) {
    const names = layer.svg.parentElement?.querySelector(".names");
    if (!names) continue;
    names.textContent = "";
    layer.points.forEach(([x, y], number) => {
      const name = document.createElement("span");
      Object.assign(name.dataset, { x: String(x), y: String(y) });
      name.textContent = String(number + 1);
      names.append(name);
    });
  }
  placeNames();
}

async function calculate() {
  const said = byId("found");
  const places = here.points.map((_, number) => place(number));
  const ready = places.filter((found) => found !== null).length;
  keep.disabled = true;
  byId("result").textContent = "";
  if (ready < 4 || ready < here.points.length) {
    said.textContent = partner() && here.points.length >= 4 ? text("cameras.partner", { count: here.points.length }) : text("cameras.four");
    return;
  }
  const points = here.points.map((pixel, number) => ({ pixel, [kind()]: places[number] }));
  const number = ++asked;
  const request = { camera: form.dataset.camera, points, ...(partnerName() ? { other: partnerName() } : {}) };
  let found;
  try {
    found = await api("POST", "/calibrations", request);
  } catch (error) {
    if (number === asked) said.textContent = error instanceof Error ? error.message : "";
    return;
  }
  if (number !== asked) return;
  answer = found;
  body = request;
  table();
  tell(found, said);
  show(found);
  keep.disabled = !found.usable;
}

/** @param {any} found @param {HTMLElement} said */
function tell(found, said) {
  said.textContent = "";
  const add = (/** @type {string} */ what, /** @type {string} */ kind) => {
    const line = document.createElement("p");
    line.className = kind;
    line.textContent = what;
    said.append(line);
  };
  add(text("cameras.summary", { error: found.median_error_cm.toFixed(1), expected: found.expected_error_cm.toFixed(1), view: found.view }), found.usable ? "good" : "warn");
  for (const problem of found.problems) add(problem, "warn");
  if (found.people.length) add(text("cameras.people", { count: found.people.length }), "note");
}

/** Where the calibration puts the places, and people whom other cameras see. @param {any} found */
function show(found) {
  const svg = byId("result");
  svg.textContent = "";
  if (!found.matrix) return;
  const [width, height] = found.size;
  found.points.forEach((/** @type {any} */ point) => {
    const [x, y] = point.ground;
    const seen = found.matrix.map((/** @type {number[]} */ row) => row[0] * x + row[1] * y + row[3]);
    const fitted = /** @type {Point} */ ([seen[0] / seen[2] / width, seen[1] / seen[2] / height]);
    const [px, py] = [point.pixel[0] / width, point.pixel[1] / height];
    svg.append(shape("line", { x1: String(px), y1: String(py), x2: String(fitted[0]), y2: String(fitted[1]), class: "off" }), dot(fitted, "fitted"));
  });
  for (const { feet, head } of found.people) {
    svg.append(shape("line", { x1: feet[0], y1: feet[1], x2: head[0], y2: head[1], class: "other" }));
  }
}

/** People walk on: where other cameras see them now. */
async function follow() {
  const number = asked;
  if (!answer?.matrix || document.hidden) return;
  const now = await fetch("/calibrations", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  if (!now.ok || number !== asked || !answer) return;
  show({ ...answer, people: (await now.json()).people });
}
setInterval(() => follow().catch(() => {}), FOLLOW);

known.addEventListener("change", () => {
  for (const box of document.querySelectorAll(".partner")) {
    const wanted = kind() === "plan" ? "" : partnerName();
    /** @type {HTMLElement} */ (box).hidden = kind() === "ground" || box.getAttribute("data-partner") !== wanted;
  }
  changed();
});
byId("add-point").addEventListener("click", () => here.set([...here.points, [0.5, 0.5]]));
byId("clear").addEventListener("click", () => {
  typed = [];
  for (const other of partners.values()) other.set([]);
  here.set([]);
});
keep.addEventListener("click", async () => {
  if (!answer?.usable) return;
  try {
    await api("PATCH", `/cameras/${encodeURIComponent(form.dataset.camera ?? "")}`, { calibration: answer.calibration });
  } catch {
    return;
  }
  say(text("cameras.kept"));
});
form.addEventListener("submit", (event) => event.preventDefault());
here.set(before.map(([x, y]) => /** @type {Point} */ ([x, y])));
