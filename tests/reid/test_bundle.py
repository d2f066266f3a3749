"""Bundles: complete or not there, checked, and every mistake named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from streamreid.config import EngineConfig
from streamreid.errors import EngineError
from streamreid.reid import BlindEmbedder, factory, load_bundle, open_embedder, write_bundle


def edit(folder: Path, **values: object) -> None:
    file = folder / "bundle.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def test_what_is_written_is_read(make_bundle) -> None:
    written = make_bundle(rank=3, licence="MIT", description="tiny")
    read = load_bundle(written.folder)
    assert read == written
    assert list(read.manifest.files) == ["model.onnx"]
    data = json.loads((read.folder / "bundle.json").read_text())
    assert data["schema"] == 1
    assert sorted(p.name for p in read.folder.iterdir()) == ["bundle.json", "model.onnx"]
    assert [p.name for p in read.folder.parent.iterdir()] == [read.folder.name]


def test_the_fingerprint_is_that_of_the_features(make_bundle) -> None:
    first = make_bundle("a")
    assert first.fingerprint == make_bundle("b", rank=9, calibration={"slope": 1.0, "intercept": 2.0}).fingerprint
    others = [make_bundle("c", parts=2), make_bundle("d", input={**first.manifest.input.model_dump(), "color": "bgr"})]
    assert len({b.fingerprint for b in (first, *others)}) == 3


def test_a_graph_rewritten_with_the_same_features_keeps_its_fingerprint(make_bundle) -> None:
    first = make_bundle("a", parts=2)
    scored = first.manifest.outputs.model_copy(update={"extra": {"occlusion": "occlusion"}})
    again = make_bundle("b", features=first.manifest.files["model.onnx"], parts=2, outputs=scored)
    assert again.fingerprint == first.fingerprint
    assert make_bundle("c", features="0" * 64, parts=2).fingerprint != first.fingerprint


class TestDamage:
    def test_a_changed_file(self, make_bundle) -> None:
        bundle = make_bundle()
        bundle.model.write_bytes(bundle.model.read_bytes() + b"x")
        with pytest.raises(
            EngineError, match=r"'model\.onnx' is not the file.*sha256 [0-9a-f]{16}.*expected [0-9a-f]{16}"
        ):
            load_bundle(bundle.folder)

    def test_a_missing_file(self, make_bundle) -> None:
        bundle = make_bundle()
        bundle.model.unlink()
        with pytest.raises(EngineError, match=r"'model\.onnx' is missing"):
            load_bundle(bundle.folder)

    def test_no_folder_and_no_manifest(self, tmp_path: Path) -> None:
        with pytest.raises(EngineError, match="no such folder"):
            load_bundle(tmp_path / "none")
        with pytest.raises(EngineError, match=r"no bundle\.json in it.*engine import"):
            load_bundle(tmp_path)

    @pytest.mark.parametrize(
        ("values", "named"),
        [
            ({"schema": 2}, "schema"),
            ({"dim": "many"}, "dim"),
            ({"colour": "rgb"}, "colour"),
            ({"parts": []}, "parts"),
            ({"files": {"../../secret": "0" * 64}}, r"files.*secret"),
            ({"files": {"model.onnx": "abc"}}, "files"),
            ({"files": {}}, r"no checksum for the model 'model\.onnx'"),
            (
                {"input": {"height": 64, "width": 32, "color": "rgb", "scale": [1, 0, 1], "bias": [0, 0, 0]}},
                "scale must not be 0",
            ),
            ({"calibration": {"slope": float("inf"), "intercept": 0}}, "calibration"),
        ],
    )
    def test_a_wrong_manifest(self, make_bundle, values: dict, named: str) -> None:
        bundle = make_bundle()
        edit(bundle.folder, **values)
        with pytest.raises(EngineError, match=rf"bundle\.json: .*{named}"):
            load_bundle(bundle.folder)

    def test_not_json(self, make_bundle) -> None:
        bundle = make_bundle()
        (bundle.folder / "bundle.json").write_text("{")
        with pytest.raises(EngineError, match=r"bundle\.json"):
            load_bundle(bundle.folder)


class TestWriting:
    def test_nothing_is_overwritten_without_force(self, make_bundle) -> None:
        bundle = make_bundle()
        with pytest.raises(EngineError, match=r"exists already.*--force"):
            write_bundle(bundle.folder, bundle.manifest, {"model.onnx": bundle.model})
        replaced = write_bundle(
            bundle.folder, bundle.manifest.model_copy(update={"rank": 5}), {"model.onnx": bundle.model}, force=True
        )
        assert replaced.manifest.rank == 5
        assert [p.name for p in bundle.folder.parent.iterdir()] == [bundle.folder.name]

    def test_force_does_not_delete_another_folder(self, make_bundle, tmp_path: Path) -> None:
        bundle = make_bundle()
        (tmp_path / "photos").mkdir()
        (tmp_path / "photos/a.jpg").write_text("precious")
        with pytest.raises(EngineError, match="not an engine bundle"):
            write_bundle(tmp_path / "photos", bundle.manifest, {"model.onnx": bundle.model}, force=True)
        assert (tmp_path / "photos/a.jpg").read_text() == "precious"

    def test_a_failure_leaves_what_was_there(self, make_bundle, tmp_path: Path) -> None:
        bundle = make_bundle()
        with pytest.raises(EngineError, match="cannot write"):
            write_bundle(
                bundle.folder, bundle.manifest, {"model.onnx": bundle.model, "card.md": tmp_path / "none"}, force=True
            )
        assert load_bundle(bundle.folder) == bundle
        assert [p.name for p in bundle.folder.parent.iterdir()] == [bundle.folder.name]
        with pytest.raises(EngineError, match="no file for the model"):
            write_bundle(tmp_path / "new", bundle.manifest, {})


class TestOpening:
    @pytest.fixture
    def shipped(self, tmp_path: Path, make_bundle, monkeypatch: pytest.MonkeyPatch) -> Path:
        folder = tmp_path / "engines"
        make_bundle("low", where=folder, rank=1, dim=4)
        make_bundle("high", where=folder, rank=2, dim=8)
        monkeypatch.setattr(factory, "shipped_folder", lambda: folder)
        return folder

    def test_by_folder_and_by_name(self, make_bundle, shipped: Path) -> None:
        mine = make_bundle("mine", dim=5)
        assert open_embedder(EngineConfig(model=str(mine.folder))).dim == 5
        assert open_embedder(EngineConfig(model="low")).dim == 4

    def test_auto_takes_the_highest_rank_that_loads(self, shipped: Path, caplog: pytest.LogCaptureFixture) -> None:
        assert open_embedder(EngineConfig()).dim == 8
        (shipped / "high/model.onnx").write_bytes(b"damaged")
        assert open_embedder(EngineConfig()).dim == 4
        assert "high" in caplog.text
        edit(shipped / "low", outputs={"parts": "none"})
        assert isinstance(open_embedder(EngineConfig()), BlindEmbedder)
        assert "motion only" in caplog.text

    def test_none(self) -> None:
        assert isinstance(open_embedder(EngineConfig(model="none")), BlindEmbedder)

    def test_no_engine_shipped(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(factory, "shipped_folder", lambda: tmp_path / "nowhere")
        assert isinstance(open_embedder(EngineConfig()), BlindEmbedder)
        assert "motion only" in caplog.text

    def test_unknown(self, shipped: Path, tmp_path: Path) -> None:
        with pytest.raises(EngineError, match="unknown engine 'hihg'; known: high, low, auto, none, or the folder"):
            open_embedder(EngineConfig(model="hihg"))
        (tmp_path / "m.onnx").write_bytes(b"x")
        with pytest.raises(EngineError, match=r"this is a file.*engine import"):
            open_embedder(EngineConfig(model=str(tmp_path / "m.onnx")))


@pytest.mark.parametrize(
    "wanted", [{"runtime": "tensorrt"}, {"runtime": "torch"}, {"precision": "int8", "runtime": "onnxruntime"}]
)
def test_what_is_asked_for_and_does_not_run_stops_instead_of_running_without_looks(
    tmp_path: Path, make_bundle, monkeypatch: pytest.MonkeyPatch, wanted: dict[str, str]
) -> None:
    make_bundle("only", where=tmp_path / "shipped")
    monkeypatch.setattr(factory, "shipped_folder", lambda: tmp_path / "shipped")
    assert open_embedder(EngineConfig()).name == "only"
    with pytest.raises(EngineError, match=r"TensorRT plan|torch program|int8"):
        open_embedder(EngineConfig.model_validate(wanted))
