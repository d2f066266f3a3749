"""The whole pipeline on generated recordings with exact boxes: identities, failures of single cameras, determinism."""

import json
import threading
import time
from fractions import Fraction

import numpy as np
import pytest

from streamreid import Pipeline
from streamreid.cameras.region_of_interest import inside
from streamreid.config import CameraConfig
from streamreid.errors import ConfigError, SourceError
from streamreid.pipeline.pipeline import camera_name
from streamreid.runs import run


def groups(pipeline):
    result = {}
    for key, (gid, _) in pipeline.identities.items():
        result.setdefault(gid, set()).add(key)
    return result


def test_people_in_two_cameras_share_an_identity(scene, colours):
    config = scene.config(scene.camera("left", [0, 1, 2]), scene.camera("right", [2, 0, 3]))
    with Pipeline(config, embedder=colours) as pipeline:
        results = list(pipeline)
    assert len(results) == 80
    assert [r.frame.time for r in results] == sorted(r.frame.time for r in results)
    found = groups(pipeline)
    assert len(found) == 4
    assert sum(len({camera for camera, _ in members}) == 2 for members in found.values()) == 2
    # colour 0 walks in lane 0 of "left" and lane 1 of "right"; ids are given from left to right
    assert {("left", 1), ("right", 2)} in found.values()
    assert {("left", 3), ("right", 1)} in found.values()


def test_results_are_supervision_detections(scene, colours):
    config = scene.config(scene.camera("left", [0, 1]))
    with Pipeline(config, embedder=colours) as pipeline:
        last = list(pipeline)[-1]
    detections = last.to_supervision()
    assert detections.tracker_id.tolist() == [1, 2]
    assert detections.data["global_id"].tolist() == last.global_ids.tolist()
    assert detections.data["camera"].tolist() == ["left", "left"]
    assert detections.data["visibility"].shape == (2, 1)


def test_the_same_run_twice_gives_the_same_files(scene, colours, tmp_path):
    videos = scene.camera("left", [0, 1, 2]), scene.camera("right", [2, 0, 3], rate=7)
    texts = []
    for name, batch in (("a", 8), ("b", 8), ("c", 1)):
        config = scene.config(*videos, detector={"model": f"mot:{scene.boxes}", "batch": batch})
        with Pipeline(config, embedder=colours) as pipeline:
            run(pipeline, tmp_path / name)
        texts.append(
            {p.name: p.read_text() for p in (tmp_path / name).rglob("*.txt")}
            | {"jsonl": (tmp_path / name / "results.jsonl").read_text()}
        )
    assert texts[0] == texts[1] == texts[2]


@pytest.mark.parametrize("bad", ["missing", "empty", "text", "truncated"])
def test_one_broken_camera_does_not_stop_the_others(scene, colours, tmp_path, bad):
    good = scene.camera("good", [0, 1])
    broken = scene.camera("broken", [1, 2], frames=60)
    data = broken.read_bytes()
    if bad == "missing":
        broken.unlink()
    else:
        broken.write_bytes(
            {"empty": b"", "text": b"not a video at all\n" * 50, "truncated": data[: len(data) // 3]}[bad]
        )
    with Pipeline(scene.config(good, broken), embedder=colours) as pipeline:
        summary = run(pipeline, tmp_path / "out")
    assert summary.cameras["good"].frames == 40
    assert summary.cameras["good"].error is None
    assert summary.failed == ["broken"]
    assert "broken.mp4" in summary.cameras["broken"].error
    assert (tmp_path / "out" / "summary.json").exists()


def test_a_shorter_and_a_slower_camera(scene, colours):
    short, slow = scene.camera("short", [0], frames=8), scene.camera("slow", [0], frames=20, rate=5)
    with Pipeline(scene.config(short, slow), embedder=colours) as pipeline:
        results = list(pipeline)
    assert [r.frame.camera for r in results].count("short") == 8
    assert [r.frame.camera for r in results].count("slow") == 20
    assert [r.frame.time for r in results] == sorted(r.frame.time for r in results)


def test_no_camera_at_all_that_can_be_opened(scene):
    missing = scene.folder / "missing.mp4"
    with (
        Pipeline(scene.config(missing)) as pipeline,
        pytest.raises(SourceError, match=r"no camera could be opened(.|\n)*missing\.mp4"),
    ):
        list(pipeline)


def test_a_camera_whose_boxes_are_missing_does_not_stop_the_others(scene, colours, tmp_path):
    good, bare = scene.camera("good", [0]), scene.camera("bare", [0])
    (scene.boxes / "bare.txt").unlink()
    with Pipeline(scene.config(good, bare), embedder=colours) as pipeline:
        summary = run(pipeline, tmp_path / "out")
    assert summary.cameras["good"].frames == 40
    assert summary.failed == ["bare"]
    assert "bare" in summary.cameras["bare"].error


def test_nobody_at_all(scene, colours, tmp_path):
    with Pipeline(scene.config(scene.camera("empty", [])), embedder=colours) as pipeline:
        summary = run(pipeline, tmp_path / "out")
    assert summary.identities == 0
    assert summary.cameras["empty"].frames == 40
    assert (tmp_path / "out" / "mot" / "empty.txt").read_text() == ""


def test_frame_size_may_change_in_mid_stream(scene, colours, tmp_path):
    import av

    path = scene.folder / "change.h264"
    with open(path, "wb") as raw:
        for size in ((320, 240), (480, 360)):
            codec = av.CodecContext.create("libx264", "w")
            codec.width, codec.height, codec.pix_fmt, codec.framerate, codec.time_base = (
                *size,
                "yuv420p",
                10,
                Fraction(1, 10),
            )
            codec.options = {"tune": "zerolatency"}
            for _ in range(15):
                for packet in codec.encode(
                    av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), 90, np.uint8), format="bgr24")
                ):
                    raw.write(bytes(packet))
            for packet in codec.encode(None):
                raw.write(bytes(packet))
    (scene.boxes / "change.txt").write_text("".join(f"{i + 1},-1,{20 + i},30,30,90,0.9,-1,-1,-1\n" for i in range(30)))
    config = scene.config(path, output={"mosaic": True, "video": True})
    with Pipeline(config, embedder=colours) as pipeline:
        summary = run(pipeline, tmp_path / "out")
    assert summary.cameras["change"].frames == 30
    assert any("size" in w for w in summary.cameras["change"].warnings)
    assert (tmp_path / "out" / "mosaic.mp4").stat().st_size > 0


