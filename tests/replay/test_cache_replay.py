"""A stored run replayed: the same results to the last byte, and refused when it would be another run."""

import json
import os
import shutil

import numpy as np
import pytest

from streamreid import Pipeline
from streamreid.cache.layout import part_file
from streamreid.cache.manifest import read_manifest
from streamreid.cache.reader import read_frames
from streamreid.cache.store import CacheWriter
from streamreid.cameras.embedding_scheduler import EmbeddingScheduler
from streamreid.config import Config
from streamreid.errors import DataError, EngineMismatchError, MissingExtraError
from streamreid.features.eight_bits import in_eight_bits
from streamreid.features.similarity import Calibration
from streamreid.replay import Replay
from streamreid.replay.replay import replayed_config
from streamreid.runs import run
from streamreid.track_update import TrackUpdate

pytest.importorskip("pyarrow")


def texts(folder):
    """All but ``colours.jsonl``: colours are looked at in pictures, which a replay does not have."""
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.suffix in (".txt", ".jsonl") and p.name != "colours.jsonl"
    }


def changed(config, section, **values):
    return config.model_copy(update={section: getattr(config, section).model_copy(update=values)})


def weaker(scene):
    """Some boxes of lower score, so that what the tracker looks at depends on its settings."""
    for path in scene.boxes.glob("*.txt"):
        lines = path.read_text().splitlines()
        path.write_text(
            "".join(
                line.replace(",0.9,", ",0.4,") + "\n" if i % 5 == 3 else line + "\n" for i, line in enumerate(lines)
            )
        )


@pytest.fixture
def stored(scene, colours, tmp_path):
    """A configuration, the folder of its cache, and that of its results."""
    config = scene.config(
        scene.camera("left", [0, 1, 2]), scene.camera("right", [2, 0, 3], rate=7), output={"parquet": True}
    )
    weaker(scene)
    with Pipeline(config, embedder=colours, cache=tmp_path / "cache") as pipeline:
        run(pipeline, tmp_path / "run")
    return config, tmp_path / "cache", tmp_path / "run"


def test_a_replay_gives_the_files_of_the_run(stored, tmp_path):
    _, cache, results = stored
    summary = run(Replay(cache), tmp_path / "again")
    assert len(texts(results)) == 6
    assert texts(tmp_path / "again") == texts(results)
    assert (summary.frames, summary.identities, summary.detector) == (80, 4, "mot:boxes")
    assert summary.engine == "colour"


def test_storing_changes_no_result(stored, colours, tmp_path):
    config, _, results = stored
    with Pipeline(config, embedder=colours) as pipeline:
        run(pipeline, tmp_path / "plain")
    assert texts(tmp_path / "plain") == texts(results)


def test_other_tracker_settings_give_what_a_run_with_them_gives(stored, colours, tmp_path):
    config, cache, results = stored
    other = changed(
        changed(config, "tracker", high_score=0.3, low_score=0.2, confirm_frames=6), "association", probability=0.7
    )
    with Pipeline(other, embedder=colours) as pipeline:
        run(pipeline, tmp_path / "run2")
    run(Replay(cache, other), tmp_path / "again")
    assert texts(tmp_path / "again") == texts(tmp_path / "run2")
    assert texts(tmp_path / "again") != texts(results)


def test_features_of_a_cache_are_rounded_as_asked(stored):
    """They are stored as the engine gave them. Runs of versions that never rounded are replayed without."""
    config, cache, _ = stored
    data = json.loads((cache / "manifest.json").read_text())["config"]
    del data["engine"]["feature_bits"]
    older = Config.stored(data)
    assert (older.engine.feature_bits, config.engine.feature_bits) == (32, 8)
    for asked, rounded in ((config, True), (older, False)):
        updates: list[TrackUpdate] = []
        with Replay(cache, asked, observers=[updates.append]) as replay:
            list(replay)
        parts = [o.features.parts for u in updates for o in u.observations]
        looked = np.concatenate([p[p.any(axis=(1, 2))] for p in parts])
        assert len(looked) > 50
        assert np.array_equal(in_eight_bits(looked), looked) == rounded


