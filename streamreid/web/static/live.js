// @ts-check
/** Live: who is in the pictures, and one of them followed from camera to camera. */
import { CameraView, colourClass, nameOf } from "./camera_view.js";
import { on, text } from "./frame.js";

/** @type {string[]} */
const parts = JSON.parse(document.getElementById("parts")?.textContent ?? "[]");
const list = /** @type {HTMLElement} */ (document.getElementById("people"));
const bar = /** @type {HTMLElement} */ (document.getElementById("followed"));
/** @type {number | null} */
let followed = Number(new URLSearchParams(location.search).get("follow")) || null;

const views = () => /** @type {CameraView[]} */ ([...document.querySelectorAll("camera-view")]);

/** @param {number | null} who */
function follow(who) {
  followed = who;
  const address = new URL(location.href);
  if (who) address.searchParams.set("follow", String(who));
  else address.searchParams.delete("follow");
  history.replaceState(null, "", address);
  update();
}

/** @param {import("./frame.js").Person} person */
function visibleParts(person) {
  const seen = parts.filter((_, place) => (person.visibility[place] ?? 0) >= 0.5);
  return parts.length > 1 && seen.length ? text("live.parts", { parts: seen.join(", ") }) : "";
}

function update() {
  /** @type {Map<number, {person: import("./frame.js").Person, cameras: string[]}>} */
  const people = new Map();
  for (const view of views()) {
    view.chosen = followed;
    view.draw?.();
    for (const person of view.header?.people ?? []) {
      if (!person.global_id) continue;
      const known = people.get(person.global_id) ?? { person, cameras: [] };
      known.cameras.push(view.camera ?? "");
      people.set(person.global_id, known);
    }
    view.closest(".tile")?.classList.toggle("has-person", followed !== null && (view.header?.people ?? []).some((p) => p.global_id === followed));
  }
  show(people);
  bar.hidden = followed === null;
  if (followed === null) return;
  const found = people.get(followed);
  /** @type {HTMLElement} */ (document.getElementById("followed-name")).textContent = found ? nameOf(found.person) : `#${followed}`;
  const where = /** @type {HTMLElement} */ (document.getElementById("followed-where"));
  where.textContent = found ? [found.cameras.join(", "), visibleParts(found.person)].filter(Boolean).join(" · ") : text("live.gone");
}

/** @param {Map<number, {person: import("./frame.js").Person, cameras: string[]}>} people */
function show(people) {
  const old = new Map([...list.querySelectorAll("button")].map((button) => [Number(button.dataset.id), button]));
  for (const [who, { person, cameras }] of [...people].sort(([a], [b]) => a - b)) {
    const button = old.get(who) ?? made(who);
    old.delete(who);
    const sure = person.probability === null ? "" : ` ${Math.round(100 * person.probability)} %`;
    const said = `${nameOf(person)}${sure} · ${cameras.join(", ")}`;
    const words = /** @type {HTMLElement} */ (button.lastElementChild);
    if (words.textContent !== said) words.textContent = said;
    button.setAttribute("aria-pressed", String(who === followed));
  }
  for (const button of old.values()) button.parentElement?.remove();
}

/** @param {number} who */
function made(who) {
  const [item, button, dot, words] = ["li", "button", "span", "span"].map((name) => document.createElement(name));
  button.dataset.id = String(who);
  button.setAttribute("type", "button");
  dot.className = `dot ${colourClass(who)}`;
  button.append(dot, words);
  button.addEventListener("click", () => follow(followed === who ? null : who));
  item.append(button);
  list.append(item);
  return /** @type {HTMLButtonElement} */ (button);
}

let waiting = false;
export function changed() {
  if (waiting) return;
  waiting = true;
  setTimeout(() => {
    waiting = false;
    update();
  }, 200);
}

on("picture", changed);
// Another camera was added or one removed: their tiles come with the page.
on("swapped", (part) => part.id === "cameras" && location.reload());
document.addEventListener("person", (event) => follow(/** @type {CustomEvent} */ (event).detail.global_id));
document.getElementById("stop")?.addEventListener("click", () => follow(null));
document.getElementById("labels")?.addEventListener("change", (event) => {
  for (const view of views()) view.classList.toggle("no-labels", !(/** @type {HTMLInputElement} */ (event.target).checked));
});
update();
