// @ts-check
/** Cameras: added, tested, found in the network; the plan and its scale; the cameras file. */
import "./camera_view.js";
import { api, fresh, say, text } from "./frame.js";
import { PointLayer } from "./point_layer.js";

const byId = (/** @type {string} */ id) => document.getElementById(id);

// ---------------------------------------------------------------- one camera, new or known

const form = /** @type {HTMLFormElement | null} */ (byId("add"));
const field = (/** @type {string} */ name) => /** @type {HTMLInputElement} */ (form?.elements.namedItem(name));
const settings = () => ({ name: field("name").value, uri: field("uri").value, ...(field("live").checked ? { live: true, repeat: 1000000 } : {}) });

form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await api("POST", "/cameras", settings());
  } catch {
    return;
  }
  say(text("cameras.added", { name: field("name").value }));
  form.reset();
  fresh("camera");
});

/** @param {Record<string, unknown>} camera */
async function test(camera) {
  const place = /** @type {HTMLElement} */ (byId("tested"));
  place.textContent = text("cameras.testing");
  let found;
  try {
    found = await api("POST", "/camera-tests", camera);
  } catch {
    place.textContent = "";
    return;
  }
  place.textContent = "";
  const line = document.createElement("p");
  line.className = found.error ? "error" : "good";
  line.textContent = found.error
    ? text("cameras.test_bad", { reason: found.error })
    : text("cameras.test_good", { size: found.size.join(" x "), rate: found.rate.toFixed(1), first: found.first_frame.toFixed(1), clock: found.clock });
  place.append(line);
  for (const warning of found.warnings) {
    const note = document.createElement("p");
    note.className = "warn";
    note.textContent = warning;
    place.append(note);
  }
  if (found.picture) {
    const picture = document.createElement("img");
    picture.src = `data:image/jpeg;base64,${found.picture}`;
    picture.alt = text("cameras.test_picture");
    picture.className = "preview";
    place.append(picture);
  }
}

byId("test")?.addEventListener("click", () => form?.reportValidity() && void test(settings()));
document.addEventListener("click", (event) => {
  const button = event.target instanceof Element ? event.target.closest("button[data-test]") : null;
  if (button) void test({ name: button.getAttribute("data-test") });
});

byId("search")?.addEventListener("click", async () => {
  const list = /** @type {HTMLElement} */ (byId("devices"));
  list.textContent = text("cameras.searching");
  let found;
  try {
    found = await api("POST", "/camera-searches");
  } catch {
    list.textContent = "";
    return;
  }
  list.textContent = found.length ? "" : text("cameras.nothing_found");
  for (const device of found) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text("cameras.use", { host: device.host, name: `${device.name} ${device.hardware}`.trim() });
    button.addEventListener("click", () => {
      field("uri").value = device.uri;
      field("uri").focus();
    });
    const item = document.createElement("li");
    item.append(button);
    list.append(item);
  }
});

// ---------------------------------------------------------------- the plan

byId("plan-form")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const file = /** @type {HTMLInputElement} */ (/** @type {HTMLFormElement} */ (event.target).elements.namedItem("file")).files?.[0];
  if (!file) return;
  try {
    await api("POST", "/uploads/plan", file);
    location.reload();
  } catch {
    // said already
  }
});

const scale = /** @type {HTMLFormElement | null} */ (byId("scale"));
const planLayer = byId("plan-layer");
if (scale && planLayer instanceof SVGSVGElement) {
  const size = [Number(scale.dataset.width), Number(scale.dataset.height)];
  const number = (/** @type {string} */ name) => /** @type {HTMLInputElement} */ (scale.elements.namedItem(name));
  const layer = new PointLayer(planLayer, {
    most: () => 2,
    outline: () => "polyline",
    changed: () =>
      ["from", "to"].forEach((end, place) =>
        ["x", "y"].forEach((axis, i) => {
          const point = layer.points[place];
          if (point) number(`${end}-${axis}`).value = (point[i] * size[i]).toFixed(1);
        }),
      ),
  });
  scale.addEventListener("submit", async (event) => {
    event.preventDefault();
    const [from, to] = ["from", "to"].map((end) => ["x", "y"].map((axis) => Number(number(`${end}-${axis}`).value)));
    try {
      await api("POST", "/plan/scale", { from, to, metres: Number(number("metres").value), origin: from });
      say(text("cameras.scaled"));
    } catch {
      // said already
    }
  });
}

// ---------------------------------------------------------------- the cameras file

let digest = "";
byId("show-diff")?.addEventListener("click", async () => {
  const box = /** @type {HTMLElement} */ (byId("diff"));
  const pre = /** @type {HTMLElement} */ (box.querySelector("pre"));
  let change;
  try {
    change = await api("GET", "/cameras-file");
  } catch {
    return;
  }
  digest = change.digest;
  pre.textContent = "";
  for (const line of change.diff ? change.diff.split("\n") : [text("cameras.no_difference")]) {
    const row = document.createElement("span");
    row.className = line.startsWith("+") ? "plus" : line.startsWith("-") ? "minus" : "";
    row.textContent = `${line}\n`;
    pre.append(row);
  }
  box.hidden = false;
  /** @type {HTMLButtonElement} */ (byId("write")).disabled = !change.diff;
});

byId("write")?.addEventListener("click", async () => {
  try {
    const done = await api("POST", "/cameras-file", { digest });
    say(text("cameras.written", done));
  } catch {
    return;
  }
  /** @type {HTMLElement} */ (byId("diff")).hidden = true;
});
