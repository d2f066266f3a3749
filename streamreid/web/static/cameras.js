// @ts-check
/** Cameras: added, tested, found in the network; the plan and its scale; the cameras file. */
import "./camera_view.js";
import { api, fresh, say, text } from "./frame.js";
import { PointLayer } from "./point_layer.js";

const byId = (/** @type {string} */ id) => document.getElementById(id);

// ---------------------------------------------------------------- one camera, new or known

const form = /** @type {HTMLFormElement | null} */ (byId("add"));
const field = (/** @type {string} */ name) => /** @type {HTMLInputElement} */ (form?.elements.namedItem(name));
const account = () => ({ user: field("user").value, password: field("password").value });

/** The address with the account in it, for the server of this page alone. */
function address() {
  const uri = field("uri").value.trim();
  const { user, password } = account();
  const [, scheme, rest] = /^([a-z]+:\/\/)([^@/]*(?:\/.*)?)$/i.exec(uri) ?? [];
  return user && rest ? `${scheme}${encodeURIComponent(user)}:${encodeURIComponent(password)}@${rest}` : uri;
}

const settings = () => ({ name: field("name").value, uri: address(), ...(field("live").checked ? { live: true, repeat: 1000000 } : {}) });

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
    const item = document.createElement("li");
    const streams = document.createElement("div");
    const name = `${device.name} ${device.hardware}`.trim();
    item.append(choice(text("cameras.use", { host: device.host, name }), () => streamsOf(device.service || device.host, streams)), streams);
    list.append(item);
  }
});

/** @param {string} words @param {() => void} chosen */
function choice(words, chosen) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = words;
  button.addEventListener("click", chosen);
  return button;
}

/** List the streams of a device, each to be taken over into the form. @param {string} service @param {HTMLElement} place */
async function streamsOf(service, place) {
  place.textContent = text("cameras.asking");
  let found;
  try {
    found = await api("POST", "/camera-streams", { service, ...account() });
  } catch (error) {
    place.textContent = error instanceof Error ? error.message : "";
    field("user").focus();
    return;
  }
  place.textContent = "";
  for (const { name, uri, size, encoding, rate } of found) {
    const about = [size ? size.join(" x ") : "", encoding, rate ? text("cameras.per_second", { rate }) : ""].filter(Boolean).join(", ");
    place.append(
      choice(text("cameras.take", { name, about }), () => {
        field("uri").value = uri;
        field(field("name").value ? "uri" : "name").focus();
      }),
    );
  }
}

byId("ask-device")?.addEventListener("click", () => {
  const host = /** @type {HTMLInputElement} */ (byId("device-host"));
  if (host.reportValidity()) void streamsOf(host.value, /** @type {HTMLElement} */ (byId("device-streams")));
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
