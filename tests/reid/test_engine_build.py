"""Building adds a proven form to a bundle, or nothing at all."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from streamreid.compiling import build as build_module
from streamreid.compiling.build import BuildOptions
from streamreid.compiling.records import PrecisionFound
from streamreid.compiling.tensorrt_builder import Plan
from streamreid.config import EngineConfig
from streamreid.errors import DataError, EngineError
from streamreid.reid import engine_build, load_bundle
from streamreid.reid.embedder import EngineEmbedder
from streamreid.reid.engine_build import BuildRequest, build_engine, save_reports, verify_build
from streamreid.reid.probe_set import generated_probe


@pytest.fixture
def crops(tmp_path):
    folder = tmp_path / "crops"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(24):
        noise = rng.integers(0, 256, (4, 2, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), cv2.resize(noise, (32, 64)))
    return folder


@pytest.mark.parametrize("target", ["onnxruntime", "openvino"])
def test_a_form_of_full_precision_is_the_reference(make_bundle, tmp_path, target):
    source = make_bundle()
    bundle, record = build_engine(source, tmp_path / "out", BuildRequest(BuildOptions(target, "fp32", 4)))
    assert load_bundle(tmp_path / "out") == bundle
    assert (record.key, record.graph, record.plan, record.max_batch) == (f"{target}/fp32", "model.onnx", None, 4)
    assert record.weights == source.manifest.files["model.onnx"]
    assert record.fingerprint.library == target
    assert record.fingerprint.library_version
    assert record.parity.passed
    assert record.parity.batches == (1, 2, 3, 4, 5)
    assert bundle.fingerprint == source.fingerprint
    assert EngineEmbedder(bundle, EngineConfig(precision="fp32")).fingerprint == source.fingerprint


def test_forms_add_up_and_the_newest_is_the_last(make_bundle, tmp_path):
    first, _ = build_engine(make_bundle(), tmp_path / "out", BuildRequest(BuildOptions("onnxruntime", "fp32", 4)))
    second, _ = build_engine(first, tmp_path / "out", BuildRequest(BuildOptions("openvino", "fp32", 4)), force=True)
    assert list(second.manifest.builds) == ["onnxruntime/fp32", "openvino/fp32"]
    with pytest.raises(EngineError, match=r"exists already.*--force"):
        build_engine(second, tmp_path / "out", BuildRequest(BuildOptions("onnxruntime", "fp32", 8)))
    third, _ = build_engine(second, tmp_path / "out", BuildRequest(BuildOptions("onnxruntime", "fp32", 8)), force=True)
    assert list(third.manifest.builds) == ["openvino/fp32", "onnxruntime/fp32"]
    assert third.manifest.builds["onnxruntime/fp32"].max_batch == 8


def test_a_precision_that_the_runtime_does_not_have_is_refused(make_bundle, tmp_path):
    with pytest.raises(EngineError, match=r"onnxruntime.*(fp32|bf16)"):
        build_engine(make_bundle(), tmp_path / "out", BuildRequest(BuildOptions("onnxruntime", "bf16", 4)))
    assert not (tmp_path / "out").exists()


def test_a_plan_in_another_precision_than_asked_for_is_refused(make_bundle, tmp_path, monkeypatch):
    """What "FP16" builds once were: fp32, and exit code 0."""
    monkeypatch.setattr(build_module, "fingerprint", lambda target: engine_build.fingerprint("onnxruntime"))
    full = Plan(b"plan", PrecisionFound(precision="fp32", counts={"fp32": 90}, source="plan"))
    monkeypatch.setattr(build_module, "build_plan", lambda *a: full)
    with pytest.raises(
        EngineError,
        match=r"fp16 was asked for, but the plan computes in fp32 \(90 tensors in fp32\); nothing was written",
    ):
        build_engine(make_bundle(), tmp_path / "out", BuildRequest(BuildOptions("tensorrt-rtx", "fp16", 4)))
    assert not (tmp_path / "out").exists()


def test_an_engine_below_its_thresholds_is_refused_or_marked(make_bundle, tmp_path, crops):
    for number, picture in enumerate(sorted(crops.iterdir())):
        picture.rename(picture.with_name(f"{number // 2 + 1:04d}_c{number % 2 + 1}s1_{number}.png"))
    source, scores = make_bundle(), iter([(0.9, 0.9), (0.9, 0.7)] * 2)
    request = BuildRequest(BuildOptions("onnxruntime", "fp32", 4), probe=crops, score=lambda s, p: next(scores))
    with pytest.raises(
        EngineError,
        match=(
            r"onnxruntime/fp32 is too far from its reference on 24 of 24 .*mAP falls from 0\.9000 to "
            r"0\.7000.*--keep-failed"
        ),
    ):
        build_engine(source, tmp_path / "out", request)
    assert not (tmp_path / "out").exists()
    bundle, record = build_engine(source, tmp_path / "out", replace(request, keep_failed=True))
    assert not record.parity.passed
    assert bundle.compiled.graphs().verified == {"onnxruntime/fp32": False}


class TestInt8:
    def test_needs_real_crops(self, make_bundle, tmp_path, crops):
        source = make_bundle()
        with pytest.raises(EngineError, match="--calibration-crops"):
            build_engine(source, tmp_path / "out", BuildRequest(BuildOptions("onnxruntime", "int8", 4)))
        with pytest.raises(DataError, match="no such folder"):
            build_engine(
                source, tmp_path / "out", BuildRequest(BuildOptions("onnxruntime", "int8", 4), tmp_path / "none")
            )
        for picture in sorted(crops.iterdir())[10:]:
            picture.unlink()
        with pytest.raises(EngineError, match="at least 16 pictures"):
            build_engine(source, tmp_path / "out", BuildRequest(BuildOptions("onnxruntime", "int8", 4), crops))


def test_reports_are_kept_where_the_bundle_may_be_written(make_bundle, tmp_path, caplog, monkeypatch):
    bundle, record = build_engine(make_bundle(), tmp_path / "out", BuildRequest(BuildOptions("onnxruntime", "fp32", 4)))
    report = verify_build(bundle, "onnxruntime/fp32", generated_probe((64, 32), 5))
    assert report.passed
    assert report.count == 5
    failing = report.model_copy(update={"failures": ("too far",)})
    assert save_reports(bundle, {record.key: failing})
    kept = load_bundle(bundle.folder)
    assert kept.manifest.builds[record.key].parity == failing

    def denied(*_):
        raise EngineError("read-only")

    monkeypatch.setattr(engine_build, "save_manifest", denied)
    assert not save_reports(kept, {record.key: report})
    assert "the report was not kept: read-only" in caplog.text