def test_frames_come_back_as_they_were(scene, colours, tmp_path):
    config = scene.config(scene.camera("left", [0, 1], frames=12))
    seen = []
    write = CacheWriter.write

    class Spy(CacheWriter):
        def write(self, item):
            seen.append(item)
            write(self, item)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("streamreid.pipeline.pipeline.CacheWriter", Spy)
        with Pipeline(config, embedder=colours, cache=tmp_path / "cache") as pipeline:
            list(pipeline)
    again = list(read_frames(tmp_path / "cache"))
    assert len(again) == len(seen) == 12
    for one, two in zip(seen, again, strict=True):
        assert (one.frame.camera, one.frame.index, one.frame.time, one.frame.clock, one.frame.size) == (
            *(two.frame.camera, two.frame.index, two.frame.time, two.frame.clock, two.frame.size),
        )
        assert one.frame.has_image
        assert not two.frame.has_image
        for name in ("boxes", "scores", "classes"):
            np.testing.assert_array_equal(getattr(one.detections, name), getattr(two.detections, name))
        for name in ("parts", "visibility"):
            np.testing.assert_array_equal(getattr(one.features, name), getattr(two.features, name))


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        ("detector", {"confidence": 0.3}, r"detector\.confidence: stored with 0\.1, asked for 0\.3"),
        ("detector", {"size": 960}, r"detector\.size: stored with auto, asked for 960"),
        ("engine", {"min_height": 50.0}, r"engine\.min_height: stored with 24\.0, asked for 50\.0"),
    ],
)
def test_settings_that_change_detections_are_refused(stored, section, values, message):
    config, cache, _ = stored
    with pytest.raises(DataError, match=message):
        Replay(cache, changed(config, section, **values))


def test_settings_that_change_nothing_are_not_refused(stored):
    config, cache, _ = stored
    config = changed(changed(config, "detector", batch=1), "engine", batch=3)
    moved = tuple(c.model_copy(update={"uri": f"/elsewhere/{c.name}.mp4"}) for c in config.cameras)
    with Replay(cache, config.model_copy(update={"cameras": moved})) as replay:
        assert len(list(replay)) == replay.manifest.frames


def test_other_cameras_are_refused(stored):
    config, cache, _ = stored
    one = config.cameras[0].model_copy(update={"stride": 2})
    with pytest.raises(DataError, match=r"cameras\.left\.stride: stored with 1, asked for 2"):
        Replay(cache, config.model_copy(update={"cameras": (one, config.cameras[1])}))
    with pytest.raises(DataError, match=r"cameras\.right: not asked for"):
        Replay(cache, config.model_copy(update={"cameras": (config.cameras[0],)}))


def test_settings_that_came_later_do_not_make_a_cache_useless(stored, tmp_path):
    """A cache of an older version has no value for them."""
    _, cache, results = stored
    path = cache / "manifest.json"
    data = json.loads(path.read_text())
    for camera in data["config"]["cameras"]:
        del camera["timeout"]
    del data["config"]["tracker"]["coast_seconds"]
    path.write_text(json.dumps(data))
    run(Replay(cache), tmp_path / "again")
    assert texts(tmp_path / "again") == texts(results)


def test_the_calibration_is_stored_with_the_features(scene, colours, tmp_path):
    colours.calibration = Calibration(17.0, -9.5, "a test", 0.21, 0.13)
    with Pipeline(scene.config(scene.camera("left", [0])), embedder=colours, cache=tmp_path / "cache") as pipeline:
        list(pipeline)
    assert read_manifest(tmp_path / "cache").calibration == colours.calibration


def test_another_engine_is_refused_and_the_reason_is_named(stored, shared, tmp_path):
    config, cache, _ = stored
    with pytest.raises(
        EngineMismatchError, match=r"features are of engine 'colour' .*but engine 'auto'|no engine 'auto'"
    ):
        Replay(cache, changed(config, "engine", model="auto"))
    with pytest.raises(EngineMismatchError, match="no engine '/nowhere'"):
        Replay(cache, changed(config, "engine", model="/nowhere"))


