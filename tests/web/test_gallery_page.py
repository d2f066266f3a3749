"""The page of a gallery: who is remembered is corrected, looked for by a picture that is dropped, and forgotten."""

import base64
import json
import urllib.request

import cv2
import numpy as np
import pytest

from streamreid import Config, Pipeline
from streamreid.gallery import Gallery
from tests.support import web as sites


@pytest.fixture
def remembered(films, tmp_path, monkeypatch):
    """The page of a gallery in which are the people 0 to 2, and its file."""
    path = tmp_path / "people.db"
    config = Config.from_dict(
        {
            "cameras": [{"name": name, "uri": str(films / f"{name}.mp4")} for name in ("entrance", "hall")],
            "engine": {"model": "none"},
            "gallery": {"store": str(path), "crops": True},
            "association": {"confirm_observations": 5, "confirm_seconds": 0.5},
        }
    )
    with Pipeline(config, detector=sites.ColourDetector(), embedder=sites.ColourEmbedder()) as pipeline:
        list(pipeline)
    monkeypatch.setattr("streamreid.runs.gallery_search.open_embedder", lambda config: sites.ColourEmbedder())
    with sites.gallery_page(path) as address:
        yield address, path


def people(address):
    with urllib.request.urlopen(f"{address}/identities", timeout=30) as reply:
        return {person["global_id"]: person for person in json.loads(reply.read())}


def drop(page, selector, data, name):
    """Drop a file on an element."""
    page.evaluate(
        """([selector, data, name]) => {
          const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([bytes], name));
          document.querySelector(selector).dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true }));
        }""",
        [selector, base64.b64encode(data).decode(), name],
    )


def test_who_is_remembered_is_corrected_undone_and_forgotten_on_the_page(remembered, visit, axe):
    address, path = remembered
    seen = people(address)
    one = next(who for who, person in seen.items() if len(person["cameras"]) == 2)
    other, third = sorted(set(seen) - {one})

    def shown(page):
        return page.locator("#person dd, #corrections li").all_inner_texts()

    def act(page):
        page.goto(f"{address}/page/")
        page.wait_for_selector("#connection:has-text('connected')")
        found = axe(page)
        page.wait_for_function("[...document.querySelectorAll('.portrait img')].every((image) => image.naturalWidth)")
        page.goto(f"{address}/page/people/{one}")
        page.fill("#rename input", "Anna")
        page.keyboard.press("Enter")
        page.wait_for_selector("#corrections:has-text('1. name of')")
        page.click("#staff button[aria-pressed=false]")
        page.wait_for_selector("#staff button[aria-pressed=true]")
        page.fill("#different input", str(other))
        page.keyboard.press("Enter")
        page.wait_for_selector("#corrections:has-text('3. two people')")
        page.click("#appearances button.split >> nth=1")
        page.wait_for_selector("#corrections:has-text('4. parted')")
        page.click("#corrections button.undo >> nth=0")
        page.wait_for_selector("#corrections:has-text('4. parted'):has-text('undone')")
        page.fill("#merge input", str(third))
        page.keyboard.press("Enter")
        page.wait_for_url("**/page/people")
        page.wait_for_selector(f"#people-cards:not(:has(a[href$='/{third}']))")
        page.goto(f"{address}/page/people/{other}")
        page.click("#forget")
        page.click("#question button[value=yes]")
        page.wait_for_selector("#proof:has-text('Nothing remains')")
        return [*found, *axe(page)]

    assert visit(act, width=390) == []
    assert {who: (p["name"], p["staff"], p["track_count"]) for who, p in people(address).items()} == {
        one: ("Anna", True, 3)
    }
    with Gallery.open(str(path), read_only=True) as store:
        assert [(r.global_id, r.name, r.staff) for r in store.identities()] == [(one, "Anna", True)]
        actions = [entry.action for entry in store.audit_log() if entry.actor == "HTTP"]
    assert set(actions) >= {"rename", "staff", "different", "split", "undo", "merge", "forget"}


def test_a_picture_that_is_dropped_finds_who_it_shows(remembered, visit):
    address, _ = remembered
    good, picture = cv2.imencode(".png", np.full((90, 32, 3), sites.COLOURS[1], np.uint8))
    assert good

    def act(page):
        page.goto(f"{address}/page/search")
        drop(page, "#by-picture", picture.tobytes(), "person.png")
        page.wait_for_selector("#picture-found li h3")
        best = page.locator("#picture-found > ol > li").first.inner_text()
        drop(page, "#by-picture", b"GIF89a", "person.gif")
        page.wait_for_selector("#said.error:has-text('this is no picture')")
        page.fill("#by-person input", best.split()[0])
        page.click("#by-person button")
        page.wait_for_selector("#found-title")
        return best, page.locator("main .error").count()

    best, problems = visit(act, errors=("422",))
    assert problems == 0
    assert "entrance" in best
    assert "hall" in best  # only person 1 was in both
