"""YOLOX graphs of one input size, opened at any."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from streamreid.config import DetectorConfig
from streamreid.detection import OnnxDetector
from streamreid.detection.dynamic_yolox import dynamic_yolox, dynamic_yolox_file
from streamreid.types import Frame


def yolox(size: int = 96, classes: int = 3, shapes: int = 3, *, decoded: bool = False) -> bytes:
    """A graph with a YOLOX head as its exporter writes it: per stride a convolution, flattened by a constant shape."""
    rng = np.random.default_rng(0)
    channels = 5 + classes
    nodes, weights, flat = [], [], []
    for number, stride in enumerate((8, 16, 32)[:shapes]):
        most = 1 / (3 * 255 * stride**2)  # so that a white picture gives scores of 1 at most
        kernel = rng.uniform(0, most, (channels, 3, stride, stride)).astype(np.float32)
        weights.append(numpy_helper.from_array(kernel, f"w{number}"))
        weights.append(numpy_helper.from_array(np.array([1, channels, -1], np.int64), f"shape{number}"))
        nodes.append(helper.make_node("Conv", ["images", f"w{number}"], [f"c{number}"], strides=[stride, stride]))
        nodes.append(helper.make_node("Reshape", [f"c{number}", f"shape{number}"], [f"f{number}"]))
        flat.append(f"f{number}")
    nodes.append(helper.make_node("Concat", flat, ["all"], axis=2))
    nodes.append(helper.make_node("Transpose", ["all"], ["raw" if decoded else "output"], perm=[0, 2, 1]))
    cells = sum((size // s) ** 2 for s in (8, 16, 32)[:shapes])
    if decoded:
        weights.append(numpy_helper.from_array(np.ones((1, cells, 1), np.float32), "strides"))
        nodes.append(helper.make_node("Mul", ["raw", "strides"], ["output"]))
    inner = helper.make_tensor_value_info("all", TensorProto.FLOAT, [1, channels, cells])
    graph = helper.make_graph(
        nodes,
        "yolox",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, size, size])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, cells, channels])],
        weights,
        value_info=[inner],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return bytes(model.SerializeToString())


def test_any_size_and_batch_with_the_same_results() -> None:
    fixed = yolox()
    changed = dynamic_yolox(fixed)
    assert changed is not None
    model, size = changed
    assert size == (96, 96)
    onnx.checker.check_model(onnx.load_from_string(model), full_check=True)
    session = onnxruntime.InferenceSession(model)
    picture = np.random.default_rng(1).random((1, 3, 96, 96), np.float32)
    wanted = onnxruntime.InferenceSession(fixed).run(None, {"images": picture})[0]
    assert np.array_equal(session.run(None, {"images": picture})[0], wanted)
    (wide,) = session.run(None, {"images": np.zeros((2, 3, 64, 160), np.float32)})
    assert wide.shape == (2, 8 * 20 + 4 * 10 + 2 * 5, 8)


@pytest.mark.parametrize("shapes", [1, 2])
def test_other_graphs_stay_as_they_are(shapes: int) -> None:
    assert dynamic_yolox(yolox(shapes=shapes)) is None
    changed = dynamic_yolox(yolox())
    assert changed is not None
    assert dynamic_yolox(changed[0]) is None  # it takes any size already
    assert dynamic_yolox(yolox(decoded=True)) is None  # the grids in it are of the one size
    assert dynamic_yolox(b"no graph at all") is None
    assert dynamic_yolox(yolox()[:-100]) is None


def test_what_is_in_the_cache_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMREID_CACHE", str(tmp_path / "cache"))
    source = tmp_path / "x.onnx"
    source.write_bytes(yolox())
    first = dynamic_yolox_file(source)
    assert first is not None
    right = first[0].read_bytes()
    first[0].write_bytes(b"changed")
    second = dynamic_yolox_file(source)
    assert second is not None
    assert second[0].read_bytes() == right
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("STREAMREID_CACHE", str(tmp_path / "file"))  # a folder that cannot be made
    third = dynamic_yolox_file(source)
    assert third is not None
    assert third[0].read_bytes() == right


def test_two_files_of_one_name_do_not_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMREID_CACHE", str(tmp_path / "cache"))
    found = []
    for number, size in enumerate((96, 128)):
        source = tmp_path / str(number) / "yolox.onnx"
        source.parent.mkdir()
        source.write_bytes(yolox(size, classes=number + 1))
        found.append(dynamic_yolox_file(source))
    assert found[0] is not None
    assert found[1] is not None
    assert found[0][0] != found[1][0]
    assert found[0][0].is_file()


def test_a_fixed_export_runs_in_rectangles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMREID_CACHE", str(tmp_path / "cache"))
    source = tmp_path / "mine.onnx"
    source.write_bytes(yolox())
    wide = Frame("a", 0, 0.0, np.zeros((90, 320, 3), np.uint8))
    settings = {"model": str(source), "head": "yolox", "color": "bgr", "pixels": "byte"}
    rows = {
        size: len(OnnxDetector(source, DetectorConfig.model_validate({**settings, "size": size})).raw([wide])[0])
        for size in ("auto", 320)
    }
    assert rows == {"auto": 12 * 4 + 6 * 2 + 3, 320: 40 * 12 + 20 * 6 + 10 * 3}
