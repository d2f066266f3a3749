// @ts-check
/** What all pages share: the connection, calls of the HTTP API, messages, questions, parts that keep themselves fresh. */

/** @typedef {{topic: string, number: number, data: Record<string, any>}} Told */
/** @typedef {{camera: string, time: number, size: [number, number], people: Person[]}} Header */
/** @typedef {{box: [number, number, number, number], track_id: number, global_id: number | null, name: string | null, probability: number | null, visibility: number[]}} Person */
/** @typedef {{header: Header, jpeg: Blob, age: number}} Picture */

/** @type {Record<string, string>} */
const texts = JSON.parse(document.getElementById("texts")?.textContent ?? "{}");

/**
 * A text in the viewer's language.
 * @param {string} key without "js."
 * @param {Record<string, unknown>} [values]
 */
export function text(key, values = {}) {
  const said = texts[`js.${key}`] ?? key;
  return said.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** A capture time as people read it: UTC for live cameras, else since the beginning. @param {number} time */
export function clockText(time) {
  if (time >= 1e8) return `${new Date(time * 1000).toISOString().slice(0, 21).replace("T", " ")} UTC`;
  const minutes = Math.floor(time / 60) % 60;
  const hours = Math.floor(time / 3600);
  const rest = `${String(minutes).padStart(2, "0")}:${(time % 60).toFixed(1).padStart(4, "0")}`;
  return hours ? `${hours}:${rest}` : rest;
}

let clearing = 0;
/**
 * Say something to the viewer.
 * @param {string} what
 * @param {"" | "error"} [kind]
 */
export function say(what, kind = "") {
  const place = /** @type {HTMLElement} */ (document.getElementById("said"));
  place.className = kind;
  place.textContent = what;
  clearTimeout(clearing);
  clearing = window.setTimeout(() => (place.textContent = ""), kind === "error" ? 15000 : 6000);
}

/**
 * Ask a question that has yes and no for an answer.
 * @param {string} question
 * @returns {Promise<boolean>}
 */
export function ask(question) {
  const dialog = /** @type {HTMLDialogElement} */ (document.getElementById("question"));
  /** @type {HTMLElement} */ (document.getElementById("question-text")).textContent = question;
  const [yes, no] = dialog.querySelectorAll("button");
  yes.textContent = text("yes");
  no.textContent = text("no");
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((done) => dialog.addEventListener("close", () => done(dialog.returnValue === "yes"), { once: true }));
}

/** Why a file is not even sent; empty if it is. @param {Blob} file */
function tooLarge(file) {
  const most = Number(document.body.dataset.most);
  const inMiB = (/** @type {number} */ bytes, /** @type {number} */ digits) => (bytes / 2 ** 20).toFixed(digits);
  return file.size > most ? text("too_large", { size: inMiB(file.size, 1), most: inMiB(most, 0) }) : "";
}

/**
 * Call the HTTP API. What goes wrong is said to the viewer and thrown.
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body] sent as JSON; a Blob or File as it is
 * @returns {Promise<any>} the answer; null where it has no body
 */
export async function api(method, path, body) {
  /** @type {RequestInit} */
  const options = { method, headers: { Accept: "application/json" } };
  if (body instanceof Blob) {
    options.body = body;
  } else if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers = { ...options.headers, "Content-Type": "application/json" };
  }
  let reason = body instanceof Blob ? tooLarge(body) : "";
  try {
    const answer = reason ? null : await fetch(path, options);
    if (answer) {
      const said = await answer.text();
      const data = said && (answer.headers.get("Content-Type") ?? "").includes("json") ? JSON.parse(said) : said || null;
      if (answer.ok) return data;
      reason = data?.error ?? `${answer.status}`;
    }
  } catch {
    reason = text("unreachable");
  }
  say(text("failed", { reason }), "error");
  throw new Error(reason);
}

/** @type {Map<string, ((data: any) => void)[]>} */
const listeners = new Map();
/**
 * Be told of events: "identity", "camera", "place", "picture" ({@link Picture}), "connected", or "any".
 * @param {string} topic
 * @param {(data: any) => void} listener
 */
export function on(topic, listener) {
  listeners.set(topic, [...(listeners.get(topic) ?? []), listener]);
}

/** @param {string} topic @param {any} data */
export function emit(topic, data) {
  for (const listener of listeners.get(topic) ?? []) listener(data);
}

// ---------------------------------------------------------------- the connection

const LOGIN = "/page/login";
/** Why the server closes a connection. */
const [OVER, BUSY, SIGNED_OUT] = [1001, 1013, 4401];
/** Milliseconds until the next try. */
const [FIRST_PAUSE, LAST_PAUSE] = [250, 8000];

