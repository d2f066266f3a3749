// @ts-check
/** Run: the cameras are examined one after another, as `streamreid doctor` does. */
import { api, text } from "./frame.js";

const button = /** @type {HTMLButtonElement | null} */ (document.getElementById("examine"));
const table = document.getElementById("examined");
const state = document.getElementById("examining");

/** @typedef {{error: string | null, size: [number, number] | null, rate: number, first_frame: number | null, clock: string | null, warnings: string[]}} Check */

/** @param {string} camera @returns {Promise<Check>} */
async function check(camera) {
  const nothing = { size: null, rate: 0, first_frame: null, clock: null, warnings: [] };
  try {
    const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ name: camera }) };
    const answer = await fetch("/camera-tests", options);
    const said = await answer.json();
    return answer.ok ? said : { ...nothing, error: said.error ?? String(answer.status) };
  } catch (error) {
    return { ...nothing, error: String(error) };
  }
}

/** @param {string} camera @param {Check} found */
function row(camera, found) {
  const line = document.createElement("tr");
  const head = Object.assign(document.createElement("th"), { scope: "row", textContent: camera });
  const cells = [
    found.error ?? text("run.good"),
    found.size ? found.size.join(" x ") : "–",
    found.error ? "–" : found.rate.toFixed(1),
    found.first_frame === null ? "–" : `${found.first_frame.toFixed(1)} s`,
    found.clock ?? "–",
    found.warnings.join(" ") || text("run.nothing"),
  ].map((words) => Object.assign(document.createElement("td"), { textContent: words }));
  cells[0].className = found.error ? "error" : "good";
  line.append(head, ...cells);
  return line;
}

button?.addEventListener("click", async () => {
  if (!table || !state) return;
  const body = /** @type {HTMLElement} */ (table.querySelector("tbody"));
  const listed = await api("GET", "/cameras").catch(() => null);
  if (!listed) return;
  const cameras = listed.map((/** @type {{name: string}} */ camera) => camera.name);
  body.textContent = "";
  table.hidden = false;
  button.disabled = true;
  let bad = 0;
  for (const camera of cameras) {
    state.textContent = text("run.examining", { camera });
    const found = await check(camera);
    bad += found.error ? 1 : 0;
    body.append(row(camera, found));
  }
  state.textContent = text("run.examined", { count: cameras.length, bad });
  button.disabled = false;
});
