"""The report of a run: tables, maps and the page."""

import csv
import json
import re
import shutil

import cv2
import numpy as np
import pytest

from streamreid import Pipeline, open_run, run
from streamreid.errors import ConfigError
from streamreid.messages import MessageSink
from streamreid.reports.footprints import GROUND, Surface, gather_footprints
from streamreid.reports.maps import draw_heat, ground_base
from streamreid.runs.questions import moment


@pytest.fixture
def folder(scene, tmp_path, colours):
    """A run of two cameras; person 1 walks through both, one after the other."""
    one, two = scene.camera("entrance", [0, 1]), scene.camera("hall", [1, 2])
    config = scene.config(one, two)
    cameras = [{"name": "entrance", "uri": str(one)}, {"name": "hall", "uri": str(two), "offset": 20}]
    config = config.from_dict({**config.model_dump(), "cameras": cameras})
    with Pipeline(config, embedder=colours) as pipeline:
        run(pipeline, tmp_path / "run")
    return tmp_path / "run"


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return {(row["place"], float(row["start"])): row for row in csv.DictReader(file)}


def test_a_run_is_counted_per_period(folder, call, tmp_path):
    code, said, _ = call("report", folder, "--every", "10s", "--csv", tmp_path / "counts.csv")
    assert code == 0, said
    rows = rows_of(tmp_path / "counts.csv")
    unique = {(place, start // 10): int(row["unique"]) for (place, start), row in rows.items()}
    assert unique == {
        **{("camera:entrance", n): 2 * (n == 0) for n in range(3)},
        **{("camera:hall", n): 2 * (n == 2) for n in range(3)},
        # Who is in neither camera for 16 s has not gone.
        **{("everywhere", n): (2, 1, 2)[n] for n in range(3)},
    }
    table = open_run(folder).counts(every="10s").to_dict()
    assert table["unique"] == [int(row["unique"]) for row in rows.values()]


def test_a_line_between_two_tracks_that_are_two_people_after_all_is_not_crossed(tmp_path):
    cross = {"type": "place", "kind": "line_crossed", "place": "door", "camera": "hall", "direction": "in"}
    cross |= {"point": [5, 5], "probability": 0.9, "track_before": 1}
    people = [(1, 1, 0.0), (2, 1, 2.0), (3, 3, 4.0)]
    lines = [{"type": "header", "cameras": ["hall"]}]
    for track, who, begin in people:
        lines += [
            {"type": "person", "camera": "hall", "frame": i, "time": begin + i / 10, "box": [1, 2, 3, 4],
             "track_id": track, "global_id": who, "link_probability": 1.0} for i in range(10)
        ]  # fmt: skip
    lines += [{**cross, "track_id": track, "time": 4.0} for track in (2, 3)]
    (tmp_path / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = open_run(tmp_path)
    assert [c.track_id for c in found.place_log.crossings] == [2, 3]
    assert [c.track_id for c in found.crossings] == [2]


def test_different_people_over_two_cameras_between_two_times(folder, call):
    code, said, _ = call("report", folder, "--place", "entrance,hall", "--from", "0:00", "--to", "0:00:23")
    assert code == 0, said
    (line,) = [line for line in said.splitlines() if line.startswith("entrance+hall")]
    assert re.search(r"0:00:00 to 0:00:23 +3 ", line)
    code, _, why = call("report", folder, "--place", "hal")
    assert code == 2
    assert "camera:hall" in why


def test_a_question_that_nothing_can_answer_is_said(folder, call):
    code, _, why = call("report", folder, "--from", "10:00", "--to", "11:00")
    assert code == 0
    assert "nothing of that time: it lasts from 0:00:00" in " ".join(why.split())
    for asked in (["--from", "2:00", "--to", "1:00"], ["--place", ","], ["--from", "nan"], ["--to", "inf"]):
        code, _, why = call("report", folder, *asked)
        assert (code, why[:6]) == (2, "error:"), asked


def test_maps_show_where_people_walked(folder, call, tmp_path):
    code, said, _ = call("report", folder, "--paths", tmp_path / "maps")
    assert code == 0, said
    names = {path.name for path in (tmp_path / "maps").iterdir()}
    assert names == {f"{camera}-{kind}.png" for camera in ("entrance", "hall") for kind in ("paths", "heat")}
    paths, heat = (cv2.imread(str(tmp_path / "maps" / f"entrance-{kind}.png")) for kind in ("paths", "heat"))
    assert paths.shape == (240, 320, 3)
    # Feet of the first person: from (26, 120) to (104, 120). Above, nobody stands.
    assert colourfulness(paths[115:125, 40:90]) > 60 > colourfulness(paths[200:230, 200:300])
    assert heat[112:128, 40:90].astype(int).max() > heat[200:230, 200:300].astype(int).max() + 40


def colourfulness(image):
    return int(np.ptp(image.astype(int), axis=2).max())


@pytest.mark.parametrize("kind", ["nobody", "killed", "parquet", "gone"])
def test_runs_that_are_not_whole_have_a_report_too(folder, call, tmp_path, scene, kind):
    pytest.importorskip("plotly")
    page = tmp_path / "report.html"
    if kind == "nobody":
        lines = (folder / "results.jsonl").read_text().splitlines(keepends=True)
        (folder / "results.jsonl").write_text(
            "".join(li for li in lines if json.loads(li)["type"] in ("header", "end"))
        )
    elif kind == "killed":
        text = (folder / "results.jsonl").read_text()
        (folder / "results.jsonl").write_text(text[: text.index('{"type":"identity"')] + '{"type":"ide')
        (folder / "summary.json").unlink()
    elif kind == "parquet":
        pytest.importorskip("pyarrow")
        configuration = json.loads((folder / "summary.json").read_text())["configuration"]
        shutil.rmtree(folder)
        call(
            "run", "--out", folder, "--sources", yaml(configuration, tmp_path), "--parquet", "--set", "output.jsonl=off"
        )
        assert not (folder / "results.jsonl").exists()
    else:
        (scene.folder / "hall.mp4").unlink()
    tables = ("--csv", tmp_path / "counts.csv", "--paths", tmp_path / "maps")
    code, said, why = call("report", folder, "--every", "10s", "--html", page, *tables)
    assert code == 0, (said, why)
    assert ("no pictures of cameras that showed nobody" in why) == (kind == "nobody")
    assert any((tmp_path / "maps").iterdir()) == (str(tmp_path / "maps") in said) == (kind != "nobody")
    text = page.read_text(encoding="utf-8")
    said_of = {
        "nobody": "Nobody was seen",
        "killed": "The run was killed or failed",
        "parquet": "only the Parquet table",
        "gone": "its recording",
    }
    assert said_of[kind] in text
    assert (f"streamreid clip {folder} --identity" in text) == (kind != "nobody")
    rows = rows_of(tmp_path / "counts.csv")
    assert len(rows) == 9
    assert (sum(int(row["unique"]) for row in rows.values()) == 0) == (kind == "nobody")


def yaml(configuration, tmp_path):
    path = tmp_path / "cams.yaml"
    cameras = [{key: camera[key] for key in ("name", "uri", "offset")} for camera in configuration["cameras"]]
    path.write_text(
        json.dumps(
            {"cameras": cameras, "detector": {"model": configuration["detector"]["model"]}, "engine": {"model": "none"}}
        )
    )
    return path


def test_secrets_that_are_missing_in_stored_settings_hinder_no_report(folder, call, tmp_path):
    pytest.importorskip("plotly")
    path = folder / "summary.json"
    summary = json.loads(path.read_text())
    summary["configuration"]["messages"] |= {"mqtt": {"address": "mqtt://127.0.0.1:***"}}
    summary["configuration"]["server"] |= {"listen": "127.0.0.1:***"}
    path.write_text(json.dumps(summary))
    code, said, why = call("report", folder, "--html", tmp_path / "report.html")
    assert code == 0, (said, why)
    assert open_run(folder).config.messages.mqtt is None


def test_a_folder_without_results_says_what_is_missing(call, tmp_path):
    code, _, why = call("report", tmp_path)
    assert code == 2
    assert "neither results.jsonl nor results.parquet" in why.replace("\n", " ")


@pytest.mark.parametrize("line", [b"\x00\xff{]", b"[]", b"3", b'{"type": "event"}', b'{"type": "visit", "camera": 3}'])
def test_a_damaged_line_is_named(call, tmp_path, line):
    (tmp_path / "results.jsonl").write_bytes(b'{"type": "header", "cameras": ["hall"]}\n' + line + b"\n")
    code, _, why = call("report", tmp_path)
    assert code == 2
    assert re.search(r"results\.jsonl:2: not a line|a line of results.jsonl is not as", why.replace("\n", "")), why


def test_times_are_said_as_people_say_them():
    day = 1764374400.0  # 2025-11-29 UTC
    assert moment("10:00", day + 5000, "--from") == day + 36000
    assert moment("2025-11-29T11:00+01:00", day, "--from") == day + 36000
    assert moment("1:30", 3.0, "--from") == 5400
    assert moment("12.5", None, "--from") == 12.5
    assert moment("24:00", day + 5000, "--to") == day + 86400
    assert moment("30:00", 3.0, "--to") == 108_000
    for wrong in ("25:00", "10:60", "10:00:60"):
        with pytest.raises(ConfigError, match="no time of day"):
            moment(wrong, day, "--from")
    with pytest.raises(ConfigError, match="--to 'noon'"):
        moment("noon", day, "--to")


@pytest.fixture(scope="session")
def browser():
    """Chromium of the system; tests that need it are skipped where it is not."""
    api = pytest.importorskip("playwright.sync_api")
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("chromium is not installed")
    with api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_needs_no_network_and_is_accessible(folder, call, tmp_path, browser, scheme):
    pytest.importorskip("plotly")
    path = tmp_path / "report.html"
    assert call("report", folder, "--every", "10s", "--html", path)[0] == 0
    page = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme=scheme)
    asked, wrong = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(path.as_uri())
    page.wait_for_function("document.querySelectorAll('.chart .main-svg').length >= 4")
    assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]
    assert wrong == []
    # As wide as a phone; a table scrolls inside of its own box.
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("[...document.images].every(image => image.alt && image.naturalWidth)")
    charts = page.evaluate("[...document.querySelectorAll('.chart')].map(c => c.getAttribute('aria-labelledby'))")
    assert charts == ["people-name", "occupancy-name", "dwell-name", "flows-name"]
    beside = "[...document.querySelectorAll('.chart')].every(c => c.parentElement.querySelector('table'))"
    assert page.evaluate(beside)
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 23, 26)"
    assert dark == (scheme == "dark")
    page.close()