def test_changed_boxes_are_another_detector(scene, tmp_path):
    config = scene.config(scene.camera("left", [0]))
    with Pipeline(config, cache=tmp_path / "cache") as pipeline:
        list(pipeline)
    Replay(tmp_path / "cache")
    boxes = scene.boxes / "left.txt"
    text = boxes.read_text()
    boxes.write_text(text.replace("0.9", "0.8"))
    with pytest.raises(DataError, match=r"its boxes are of detector 'mot:boxes' .*Store the run again"):
        Replay(tmp_path / "cache")
    shutil.rmtree(scene.boxes)
    Replay(tmp_path / "cache")  # what is not there cannot have been asked for by mistake


def test_boxes_stored_with_the_former_default_of_classes_are_the_same_boxes(scene, tmp_path):
    config = scene.config(scene.camera("left", [0]))
    with Pipeline(config, cache=tmp_path / "cache") as pipeline:
        list(pipeline)
    path = tmp_path / "cache" / "manifest.json"
    data = json.loads(path.read_text())
    assert data["config"]["detector"]["classes"] is None
    data["config"]["detector"]["classes"] = [0]  # as caches have it in which None could not be written
    path.write_text(json.dumps(data))
    Replay(tmp_path / "cache")
    Replay(tmp_path / "cache", config)


def test_an_edited_manifest_is_refused(stored):
    _, cache, _ = stored
    path = cache / "manifest.json"
    data = json.loads(path.read_text())
    data["config"]["detector"]["confidence"] = 0.6
    path.write_text(json.dumps(data))
    with pytest.raises(DataError, match="changed by hand"):
        Replay(cache)
    path.write_text("{}")
    with pytest.raises(DataError, match="damaged or of another version"):
        Replay(cache)
    path.unlink()
    with pytest.raises(DataError, match="is no cache"):
        Replay(cache)


@pytest.mark.parametrize("how", ["missing", "cut", "foreign", "fewer"])
def test_damaged_parts_are_named(stored, scene, colours, tmp_path, how):
    _, cache, _ = stored
    part = part_file(cache, "left", 0)
    if how == "missing":
        part.unlink()
    elif how == "cut":
        part.write_bytes(part.read_bytes()[:500])
    elif how == "foreign":
        with Pipeline(scene.config(scene.camera("left", [0])), embedder=colours, cache=tmp_path / "other") as pipeline:
            list(pipeline)
        shutil.rmtree(scene.boxes)  # so that they cannot be compared
        shutil.copy(part_file(tmp_path / "other", "left", 0), part)
    else:
        path = cache / "manifest.json"
        data = json.loads(path.read_text())
        data["cameras"]["left"]["parts"] = [7]
        path.write_text(json.dumps(data))
    message = {
        "missing": "is missing",
        "cut": "is damaged",
        "foreign": "belongs to another cache",
        "fewer": "the manifest says 7",
    }[how]
    with pytest.raises(DataError, match=message):
        list(Replay(cache))


def test_a_run_that_was_left_early_leaves_a_cache_of_what_it_did(scene, colours, tmp_path):
    config = scene.config(scene.camera("left", [0, 1])).with_settings({"tracker.delay": 0})
    with Pipeline(config, embedder=colours, cache=tmp_path / "cache") as pipeline:
        for count, _ in enumerate(pipeline, 1):
            if count == 9:
                break
    manifest = read_manifest(tmp_path / "cache")
    assert (manifest.complete, manifest.frames) == (False, 9)
    assert len(list(Replay(tmp_path / "cache"))) == 9


EARLIER_NAMES = {
    "engine": {"embedding_interval": "look_interval"},
    "tracker": {
        "motion_only_seconds": "blind_seconds",
        "second_match_iou": "second_iou",
        "static_score": "ghost_score",
        "static_travel": "ghost_travel",
    },
    "ground": {"camera_share": "share"},
}


