"""The page of a gallery: who is remembered is corrected, looked for by a picture that is dropped, and forgotten."""

import base64
import json
import re
import urllib.request
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from streamreid import Config, Pipeline, run
from streamreid.cli import view as viewing
from streamreid.gallery import Gallery
from tests.support import web as sites


def run_with_gallery(films, folder, *, results=False, **gallery):
    """The file of a gallery in which are the people 0 to 2; the results, if wanted, are in the folder ``run`` beside
    it."""
    path = folder / "people.db"
    config = Config.from_dict(
        {
            "cameras": [{"name": name, "uri": str(films / f"{name}.mp4")} for name in ("entrance", "hall")],
            "engine": {"model": "none"},
            "gallery": {"store": str(path), **gallery},
            "association": {"confirm_observations": 5, "confirm_seconds": 0.5},
        }
    )
    with Pipeline(config, detector=sites.ColourDetector(), embedder=sites.ColourEmbedder()) as pipeline:
        if results:
            run(pipeline, folder / "run")
        else:
            list(pipeline)
    return path


@pytest.fixture
def remembered(films, tmp_path, monkeypatch):
    """The page of a gallery with pictures, and its file."""
    path = run_with_gallery(films, tmp_path, crops=True)
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


def post(address, path, body):
    data, kind = (body, "image/png") if isinstance(body, bytes) else (json.dumps(body).encode(), "application/json")
    request = urllib.request.Request(address + path, data, {"Content-Type": kind})
    with urllib.request.urlopen(request, timeout=60) as reply:
        return json.loads(reply.read())


def portraits(address, who):
    """Fill colours of the figure of a person."""
    with urllib.request.urlopen(f"{address}/page/people/{who}", timeout=30) as reply:
        figure = reply.read().decode().partition('<svg class="figure')[2].partition("</svg>")[0]
    return set(re.findall(r'fill="#(..)(..)(..)"', figure))


def test_a_gallery_without_pictures_shows_figures_in_part_colours_until_people_are_forgotten(films, tmp_path):
    path = run_with_gallery(films, tmp_path)
    with sites.gallery_page(path) as address:
        for one in people(address):
            shown = portraits(address, one)
            assert shown
            assert all(int(max(colour), 16) - int(min(colour), 16) > 60 for colour in shown)  # clothes, not background
        with Gallery.open(str(path), read_only=True) as store:
            rows = {row: record.global_id for row, record in store.track_records().items()}
            kept = store.part_colours(list(rows))
            assert set(kept) == set(rows)
        first = min(people(address))
        proof = post(address, f"/identities/{first}/forget", {})
        assert proof["erased"]["part_colours"] == sum(who == first for who in rows.values())
    data = path.read_bytes()
    assert [row for row, who in rows.items() if who != first and kept[row] not in data] == []
    assert [row for row, who in rows.items() if who == first and kept[row] in data] == []


def test_the_page_of_a_run_uses_its_own_gallery(films, tmp_path, monkeypatch):
    """What is corrected there holds in both, and pictures are searched for in it."""
    path = run_with_gallery(films, tmp_path, results=True)
    told = []
    monkeypatch.setattr("streamreid.runs.gallery_search.open_embedder", lambda config: sites.ColourEmbedder())
    monkeypatch.setattr(viewing, "errors", SimpleNamespace(print=lambda text, **_: told.append(text)))

    def asked():
        address = re.search(r"http://[^/]+", told[0]).group()
        picture = cv2.imencode(".png", np.full((90, 32, 3), sites.COLOURS[1], np.uint8))[1].tobytes()
        best = post(address, "/uploads/search", picture)["identities"][0]["global_id"]
        assert len(people(address)[best]["cameras"]) == 2  # only person 1 was in both
        other = min(set(people(address)) - {best})
        post(address, f"/identities/{best}/rename", {"name": "Anna"})
        assert post(address, f"/identities/{other}/forget", {})["complete"]
        told.append((best, other))

    monkeypatch.setattr(viewing, "_wait", asked)
    viewing.view(str(tmp_path / "run"), listen="0")
    best, other = told[1]
    with Gallery.open(str(path), read_only=True) as store:
        known = {record.global_id: record.name for record in store.identities()}
    assert known[best] == "Anna"
    assert other not in known
    assert f'"global_id":{other},' not in (tmp_path / "run" / "results.jsonl").read_text()
