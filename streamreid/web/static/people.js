// @ts-check
/** People, Review and Search: pictures that are not to be had, keys of the review, the proof of an erasure, uploads. */
import { api, clockText, text } from "./frame.js";

// A picture covers the drawn figure behind it once it is there, and gives way to it where none is stored.
document.addEventListener("error", (event) => event.target instanceof HTMLImageElement && event.target.remove(), true);
document.addEventListener("load", (event) => event.target instanceof HTMLImageElement && event.target.classList.add("loaded"), true);
for (const image of document.querySelectorAll(".portrait img")) {
  if (!(image instanceof HTMLImageElement) || !image.complete) continue;
  if (image.naturalWidth) image.classList.add("loaded");
  else image.remove();
}

// Keys of the review, when nobody types.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.target instanceof HTMLElement && event.target.matches("input, textarea, select")) return;
  const button = document.querySelector(`#answers button[data-key="${CSS.escape(event.key.toLowerCase())}"]`);
  if (button instanceof HTMLButtonElement && !button.disabled) button.click();
});

// One answer at a time: the next question comes with fresh buttons.
document.addEventListener("click", (event) => {
  const button = event.target instanceof Element ? event.target.closest("#answers button") : null;
  if (!button) return;
  for (const other of document.querySelectorAll("#answers button")) other.setAttribute("aria-disabled", "true");
});

document.addEventListener("done", (event) => {
  if (!(event instanceof CustomEvent) || !(event.target instanceof HTMLElement) || event.target.id !== "forget") return;
  const place = /** @type {HTMLElement} */ (document.getElementById("proof"));
  const list = /** @type {HTMLElement} */ (place.querySelector("ul"));
  const proof = event.detail;
  const lines = [
    text("proof.identities", { ids: proof.identities.map((/** @type {number} */ id) => `#${id}`).join(", ") }),
    ...Object.entries(proof.erased).map(([what, count]) => text("proof.erased", { what, count })),
    text("proof.found", { count: proof.found_by_search.length }),
    ...Object.entries(proof.remains).map(([where, why]) => text("proof.remains", { where, why })),
    text(proof.complete ? "proof.complete" : "proof.incomplete"),
  ];
  list.replaceChildren(...lines.map((line) => Object.assign(document.createElement("li"), { textContent: line })));
  place.hidden = false;
  place.scrollIntoView();
});

// ---------------------------------------------------------------- who looks like a picture

/** @typedef {{camera: string, start: number, end: number, probability: number | null}} Match */
/** @typedef {{global_id: number, name: string, probability: number, appearances: Match[]}} Alike */

/** @param {string} name @param {string} [words] */
function element(name, words = "") {
  return Object.assign(document.createElement(name), { textContent: words });
}

const percent = (/** @type {number} */ share) => `${Math.round(100 * share)} %`;

/** @param {Alike} one */
function card(one) {
  const item = element("li");
  item.className = "card";
  const link = Object.assign(element("a", `#${one.global_id}${one.name ? ` ${one.name}` : ""}`), { href: `/page/people/${one.global_id}` });
  const head = element("h3");
  head.append(link, ` ${percent(one.probability)}`);
  const list = element("ul");
  for (const { camera, start, end, probability } of one.appearances.slice(0, MOST)) {
    list.append(element("li", `${camera} · ${clockText(start)} – ${clockText(end)}${probability === null ? "" : ` · ${percent(probability)}`}`));
  }
  item.append(head, list);
  return item;
}

const MOST = 5;
const upload = document.getElementById("by-picture");
const chosen = /** @type {HTMLInputElement | null} */ (document.getElementById("file"));

/** @param {File | undefined} file */
async function searchFor(file) {
  if (!file) return;
  const place = /** @type {HTMLElement} */ (document.getElementById("picture-found"));
  place.textContent = text("search.searching");
  const answer = await api("POST", "/uploads/search", file).catch(() => null);
  if (!answer) return place.replaceChildren();
  const list = element("ol");
  list.className = "cards plain";
  list.append(...answer.identities.map(card));
  place.replaceChildren(answer.identities.length ? list : text("search.nobody"));
}

upload?.addEventListener("submit", (event) => {
  event.preventDefault();
  void searchFor(chosen?.files?.[0]);
});
for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  upload?.addEventListener(kind, (event) => {
    event.preventDefault(); // else the browser shows the file instead of the page
    upload.classList.toggle("over", kind === "dragenter" || kind === "dragover");
    if (kind === "drop" && event instanceof DragEvent) void searchFor(event.dataTransfer?.files[0]);
  });
}
