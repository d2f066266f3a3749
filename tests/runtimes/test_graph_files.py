"""Weights beside a graph are part of it: they are copied, hashed and missed; inputs of other types and axes give the
same numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import openvino as ov
import pytest
from onnx import TensorProto, helper, numpy_helper

from streamreid.compiling.bundle_folder import bundled_files
from streamreid.errors import EngineError
from streamreid.runtimes import (
    ImageInput,
    PictureAxes,
    TensorInfo,
    external_data,
    graph_files,
    graph_sha256,
    load_runtime,
    output_sources,
)
from streamreid.weights import sha256_file

RUNTIMES = ["openvino", "onnxruntime"]
BYTES = ImageInput("rgb", scale=(1.0, 1.0, 1.0))


def write(
    path: Path, *, kind: int = TensorProto.FLOAT, last: bool = False, beside: str = "", batch: int | str = "n"
) -> Path:
    """Mean colour times fixed weights, with the division by 255 inside; optionally uint8 or float16, [N, H, W, 3],
    weights in a file of their own."""
    rng = np.random.default_rng(3)
    weights = {
        "w": rng.normal(size=(3, 40)).astype(np.float32),
        "unit": np.float32(1 / 255),
        "head": rng.normal(size=(40, 5)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["x"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["real"], ["first"], perm=[0, 3, 1, 2] if last else [0, 1, 2, 3]),
        helper.make_node("ReduceMean", ["first"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "unit"], ["scaled"]),
        helper.make_node("MatMul", ["scaled", "w"], ["feature"]),
        helper.make_node("MatMul", ["feature", "head"], ["logits"]),
    ]
    shape = [batch, 8, 6, 3] if last else [batch, 3, 8, 6]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kind, shape)],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, size])
            for name, size in (("logits", 5), ("feature", 40))
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path, save_as_external_data=bool(beside), location=beside or None, size_threshold=64)
    return path


def test_weights_beside_the_graph_are_named_and_hashed(tmp_path: Path) -> None:
    graph = write(tmp_path / "m.onnx", beside="m.onnx.data")
    assert external_data(graph) == ("m.onnx.data",)
    assert graph_files(graph) == {"m.onnx": graph, "m.onnx.data": tmp_path / "m.onnx.data"}
    first = graph_sha256(graph)
    graph.rename(tmp_path / "renamed.onnx")
    assert graph_sha256(tmp_path / "renamed.onnx") == first
    data = bytearray((tmp_path / "m.onnx.data").read_bytes())
    data[5] ^= 1
    (tmp_path / "m.onnx.data").write_bytes(data)
    assert graph_sha256(tmp_path / "renamed.onnx") != first
    (tmp_path / "m.onnx.data").unlink()
    with pytest.raises(EngineError, match=r"renamed\.onnx.*'m\.onnx\.data', which is missing.*copy it"):
        graph_sha256(tmp_path / "renamed.onnx")


def test_a_graph_in_one_file_keeps_its_old_hash(tmp_path: Path) -> None:
    graph = write(tmp_path / "m.onnx")
    assert external_data(graph) == ()
    assert graph_sha256(graph) == sha256_file(graph)


def test_an_ir_has_weights_too(tmp_path: Path) -> None:
    ov.save_model(
        ov.Core().read_model(str(write(tmp_path / "m.onnx"))), str(tmp_path / "m.xml"), compress_to_fp16=False
    )
    assert list(graph_files(tmp_path / "m.xml")) == ["m.xml", "m.bin"]
    first = graph_sha256(tmp_path / "m.xml")
    (tmp_path / "m.bin").write_bytes((tmp_path / "m.bin").read_bytes()[::-1])
    assert graph_sha256(tmp_path / "m.xml") != first
    assert list(bundled_files(tmp_path / "m.xml")) == ["model.xml", "model.bin"]


@pytest.mark.parametrize(
    "content", [b"", b"no graph", b"\x3a\xff\xff\xff\xff\x0f", b"\x08" + b"\xff" * 30, bytes(range(256)) * 9]
)
def test_what_is_no_graph_has_no_weights(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.onnx").write_bytes(content)
    assert external_data(tmp_path / "x.onnx") == ()
    assert output_sources(tmp_path / "x.onnx") == {}


@pytest.mark.parametrize("name", ["../other.data", "/etc/other.data"])
def test_weights_outside_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    graph = write(tmp_path / "m.onnx", beside="m.data")
    model = onnx.load(str(graph), load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = name
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(EngineError, match="outside its folder"):
        graph_files(graph)


def test_bundles_take_all_files(tmp_path: Path) -> None:
    assert bundled_files(write(tmp_path / "a.onnx")) == {"model.onnx": tmp_path / "a.onnx"}
    assert bundled_files(write(tmp_path / "b.onnx", beside="b.onnx.data")) == {
        "model.onnx": tmp_path / "b.onnx",
        "b.onnx.data": tmp_path / "b.onnx.data",
    }
    with pytest.raises(EngineError, match="'odd name', a name that a bundle cannot hold"):
        bundled_files(write(tmp_path / "c.onnx", beside="odd name"))


def test_which_output_comes_from_which(tmp_path: Path) -> None:
    assert output_sources(write(tmp_path / "m.onnx")) == {"logits": {"feature"}, "feature": set()}


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(
    ("kind", "last", "batch"),
    [
        (TensorProto.FLOAT, True, "n"),
        (TensorProto.FLOAT16, False, "n"),
        (TensorProto.FLOAT16, True, 3),
        (TensorProto.UINT8, False, 1),
        (TensorProto.UINT8, True, "n"),
    ],
)
def test_inputs_of_any_type_and_axes_give_the_same(
    tmp_path: Path, runtime: str, kind: int, last: bool, batch: int | str
) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (5, 8, 6, 3), dtype=np.uint8)
    wanted = load_runtime(write(tmp_path / "plain.onnx"), runtime="onnxruntime", image=BYTES)(pictures)
    loaded = load_runtime(
        write(tmp_path / "m.onnx", kind=kind, last=last, batch=batch), runtime=runtime, precision="fp32", image=BYTES
    )
    assert PictureAxes.of(loaded.inputs[0]) == PictureAxes(8, 6, last)
    for a, b in zip(loaded(pictures), wanted, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-3)
    plain = load_runtime(tmp_path / "m.onnx", runtime=runtime, precision="fp32")
    rgb = pictures[..., ::-1] if last else pictures[..., ::-1].transpose(0, 3, 1, 2)
    np.testing.assert_allclose(plain(rgb)[1], wanted[1], atol=2e-3)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_graph_of_bytes_cannot_take_fractions(tmp_path: Path, runtime: str) -> None:
    """Fractions from 0 to 1 would all become 0: a detector that finds nobody."""
    graph = write(tmp_path / "m.onnx", kind=TensorProto.UINT8)
    with pytest.raises(EngineError, match="takes whole pixels from 0 to 255"):
        load_runtime(graph, runtime=runtime, image=ImageInput())


@pytest.mark.parametrize("runtime", [*RUNTIMES, "auto"])
def test_missing_weights_are_named(tmp_path: Path, runtime: str) -> None:
    graph = write(tmp_path / "m.onnx", beside="m.onnx.data")
    (tmp_path / "m.onnx.data").unlink()
    with pytest.raises(EngineError, match=r"m\.onnx.*'m\.onnx\.data', which is missing"):
        load_runtime(graph, runtime=runtime)


def test_picture_axes() -> None:
    assert PictureAxes.of(TensorInfo("x", (None, None, None, None))) == PictureAxes(None, None)
    assert PictureAxes.of(TensorInfo("x", (1, None, None, 3))) == PictureAxes(None, None, True)
    assert PictureAxes.of(TensorInfo("x", (1, 3, 4, 3))) == PictureAxes(4, 3)
    assert PictureAxes.of(TensorInfo("x", (1, 1, 4, 4))) is None
    assert PictureAxes.of(TensorInfo("x", (1, 3, 4))) is None
