"""A page of another origin in a real browser tries to read and to change. It fails, and what it asks for is refused
before any work."""

from __future__ import annotations

import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

playwright = pytest.importorskip("playwright.sync_api")

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"

TRIES = """async (site) => {
  const body = JSON.stringify({name: 'evil', uri: 'rtsp://127.0.0.1:9/x'});
  const json = {'Content-Type': 'application/json'};
  const asked = {
    read: [`${site}/cameras`, {}],
    readBlind: [`${site}/identities`, {mode: 'no-cors'}],
    readMetrics: [`${site}/metrics`, {credentials: 'include'}],
    post: [`${site}/cameras`, {method: 'POST', headers: json, body}],
    postSimple: [`${site}/cameras`, {method: 'POST', mode: 'no-cors', headers: {'Content-Type': 'text/plain'}, body}],
    pause: [`${site}/cameras/left/pause`, {method: 'POST', mode: 'no-cors'}],
    patch: [`${site}/cameras/left`, {method: 'PATCH', headers: json, body: '{"stride": 9}'}],
    remove: [`${site}/cameras/left`, {method: 'DELETE'}],
    revert: [`${site}/changes`, {method: 'DELETE', mode: 'cors'}],
    withToken: [`${site}/cameras`, {headers: {Authorization: 'Bearer guess'}}],
  };
  const result = {};
  for (const [name, [url, options]] of Object.entries(asked)) {
    try {
      const answer = await fetch(url, options);
      result[name] = answer.type === 'opaque' ? 'opaque' : `read: ${await answer.text()}`;
    } catch (error) {
      result[name] = 'refused';
    }
  }
  const loads = (element, url) => new Promise((done) => {
    element.onload = () => done('loaded');
    element.onerror = () => done('refused');
    element.src = url;
    document.body.append(element);
  });
  result.image = await loads(new Image(), `${site}/identities?limit=100000`);
  result.longImage = await loads(new Image(), `${site}/cameras/${'a'.repeat(60000)}`);
  result.script = await loads(document.createElement('script'), `${site}/cameras`);
  result.events = await new Promise((done) => {
    const source = new EventSource(`${site}/events`);
    source.onopen = () => done('open');
    source.onerror = () => { source.close(); done('refused'); };
  });
  result.socket = await new Promise((done) => {
    const socket = new WebSocket(site.replace('http', 'ws') + '/events');
    socket.onopen = () => done('open');
    socket.onerror = () => done('refused');
  });
  return result;
}"""

FORM = """<iframe name="frame"></iframe>
<form id="pause" action="SITE/cameras/left/pause" method="post" target="frame"></form>
<form id="post" action="SITE/cameras" method="post" enctype="text/plain" target="frame">
<input name='{"name": "evil", "uri": "rtsp://127.0.0.1:9/x", "motion": "' value='none"}'></form>
<iframe id="framed" src="SITE/cameras"></iframe>"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[object]:
    """The system's Chromium; names that end in .example are this machine, as a bound name would be."""
    if not Path(CHROMIUM).exists():
        pytest.skip("needs Chromium (Debian: chromium)")
    with playwright.sync_playwright() as started:
        flags = [*FLAGS, "--host-resolver-rules=MAP *.example 127.0.0.1"]
        browser = started.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[int]:
    """Port of a web server that serves an empty page under every path."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"<!doctype html><title>elsewhere</title><body></body>"
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "evil.example"])
def test_a_page_of_another_origin_can_neither_read_nor_change(service, chromium, elsewhere, host):
    page = chromium.new_page()
    statuses = []
    page.on(
        "response",
        lambda answer: (
            statuses.append((answer.request.method, answer.url[:80], answer.status))
            if service.address in answer.url
            else None
        ),
    )
    page.goto(f"http://{host}:{elsewhere}/")
    result = page.evaluate(TRIES, service.address)
    assert set(result.values()) <= {"refused", "opaque"}, result
    page.set_content(FORM.replace("SITE", service.address))
    for form in ("pause", "post"):
        page.evaluate("(id) => document.getElementById(id).submit()", form)
        page.wait_for_timeout(300)
    assert statuses, "nothing reached the service"
    assert {status for _, _, status in statuses} <= {403, 414, 400}, statuses
    camera = service.get("/cameras/left").json()
    assert (camera["state"], camera["stride"]) == ("connected", 1)
    assert [c["name"] for c in service.get("/cameras").json()] == ["left"]
    page.close()


def test_a_name_that_was_bound_anew_is_refused(service, chromium):
    """The page's own name leads to this machine: the same origin for the browser, so only 'Host' tells."""
    page = chromium.new_page(bypass_csp=True)  # as a page would be that came from elsewhere first
    answer = page.goto(f"http://rebound.example:{service.port}/cameras")
    assert answer.status == 403
    assert "left" not in page.content()
    result = page.evaluate("() => fetch('/cameras').then((a) => a.status)")
    assert result == 403
    page.close()


def test_our_own_address_may_be_opened(service, chromium):
    page = chromium.new_page(bypass_csp=True)
    assert page.goto(f"{service.address}/cameras").status == 200
    assert page.evaluate("() => fetch('/cameras').then((a) => a.status)") == 200
    page.close()