/** @type {WebSocket | null} */
let socket = null;
/** @type {[string, number][]} */
let shown = [];
let pause = FIRST_PAUSE;
let ended = false;

/**
 * Say which cameras this page shows.
 * @param {[string, number][]} wanted name and width in pixels
 */
export function showCameras(wanted) {
  shown = wanted;
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ show: shown }));
}

/** @param {string} what @param {boolean} [good] */
function connection(what, good = false) {
  document.body.classList.toggle("away", !good);
  const place = document.getElementById("connection");
  if (place && place.textContent !== what) place.textContent = what;
}

function connect() {
  const address = new URL("/page/socket", location.href);
  address.protocol = address.protocol.replace("http", "ws");
  socket = new WebSocket(address);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => {
    const again = pause > FIRST_PAUSE;
    pause = FIRST_PAUSE;
    ended = false;
    connection(text("connected"), true);
    if (shown.length) showCameras(shown);
    emit("connected", again);
    if (again) {
      say(text("connected_again"));
      refresh(() => true);
    }
  };
  socket.onmessage = (message) => (typeof message.data === "string" ? told(JSON.parse(message.data)) : pictures(message.data));
  socket.onclose = (event) => {
    if (event.code === SIGNED_OUT) return location.assign(LOGIN);
    ended ||= event.code === OVER;
    connection(text(ended ? "ended" : event.code === BUSY ? "busy" : "disconnected"));
    pause = Math.min(2 * pause, LAST_PAUSE);
    setTimeout(connect, pause);
    void backToLogin();
  };
}

/** A server that was started again knows no session, and refuses the connection without saying why. */
async function backToLogin() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" }, redirect: "manual" }).catch(() => null);
  if (answer?.type === "opaqueredirect") location.assign(LOGIN);
}

/** @param {{events: Told[], lost: number}} said */
function told(said) {
  for (const event of said.events) {
    emit(event.topic, event.data);
    emit("any", event);
  }
  const topics = new Set(said.events.map((event) => event.topic));
  refresh((wanted) => said.lost > 0 || wanted.some((topic) => topics.has(topic)));
}

/**
 * Frames out of a binary message.
 * @param {ArrayBuffer} data
 * @returns {{number: number, pictures: Picture[]}}
 */
export function readFrames(data) {
  const view = new DataView(data);
  /** @type {Picture[]} */
  const found = [];
  let place = 4;
  while (place < data.byteLength) {
    const [head, body, age] = [0, 4, 8].map((offset) => view.getUint32(place + offset));
    place += 12;
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(data, place, head)));
    const jpeg = new Blob([new Uint8Array(data, place + head, body)], { type: "image/jpeg" });
    place += head + body;
    found.push({ header, jpeg, age });
  }
  return { number: view.getUint32(0), pictures: found };
}

/** @param {ArrayBuffer} data */
function pictures(data) {
  const { number, pictures } = readFrames(data);
  for (const picture of pictures) emit("picture", picture);
  requestAnimationFrame(() => socket?.readyState === WebSocket.OPEN && socket.send(JSON.stringify({ drawn: number })));
}

// ---------------------------------------------------------------- parts that keep themselves fresh

/** @type {Set<string>} */
const stale = new Set();
let fetching = false;

/** @param {(topics: string[]) => boolean} matches */
function refresh(matches) {
  for (const part of document.querySelectorAll("[data-refresh]")) {
    if (part.id && matches((part.getAttribute("data-refresh") ?? "").split(/\s+/))) stale.add(part.id);
  }
  if (stale.size && !fetching) {
    fetching = true;
    setTimeout(fetchParts, 250);
  }
}

/** Calls that are not answered yet: what they are about stays until their answer is shown. */
let calling = 0;

/** Whether a button of the mouse is down: what is under it must not be exchanged, or the click is lost. */
let pressed = false;
addEventListener("pointerdown", (event) => (pressed = event.button === 0), true);
for (const kind of ["pointerup", "pointercancel"]) addEventListener(kind, () => setTimeout(() => (pressed = false)), true);
const MOST_PRESSED = 5000;

/** Fetch the page again and put the stale parts in place of the old ones; not one that somebody types into. */
async function fetchParts() {
  const wanted = [...stale];
  stale.clear();
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, redirect: "manual" });
    if (answer.type === "opaqueredirect") location.assign(LOGIN);
    else if (answer.status === 404) location.reload(); // says what is there no more
    else if (answer.ok) {
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      const end = Date.now() + MOST_PRESSED;
      while (calling || (pressed && Date.now() < end)) await new Promise((done) => setTimeout(done, 50));
      for (const id of wanted) swap(document.getElementById(id), fresh.getElementById(id));
    }
  } catch {
    // The connection says so already.
  }
  fetching = false;
  if (stale.size) refresh(() => false);
}