def test_a_cache_whose_settings_have_their_earlier_names_is_replayed(stored, tmp_path):
    _, cache, results = stored
    path = cache / "manifest.json"
    data = json.loads(path.read_text())
    for section, names in EARLIER_NAMES.items():
        values = data["config"][section]
        data["config"][section] = {names.get(key, key): value for key, value in values.items()}
        assert set(names.values()) <= set(data["config"][section])
    path.write_text(json.dumps(data))
    run(Replay(cache), tmp_path / "again")
    assert texts(tmp_path / "again") == texts(results)


def test_parts_are_flushed_together(scene, colours, tmp_path, monkeypatch):
    monkeypatch.setattr("streamreid.cache.store._FRAMES", 16)
    config = scene.config(scene.camera("left", [0, 1]), scene.camera("right", [1]))
    with Pipeline(config, embedder=colours, cache=tmp_path / "cache") as pipeline:
        run(pipeline, tmp_path / "run")
    manifest = read_manifest(tmp_path / "cache")
    assert [sum(camera.parts) for camera in manifest.cameras.values()] == [40, 40]
    assert len(manifest.cameras["left"].parts) == 5
    run(Replay(tmp_path / "cache"), tmp_path / "again")
    assert texts(tmp_path / "again") == texts(tmp_path / "run")


def test_a_killed_run_leaves_what_was_flushed(scene, colours, tmp_path, monkeypatch):
    monkeypatch.setattr("streamreid.cache.store._FRAMES", 16)
    monkeypatch.setattr(CacheWriter, "close", lambda *_, **__: None)  # a killed process closes nothing
    config = scene.config(scene.camera("left", [0, 1]), scene.camera("right", [1]))
    with Pipeline(config, embedder=colours, cache=tmp_path / "cache") as pipeline:
        reported = list(pipeline)
    (tmp_path / "cache" / "left" / ".part-00005.parquet.part").write_bytes(b"half a part")
    assert read_manifest(tmp_path / "cache").frames == 80 // 16 * 16
    again = list(Replay(tmp_path / "cache"))
    assert [r.global_ids.tolist() for r in again] == [r.global_ids.tolist() for r in reported[: len(again)]]


def test_a_full_disk_is_named_and_leaves_no_half_part(scene, colours, tmp_path, monkeypatch):
    monkeypatch.setattr("streamreid.cache.store._FRAMES", 16)
    real = os.replace

    def full(source, target):
        if str(target).endswith("part-00001.parquet"):
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(os, "replace", full)
    pipeline = Pipeline(scene.config(scene.camera("left", [0])), embedder=colours, cache=tmp_path / "cache")
    assert len(list(pipeline)) == 40  # the run goes on without
    assert "No space left on device" in pipeline.statistics.outputs["cache"]
    assert sorted(p.name for p in (tmp_path / "cache" / "left").iterdir()) == ["part-00000.parquet"]
    assert len(list(Replay(tmp_path / "cache"))) == 16


def test_a_cache_is_not_overwritten_unasked(stored, colours):
    config, cache, _ = stored
    with pytest.raises(DataError, match="holds a cache already"):
        Pipeline(config, embedder=colours, cache=cache)


def test_nobody_and_broken_cameras(scene, colours, tmp_path):
    config = scene.config(scene.camera("empty", []), scene.camera("broken", [0]))
    (scene.folder / "broken.mp4").write_bytes(b"")
    with Pipeline(config, embedder=colours, cache=tmp_path / "cache") as pipeline:
        run(pipeline, tmp_path / "run")
    summary = run(Replay(tmp_path / "cache"), tmp_path / "again")
    assert summary.cameras["empty"].frames == 40
    assert summary.cameras["broken"].frames == 0
    assert "failed in the run that was stored" in summary.cameras["broken"].warnings[0]
    assert texts(tmp_path / "again") == texts(tmp_path / "run")


