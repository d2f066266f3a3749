"""What people do wrong, or do without, across cameras: from the command line."""

import json

import pytest


@pytest.fixture
def two(scene):
    for name in ("hall", "yard"):
        scene.camera(name, [0, 1])
    return scene


def run(call, scene, out, *options, cameras=("hall", "yard")):
    videos = [scene.folder / f"{name}.mp4" for name in cameras]
    return call("run", *videos, "--detector", f"mot:{scene.boxes}", "--engine", "none", "-o", out, *options)


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        ("overlap: [[hall, yrad]]", "topology names the camera 'yrad', which there is not; did you mean 'yard'?"),
        ("transits: [{from: hall, to: cellar, min: 1}]", "the cameras are hall, yard"),
        ("transits: [{from: hall, to: yard, min: 9, max: 2}]", "cannot take at least 9.0 and at most 2.0 seconds"),
        ("overlap: [[hall, hall]]", "camera 'hall' is said to overlap itself"),
        (
            "transits: [{from: hall, to: yard}, {from: hall, to: yard}]",
            "the way from 'hall' to 'yard' is given more than once",
        ),
    ],
)
def test_a_wrong_camera_graph_is_refused_before_anything_is_done(call, two, tmp_path, graph, message):
    settings = tmp_path / "graph.yaml"
    settings.write_text(f"topology: {{{graph}}}\n")
    code, _, err = run(call, two, tmp_path / "out", "--settings", settings)
    assert code == 2
    assert message in " ".join(err.split())
    assert not (tmp_path / "out" / "results.jsonl").exists()


@pytest.mark.parametrize("cameras", [("hall",), ("hall", "yard")])
def test_without_looks_everybody_in_every_camera_is_somebody(call, two, tmp_path, cameras):
    cache, out = tmp_path / "cache", tmp_path / "out"
    code, text, err = run(call, two, out, "--cache", cache, cameras=cameras)
    assert code == 0, err
    total = 2 * len(cameras)
    assert f"{total} identities, {total} of them confirmed, 0 seen by more than one camera" in " ".join(text.split())
    lines = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    people = {
        (r["camera"], r["track_id"], r["global_id"]) for r in lines if r.get("type") == "person" and r.get("global_id")
    }
    assert len({g for _, _, g in people}) == len({(c, t) for c, t, _ in people}) == 2 * len(cameras)
    code, _, err = call("calibrate", cache, "--out", tmp_path / "site.yaml")
    assert code == 2
    assert "nobody was described" in err
    code, text, err = call("learn-topology", cache, "--out", tmp_path / "graph.yaml")
    assert code == 0, err
    assert "overlap: []" in (tmp_path / "graph.yaml").read_text()