/** @param {HTMLElement | null} old @param {HTMLElement | null} fresh */
function swap(old, fresh) {
  if (!old) return;
  if (!fresh) {
    // What it showed is gone, such as a person who was forgotten: nothing of it stays, unless somebody reads the proof.
    if (document.querySelector("[data-keep]:not([hidden])")) old.remove();
    else location.reload();
    return;
  }
  if (old.innerHTML === fresh.innerHTML) return;
  const active = document.activeElement;
  const inside = active instanceof HTMLElement && old.contains(active) ? active : null;
  if (inside?.matches("input, textarea, select")) return;
  const focus = inside && counterpart(inside, old, fresh);
  const scrolled = [...old.querySelectorAll(".scroll")].map((box) => [box.scrollLeft, box.scrollTop]);
  old.replaceWith(document.adoptNode(fresh));
  fresh.querySelectorAll(".scroll").forEach((box, number) => ([box.scrollLeft, box.scrollTop] = scrolled[number] ?? [0, 0]));
  if (inside) {
    if (!focus) fresh.tabIndex = -1;
    (focus ?? fresh).focus({ preventScroll: true });
  }
  emit("swapped", fresh);
}

/**
 * What has the place of an element in the part that replaces its own, so that whoever works by keyboard stays there.
 * @param {HTMLElement} active @param {HTMLElement} old @param {HTMLElement} fresh
 * @returns {HTMLElement | null}
 */
function counterpart(active, old, fresh) {
  const alike = (/** @type {HTMLElement} */ part) => /** @type {HTMLElement[]} */ ([...part.querySelectorAll(active.localName)]);
  const name = (/** @type {HTMLElement} */ one) => one.id || one.getAttribute("aria-label") || one.textContent;
  const [before, now] = [alike(old), alike(fresh)];
  const named = now.find((other) => name(other) === name(active));
  return named ?? (before.length === now.length ? now[before.indexOf(active)] : null);
}

/** Fetch all parts with these topics again: `fresh("identity")`. @param {string[]} topics */
export function fresh(...topics) {
  refresh((wanted) => wanted.some((topic) => topics.includes(topic)));
}

// ---------------------------------------------------------------- forms and buttons that call the API

/** @param {Element} element @param {unknown} body */
async function call(element, body) {
  if (element.ariaBusy === "true") return; // clicked twice
  const question = element.getAttribute("data-ask");
  if (question && !(await ask(question))) return;
  element.ariaBusy = "true";
  calling += 1;
  const [method, path] = (element.getAttribute("data-api") ?? "").split(" ", 2);
  try {
    const answer = await api(method, path, body);
    const done = element.getAttribute("data-done");
    if (done) say(done);
    element.dispatchEvent(new CustomEvent("done", { bubbles: true, detail: answer }));
    const next = element.getAttribute("data-next");
    if (next) location.assign(next);
    else refresh(() => true);
  } catch {
    // said already
  } finally {
    element.ariaBusy = null;
    calling -= 1;
  }
}

document.addEventListener("submit", (event) => {
  const form = /** @type {HTMLFormElement} */ (event.target);
  if (!form.hasAttribute("data-api")) return;
  event.preventDefault();
  /** @type {Record<string, unknown>} */
  const body = {};
  for (const field of form.elements) {
    if (!(field instanceof HTMLInputElement || field instanceof HTMLSelectElement || field instanceof HTMLTextAreaElement)) continue;
    if (!field.name || field.disabled) continue;
    if (field instanceof HTMLInputElement && field.type === "radio" && !field.checked) continue;
    const number = field instanceof HTMLInputElement && (field.type === "number" || field.type === "range");
    const toggle = field instanceof HTMLInputElement && field.type === "checkbox";
    if (field.value === "" && field.hasAttribute("data-optional")) continue;
    body[field.name] = toggle ? field.checked : number ? (field.value === "" ? null : Number(field.value)) : field.value;
  }
  void call(form, body);
});

document.addEventListener("click", (event) => {
  const button = event.target instanceof Element ? event.target.closest("button[data-api]") : null;
  if (button) void call(button, button.hasAttribute("data-body") ? JSON.parse(button.getAttribute("data-body") ?? "null") : undefined);
});

// ---------------------------------------------------------------- dark and light

document.getElementById("theme")?.addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  document.cookie = `streamreid_theme=${root.dataset.theme}; path=/page; max-age=31536000; samesite=strict`;
});

if (document.body.dataset.kind) {
  connect();
  setInterval(() => document.hidden || refresh((wanted) => wanted.includes("every")), 2000);
}