def test_a_cache_is_replayed_and_a_gallery_counts_all_runs(scene, call, tmp_path, colours, monkeypatch):
    one, two = scene.camera("entrance", [0, 1]), scene.camera("hall", [1, 2])
    cache, store = tmp_path / "cache", tmp_path / "people.db"
    sections = {"association": {"confirm_observations": 3, "confirm_seconds": 0.5}}
    with Pipeline(scene.config(one, two, **sections), embedder=colours, cache=cache) as pipeline:
        run(pipeline, tmp_path / "run")
    expected = open_run(tmp_path / "run").counts(every="2s").to_dict()
    manifest = json.loads((cache / "manifest.json").read_text())
    manifest["config"]["messages"]["webhook"] = {"address": "http://127.0.0.1:9/told"}
    (cache / "manifest.json").write_text(json.dumps(manifest))
    monkeypatch.setattr(MessageSink, "__init__", lambda *_, **__: pytest.fail("brokers are told again"))
    code, said, _ = call("report", cache, "--every", "2s", "--csv", tmp_path / "counts.csv")
    assert code == 0, said
    assert [int(row["unique"]) for row in rows_of(tmp_path / "counts.csv").values()] == expected["unique"]
    for begin in (0, 3600):
        settings = scene.config(one, two, **sections, gallery={"store": str(store)})
        cameras = [camera.model_copy(update={"offset": float(begin)}) for camera in settings.cameras]
        settings = settings.model_copy(update={"cameras": tuple(cameras)})
        with Pipeline(settings, embedder=colours) as pipeline:
            run(pipeline, tmp_path / f"run{begin}")
    page = tmp_path / "gallery.html"
    code, said, why = call("report", store, "--every", "1h", "--html", page, "--csv", tmp_path / "counts.csv")
    assert code == 0, (said, why)
    hours = {start // 3600: int(row["unique"]) for (place, start), row in rows_of(tmp_path / "counts.csv").items()
             if place == "everywhere"}  # fmt: skip
    assert hours == {0: 3, 1: 3}
    text = page.read_text(encoding="utf-8")
    assert "<small>6 by people" not in text
    assert "streamreid clip" not in text, "a gallery has no pictures"
    assert "different people</dt><dd>3" in text


