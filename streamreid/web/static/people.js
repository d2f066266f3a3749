// @ts-check
/** People, Review and Search: pictures that are not to be had, keys of the review, the proof of an erasure, uploads. */
import { api, say, text } from "./frame.js";

// A picture that is not stored gives way to the drawn figure behind it.
document.addEventListener("error", (event) => event.target instanceof HTMLImageElement && event.target.remove(), true);
for (const image of document.querySelectorAll(".portrait img")) {
  if (image instanceof HTMLImageElement && image.complete && !image.naturalWidth) image.remove();
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

const upload = document.getElementById("by-picture");
upload?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const file = /** @type {HTMLInputElement} */ (document.getElementById("file")).files?.[0];
  if (!file) return;
  say(text("search.searching"));
  const place = /** @type {HTMLElement} */ (document.getElementById("picture-found"));
  const answer = await api("POST", "/uploads/search", file).catch(() => null);
  if (!answer) return;
  const list = document.createElement("ol");
  for (const one of answer.identities) {
    const link = Object.assign(document.createElement("a"), { href: `/page/people/${one.global_id}`, textContent: `#${one.global_id} ${one.name ?? ""}` });
    const item = document.createElement("li");
    item.append(link, ` ${Math.round(100 * one.probability)} %`);
    list.append(item);
  }
  place.replaceChildren(answer.identities.length ? list : text("search.nobody"));
});