def test_motion_only(scene):
    with Pipeline(scene.config(scene.camera("left", [0, 1]), scene.camera("right", [0, 1]))) as pipeline:
        list(pipeline)
    assert len(groups(pipeline)) == 4


def test_region_of_interest(scene, colours):
    video = scene.camera("left", [0, 1])  # feet at y = 120 and 145
    config = scene.config(video)
    camera = config.cameras[0].model_copy(update={"roi": ((0.0, 0.55), (1.0, 0.55), (1.0, 1.0), (0.0, 1.0))})
    with Pipeline(config.model_copy(update={"cameras": (camera,)}), embedder=colours) as pipeline:
        results = list(pipeline)
    assert {tuple(r.tracks.ids.tolist()) for r in results[5:]} == {(1,)}
    assert results[-1].tracks.boxes[0, 3] == pytest.approx(145, abs=2)


@pytest.mark.parametrize("polygon", [((0, 0), (50, 0), (50, 100), (0, 100)), ((0, 0), (0.5, 0), (0.5, 1), (0, 1))])
def test_inside_by_pixels_and_by_fractions(polygon):
    boxes = np.array([[0, 0, 40, 90], [60, 0, 90, 90]], np.float32)
    assert inside(boxes, polygon, (100, 100)).tolist() == [True, False]
    assert inside(boxes, None, (100, 100)).tolist() == [True, True]


def test_stride_offset_and_repeat(scene, colours):
    video = scene.camera("left", [0], frames=20)
    config = scene.config(video)
    camera = CameraConfig(name="left", uri=str(video), stride=2, offset=100.0)
    with Pipeline(config.model_copy(update={"cameras": (camera,)}), embedder=colours) as pipeline:
        results = list(pipeline)
    assert [r.frame.index for r in results] == list(range(0, 20, 2))
    assert results[0].frame.time == pytest.approx(100.0)
    assert results[-1].frame.time == pytest.approx(101.8)


def test_a_pipeline_can_be_stopped_and_left(scene, colours):
    with Pipeline(scene.config(scene.camera("left", [0], frames=60)), embedder=colours) as pipeline:
        count = 0
        for _ in pipeline:
            count += 1
            if count == 10:
                pipeline.stop()
    assert 10 <= count < 60
    assert pipeline.interrupted
    with pytest.raises(RuntimeError, match="runs once"):
        list(pipeline)


def test_leaving_the_loop_early_leaves_no_thread(scene, colours):
    before = set(threading.enumerate())
    with Pipeline(scene.config(scene.camera("left", [0], frames=60)), embedder=colours) as pipeline:
        for _ in pipeline:
            break
    # The thread that watches a start for slow steps ends by itself, up to half a second after the last step.
    deadline = time.monotonic() + 60
    while (left := {thread.name for thread in set(threading.enumerate()) - before}) == {
        "startup"
    } and time.monotonic() < deadline:
        time.sleep(0.02)
    assert left == set()


def test_final_files_hold_the_final_identities(scene, colours, tmp_path):
    config = scene.config(scene.camera("left", [0, 1]), scene.camera("right", [1, 0]), output={"mosaic": True})
    with Pipeline(config, embedder=colours) as pipeline:
        summary = run(pipeline, tmp_path / "out")
    assert summary.identities == summary.shared == 2
    ids = {}
    for camera in ("left", "right"):
        rows = [
            line.split(",") for line in (tmp_path / "out" / "mot" / "global" / f"{camera}.txt").read_text().splitlines()
        ]
        assert len(rows) > 60
        ids[camera] = {int(r[1]) for r in rows}
    assert ids["left"] == ids["right"]
    lines = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert lines[0]["type"] == "header"
    assert lines[-1]["type"] == "end"
    assert {p["camera"] for p in lines if p["type"] == "person"} == {"left", "right"}
    written = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert written["identities"] == 2
    assert written["cameras"]["left"]["frames"] == 40
    assert set(written["files"]) >= {"mosaic.mp4", "results.jsonl", "summary.json"}


def test_names_of_cameras():
    names = []
    uris = ["a/hall.mp4", "b/hall.mp4", "rtsp://user:secret@10.0.0.7:554/live", "0", "weird name!.avi"]
    assert [camera_name(u, names) for u in uris] == ["hall", "hall-2", "10.0.0.7", "webcam0", "weird_name"]


def test_no_source_is_a_configuration_error():
    with pytest.raises(ConfigError, match="no source given"):
        Pipeline.from_sources()