def test_zones_and_lines_are_counted_and_drawn(scene, call, tmp_path):
    pytest.importorskip("plotly")
    config = scene.config(
        scene.camera("gate", [0]),
        zones=[{"name": "shop", "camera": "gate", "polygon": [[0.2, 0.3], [0.6, 0.3], [0.6, 0.9], [0.2, 0.9]]}],
        lines=[{"name": "door", "camera": "gate", "from": [60, 60], "to": [60, 200]}],
    )
    with Pipeline(config) as pipeline:
        run(pipeline, tmp_path / "run")
    page, maps = tmp_path / "report.html", tmp_path / "maps"
    code, said, why = call("report", tmp_path / "run", "--place", "shop", "--html", page, "--paths", maps)
    assert code == 0, (said, why)
    assert re.search(r"^shop +0:00:\d\d to 0:00:0\d +1 ", said, re.MULTILINE)
    text = page.read_text(encoding="utf-8")
    assert "Crossings of lines" in text
    assert '<td class="text">door</td><td class="text">out</td><td>1</td><td>1</td>' in text
    image = cv2.imread(str(maps / "gate-paths.png")).astype(int)
    upper = image[70:75, 100:180]  # the zone's upper side, at 72 pixels
    assert (upper[..., 0] - upper[..., 2]).max() > 100


