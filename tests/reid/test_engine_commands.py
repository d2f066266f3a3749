"""build-engine, engine inspect, verify and bench as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamreid.reid import load_bundle


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Pictures of six people in two cameras, with Market-1501 names."""
    folder = tmp_path / "people"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for person in range(1, 7):
        colour = rng.integers(0, 256, 3)
        for camera in (1, 2):
            noise = rng.normal(0, 20, (64, 32, 3))
            cv2.imwrite(str(folder / f"{person:04d}_c{camera}s1_0.png"), np.clip(colour + noise, 0, 255))
    return folder


def test_from_building_to_timing(call, make_bundle, people: Path, tmp_path: Path) -> None:
    source, out = make_bundle().folder, tmp_path / "out"
    code, printed, _ = call(
        "build-engine", source, "--target", "onnxruntime", "--max-batch", "4", "--out", out, "--probe", people
    )
    assert code == 0
    assert "onnxruntime/fp32, batches up to 4, found fp32" in printed
    assert "passed" in printed

    code, printed, _ = call("engine", "inspect", out)
    assert code == 0
    assert "built" in printed
    assert "mAP" in printed

    code, printed, _ = call("engine", "verify", out, "--probe", people, "--json")
    assert code == 0
    report = json.loads(printed)["onnxruntime/fp32"]
    assert report["passed"]
    assert report["batches"] == [1, 2, 3, 4, 5]
    assert report["map"][0] == pytest.approx(report["map"][1])
    assert len(report["cosine_median"]) == 3

    code, printed, _ = call("engine", "bench", out, "--batches", "1,4", "--seconds", "0.1", "--json")
    assert code == 0
    timed = {row["engine"]: row for row in json.loads(printed)["crops_per_second"]}
    assert {"onnxruntime/fp32", "openvino/fp32"} <= set(timed)
    assert all(row["1"] > 0 and row["4"] > 0 for row in timed.values())


def test_verify_refuses_below_the_thresholds_of_the_bundle(call, make_bundle, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert (
        call("build-engine", make_bundle().folder, "--target", "onnxruntime", "--max-batch", "2", "--out", out)[0] == 0
    )
    file = out / "bundle.json"
    content = json.loads(file.read_text())
    # The engine changed behind the report's back: features of other weights, all checksums right.
    content["builds"]["onnxruntime/fp32"]["thresholds"]["visibility_error"] = 0.0
    content["builds"]["onnxruntime/fp32"]["thresholds"]["rank_agreement"] = None
    file.write_text(json.dumps(content))
    from streamreid.reid import parity

    code, printed, said = call("engine", "verify", out, "--only", "openvino/fp32")
    assert (code, "passed" in printed) == (0, True)
    original = parity.compare
    try:
        parity.compare = lambda a, b: original(a, b[::-1])  # an engine that mixes rows
        code, printed, said = call("engine", "verify", out)
    finally:
        parity.compare = original
    assert code == 2
    assert "REFUSED" in printed
    assert "is refused: onnxruntime/fp32: the lowest part's median cosine" in said
    kept = load_bundle(out).manifest.builds["onnxruntime/fp32"].parity
    assert not kept.passed


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--target", "abacus"], "--target abacus: known are tensorrt, tensorrt-rtx, openvino, onnxruntime"),
        (["--target", "openvino", "--precision", "fp8"], "--precision fp8: known are fp32, fp16, bf16, int8"),
        (["--target", "openvino", "--kind", "car"], "--kind car: known are reid, detector"),
        (["--target", "onnxruntime", "--precision", "int8"], "--calibration-crops FOLDER"),
    ],
)
def test_wrong_options_are_named(call, make_bundle, tmp_path: Path, arguments: list[str], says: str) -> None:
    code, _, said = call("build-engine", make_bundle().folder, *arguments, "--out", tmp_path / "out")
    assert code == 2
    assert says in said
    assert not (tmp_path / "out").exists()


def test_what_is_no_source(call, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"x")
    for source, says in (
        (tmp_path / "m.onnx", "wrap it first: streamreid engine import"),
        (tmp_path / "none.pt", "no such checkpoint"),
        (tmp_path / "none", "no such folder"),
    ):
        code, _, said = call("build-engine", source, "--target", "onnxruntime")
        assert (code, says in said) == (2, True), said


def test_wrong_arguments_of_verify_and_bench(call, make_bundle) -> None:
    folder = make_bundle().folder
    assert "expected target/precision" in call("engine", "verify", folder, "--only", "openvino")[2]
    assert "expected whole numbers" in call("engine", "bench", folder, "--batches", "a,b")[2]
    assert "from 1" in call("engine", "bench", folder, "--batches", "0")[2]
    code, _, said = call("engine", "verify", folder, "--only", "tensorrt/fp16")
    assert code == 2
    assert "TensorRT plan" in said