def test_films_are_drawn_from_the_sources(stored, scene, tmp_path):
    _, cache, _ = stored
    config = changed(replayed_config(cache), "output", mosaic=True)
    summary = run(Replay(cache, config), tmp_path / "again")
    assert "mosaic.mp4" in summary.files
    with open(scene.folder / "left.mp4", "ab") as file:
        file.write(b"more")
    with pytest.raises(DataError, match=r"camera 'left': a cache has no pictures(.|\n)*Leave out --video"):
        Replay(cache, config)
    Replay(cache, changed(config, "output", mosaic=False))


def test_a_replay_runs_once_and_can_be_stopped(stored):
    _, cache, _ = stored
    replay = Replay(cache, replayed_config(cache).with_settings({"tracker.delay": 0}))
    for count, _ in enumerate(replay, 1):
        if count == 5:
            replay.stop()
    assert count == 5
    with pytest.raises(RuntimeError, match="runs once"):
        list(replay)


def test_passwords_are_not_stored(scene, tmp_path, monkeypatch):
    config = scene.config(scene.camera("left", [0]))
    secret = Config.from_dict(
        {
            **config.model_dump(),
            "cameras": [*config.model_dump()["cameras"], {"name": "gate", "uri": "http://me:geheim@127.0.0.1:9/x.mp4"}],
        }
    )
    with Pipeline(secret, cache=tmp_path / "cache") as pipeline:
        list(pipeline)
    assert "geheim" not in (tmp_path / "cache" / "manifest.json").read_text()
    Replay(tmp_path / "cache")


def test_without_pyarrow_the_extra_is_named(scene, tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"streamreid\[parquet\]"):
        Pipeline(scene.config(scene.camera("left", [0])), cache=tmp_path / "cache")


def test_a_cache_without_the_choice_of_the_run_is_still_replayed(stored, tmp_path):
    """As they were written before parts said whose features the run used."""
    import pyarrow.parquet as pq

    _, cache, results = stored
    for part in cache.glob("*/part-*.parquet"):
        pq.write_table(pq.read_table(part).drop_columns(["embedded"]), part)
    manifest = json.loads((cache / "manifest.json").read_text())
    assert manifest["schema"] == 4
    (cache / "manifest.json").write_text(json.dumps(manifest | {"schema": 2}))
    assert all(seen.embedded is None for seen in read_frames(cache))
    run(Replay(cache), tmp_path / "again")
    assert texts(tmp_path / "again") == texts(results)


def test_a_cache_with_lists_of_features_is_still_replayed(stored, tmp_path):
    """As they were written up to schema 3."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    _, cache, results = stored
    for part in cache.glob("*/part-*.parquet"):
        table = pq.read_table(part)
        at = table.schema.get_field_index("parts")
        lists = pa.array([np.frombuffer(v, np.float32) for v in table["parts"].to_pylist()], pa.list_(pa.float32()))
        pq.write_table(table.set_column(at, "parts", lists), part)
    manifest = json.loads((cache / "manifest.json").read_text())
    (cache / "manifest.json").write_text(json.dumps(manifest | {"schema": 3}))
    run(Replay(cache), tmp_path / "again")
    assert texts(tmp_path / "again") == texts(results)


@pytest.mark.parametrize("cap", [1, 2])
def test_a_replay_is_the_run_that_was_overloaded(scene, colours, tmp_path, monkeypatch, cap):
    """What the run did is in the cache; a second look at boxes and times alone could not know whom it had left out."""
    monkeypatch.setattr(
        EmbeddingScheduler, "due", lambda self, *frame, due=EmbeddingScheduler.due: due(self, *frame)[:cap]
    )
    config = scene.config(scene.camera("left", [0, 1, 2]))
    with Pipeline(config, embedder=colours, cache=tmp_path / "cache") as pipeline:
        run(pipeline, tmp_path / "run")
    with Pipeline(config, embedder=colours) as pipeline:
        run(pipeline, tmp_path / "plain")
    monkeypatch.undo()
    run(Replay(tmp_path / "cache"), tmp_path / "again")
    assert texts(tmp_path / "again") == texts(tmp_path / "run") == texts(tmp_path / "plain")
    assert max(int(seen.embedded.sum()) for seen in read_frames(tmp_path / "cache")) == cap