def test_with_calibrated_cameras_there_is_a_ground_plan(call, tmp_path):
    lines = [{"type": "header", "cameras": ["a"]}]
    for i in range(50):
        lines.append({"type": "person", "camera": "a", "frame": i, "time": i / 10, "box": [10 + i, 20, 30, 80],
                      "track_id": 1, "global_id": 1, "link_probability": 1.0, "score": 0.9, "visibility": [1.0],
                      "world": [i / 10, 2.0]})  # fmt: skip
    (tmp_path / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    code, said, why = call("report", tmp_path, "--paths", tmp_path / "maps")
    assert code == 0, (said, why)
    ground = gather_footprints(open_run(tmp_path)).surfaces[GROUND]
    assert ground.seconds == pytest.approx(4.9)
    low, high = np.array(list(ground.cells)).min(0) * ground.cell, np.array(list(ground.cells)).max(0) * ground.cell
    assert low.tolist() == [0.0, 2.0]
    assert high.tolist() == [4.75, 2.0]
    assert cv2.imread(str(tmp_path / "maps" / "ground-paths.png")).shape[1] == 960
    assert "no summary.json" in " ".join(why.split()), "no still of the camera, and why"


def test_nothing_is_said_of_single_people_where_counts_are_withheld(folder, call, tmp_path):
    pytest.importorskip("plotly")
    page = tmp_path / "report.html"
    code, said, _ = call("report", folder, "--min-people", "5", "--html", page)
    assert code == 0
    assert "withheld" in said
    text = page.read_text(encoding="utf-8")
    assert "Who appeared" not in text
    assert "Paths, camera" not in text
    assert "Where people stood, camera entrance" in text


def test_on_the_ground_plan_y_grows_upwards():
    surface = Surface(metric=True)
    for i in range(100):
        surface.add(("a", 1), i / 10, 0.1, min(i / 10, 3.1))  # from the origin to (0, 3), and stays there
    base = ground_base(surface)
    start, end = base.pixels(np.array([[0.1, 0.1], [0.1, 3.1]]))
    assert end[1] < start[1]
    heat, most = draw_heat(base, surface)
    assert most > 0.3
    hot = np.argwhere(heat[..., 2].astype(int) - heat[..., 0] > 120)  # bright orange
    assert np.abs(hot[:, 0].mean() - end[1]) < 40
