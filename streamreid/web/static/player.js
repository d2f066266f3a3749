// @ts-check
/** The player of a finished run: frames of all cameras at one capture time, asked for as fast as time goes. */
import { CameraView } from "./camera_view.js";
import { clockText, emit, readFrames, text } from "./frame.js";

const slider = /** @type {HTMLInputElement} */ (document.getElementById("time"));
const clock = /** @type {HTMLOutputElement} */ (document.getElementById("clock"));
const play = /** @type {HTMLButtonElement} */ (document.getElementById("play"));
const first = Number(slider.min);
let playing = false;
let busy = false;
let wanted = Number(slider.value);

/** @param {CameraView} view @param {number} time */
async function load(view, time) {
  const answer = await fetch(`/page/frame/${encodeURIComponent(view.camera ?? "")}?width=${view.pixels}&time=${time}`);
  if (!answer.ok) return;
  for (const picture of readFrames(await answer.arrayBuffer()).pictures) {
    await view.show(picture);
    emit("picture", picture);
  }
}

/** Show the moment that is wanted, then the next one that is, until none is. */
async function show() {
  if (busy) return;
  busy = true;
  let time = NaN;
  while (time !== wanted) {
    time = wanted;
    slider.value = String(time);
    clock.value = clockText(time);
    const views = /** @type {CameraView[]} */ ([...document.querySelectorAll("camera-view")]);
    await Promise.allSettled(views.map((view) => load(view, time)));
  }
  busy = false;
}

async function run() {
  let before = performance.now();
  while (playing) {
    await show();
    await new Promise((done) => setTimeout(done, 30));
    const now = performance.now();
    wanted = Math.min(Number(slider.max), wanted + Math.min(1, (now - before) / 1000));
    before = now;
    if (wanted >= Number(slider.max)) toggle(false);
  }
}

/** @param {boolean} on */
function toggle(on) {
  playing = on;
  play.setAttribute("aria-pressed", String(on));
  play.textContent = text(on ? "live.pause" : "live.play");
  if (on) void run();
}

play.addEventListener("click", () => {
  if (!playing && wanted >= Number(slider.max)) wanted = first;
  toggle(!playing);
});
slider.addEventListener("input", () => {
  wanted = Number(slider.value);
  void show();
});
void show();
