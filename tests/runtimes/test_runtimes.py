"""The same graph gives the same numbers on every runtime, for every batch, and says what is wrong with a file."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from onnx import TensorProto, helper, numpy_helper, save

from streamreid.errors import EngineError
from streamreid.runtimes import ImageInput, OpenVINORuntime, Runtime, load_runtime
from streamreid.runtimes import factory as loading_module
from streamreid.runtimes.base import split_batch

RUNTIMES = ["openvino", "onnxruntime"]
NATIVE_BF16 = "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def write(
    path: Path, nodes: list, constants: dict, outputs: dict, shape: tuple = ("n", 3, 8, 6), **properties: str
) -> Path:
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))]
    results = [helper.make_tensor_value_info(k, TensorProto.FLOAT, v) for k, v in outputs.items()]
    values = [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "g", inputs, results, values),
        opset_imports=[helper.make_opsetid("", 13)],
        ir_version=8,
    )
    if properties:
        helper.set_model_props(model, properties)
    save(model, path)
    return path


@pytest.fixture
def two_outputs(tmp_path: Path) -> Path:
    """A small convolution with two outputs; weights kept as float16 and cast, as small exports do."""
    rng = np.random.default_rng(0)
    constants = {
        "w16": rng.normal(size=(8, 3, 3, 3)).astype(np.float16),
        "m": rng.normal(size=(8, 4)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["w16"], ["w"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["x", "w"], ["c"], kernel_shape=[3, 3]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("ReduceMean", ["r"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["mean", "m"], ["feature"]),
    ]
    return write(tmp_path / "two.onnx", nodes, constants, {"mean": ["n", 8], "feature": ["n", 4]}, task="test")


def reference(path: Path, data: np.ndarray) -> list[np.ndarray]:
    from onnx.reference import ReferenceEvaluator

    return ReferenceEvaluator(str(path)).run(None, {"x": data})


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("count", [0, 1, 2, 7, 33])
def test_any_batch_gives_the_reference_s_numbers(two_outputs: Path, runtime: str, count: int) -> None:
    loaded = load_runtime(two_outputs, runtime=runtime, precision="fp32", threads=1)
    assert isinstance(loaded, Runtime)
    assert (loaded.name, loaded.precision) == (runtime, "fp32")
    assert [str(i) for i in loaded.inputs] == ["x [?, 3, 8, 6]"]
    assert [o.name for o in loaded.outputs] == ["mean", "feature"]
    assert loaded.metadata["task"] == "test"
    data = np.random.default_rng(count).normal(size=(count, 3, 8, 6)).astype(np.float32)
    got = loaded(data)
    assert [o.shape for o in got] == [(count, 8), (count, 4)]
    assert all(o.dtype == np.float32 for o in got)
    if count:
        for a, b in zip(got, reference(two_outputs, data), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_result_is_not_overwritten_by_the_next_run(two_outputs: Path, runtime: str) -> None:
    loaded = load_runtime(two_outputs, runtime=runtime, precision="fp32")
    first = loaded(np.ones((1, 3, 8, 6), np.float32))
    kept = [o.copy() for o in first]
    loaded(np.zeros((1, 3, 8, 6), np.float32))
    for a, b in zip(first, kept, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("color", ["rgb", "bgr"])
def test_pictures_become_the_graph_s_input(two_outputs: Path, runtime: str, color: str) -> None:
    image = ImageInput(color, (0.01, 0.02, 0.03), (-0.5, 0.0, 0.25))
    pictures = np.random.default_rng(1).integers(0, 256, (5, 8, 6, 3), dtype=np.uint8)
    channels = pictures[..., ::-1] if color == "rgb" else pictures
    data = (
        (channels * np.float32([0.01, 0.02, 0.03]) + np.float32([-0.5, 0.0, 0.25]))
        .transpose(0, 3, 1, 2)
        .astype(np.float32)
    )
    got = load_runtime(two_outputs, runtime=runtime, precision="fp32", image=image)(pictures)
    for a, b in zip(got, reference(two_outputs, data), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("bad", [((0.0, 1.0, 1.0), (0.0, 0.0, 0.0)), ((1.0, 1.0, 1.0), (float("nan"), 0.0, 0.0))])
def test_impossible_conversions(bad: tuple) -> None:
    with pytest.raises(ValueError, match="scale"):
        ImageInput("rgb", *bad)


BAKED = {
    # name: nodes and constants of a graph made for one picture that goes wrong with several in its own way
    "fails": (
        [helper.make_node("Reshape", ["x", "s"], ["f"]), helper.make_node("MatMul", ["f", "w"], ["y"])],
        {"s": [1, 144]},
    ),
    "loses rows": (
        [
            helper.make_node("Reshape", ["x", "s"], ["f"]),
            helper.make_node("ReduceMean", ["f"], ["m"], axes=[2], keepdims=0),
            helper.make_node("MatMul", ["m", "v"], ["y"]),
        ],
        {"s": [1, 3, -1]},
    ),
    "mixes rows": (
        [
            helper.make_node("ReduceMax", ["x"], ["a"], axes=[0], keepdims=1),
            helper.make_node("Add", ["x", "a"], ["d"]),
            helper.make_node("ReduceMean", ["d"], ["m"], axes=[2, 3], keepdims=0),
            helper.make_node("MatMul", ["m", "v"], ["y"]),
        ],
        {},
    ),
    "is right": (
        [
            helper.make_node("ReduceMean", ["x"], ["m"], axes=[2, 3], keepdims=0),
            helper.make_node("MatMul", ["m", "v"], ["y"]),
        ],
        {},
    ),
}


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("kind", list(BAKED))
def test_a_graph_made_for_one_picture_is_right_for_many(tmp_path: Path, runtime: str, kind: str) -> None:
    nodes, constants = BAKED[kind]
    rng = np.random.default_rng(0)
    weights = {"w": rng.normal(size=(144, 4)).astype(np.float32), "v": rng.normal(size=(3, 4)).astype(np.float32)}
    used = {name for node in nodes for name in node.input}
    values = {k: np.asarray(v, np.int64) for k, v in constants.items()} | {
        k: v for k, v in weights.items() if k in used
    }
    path = write(tmp_path / "one.onnx", nodes, values, {"y": [1, 4]}, shape=(1, 3, 8, 6))
    loaded = load_runtime(path, runtime=runtime, precision="fp32")
    data = rng.normal(size=(9, 3, 8, 6)).astype(np.float32)
    (together,) = loaded(data)
    expected = np.concatenate([reference(path, data[i : i + 1])[0] for i in range(9)])
    np.testing.assert_allclose(together, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_graph_made_for_four_takes_any_number(tmp_path: Path, runtime: str) -> None:
    nodes = [
        helper.make_node("Reshape", ["x", "s"], ["f"]),
        helper.make_node("ReduceMean", ["f"], ["y"], axes=[2], keepdims=0),
    ]
    path = write(tmp_path / "four.onnx", nodes, {"s": np.array([4, 3, 48])}, {"y": [4, 3]}, shape=(4, 3, 8, 6))
    loaded = load_runtime(path, runtime=runtime, precision="fp32")
    for count in (1, 4, 6, 11):
        data = np.random.default_rng(count).normal(size=(count, 3, 8, 6)).astype(np.float32)
        np.testing.assert_allclose(loaded(data)[0], data.mean(axis=(2, 3)), rtol=1e-4, atol=1e-5)


def test_openvino_ir_loads(two_outputs: Path, tmp_path: Path) -> None:
    ov.save_model(ov.Core().read_model(str(two_outputs)), str(tmp_path / "ir.xml"), compress_to_fp16=False)
    data = np.random.default_rng(0).normal(size=(5, 3, 8, 6)).astype(np.float32)
    loaded = load_runtime(tmp_path / "ir.xml", precision="fp32")
    for a, b in zip(loaded(data), reference(two_outputs, data), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    with pytest.raises(EngineError, match="ONNX Runtime cannot read OpenVINO IR"):
        load_runtime(tmp_path / "ir.xml", runtime="onnxruntime")
    (tmp_path / "ir.bin").unlink()
    with pytest.raises(EngineError, match=r"ir\.bin"):
        load_runtime(tmp_path / "ir.xml")


def test_half_precision_is_close_where_the_cpu_has_it(two_outputs: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = np.random.default_rng(0).normal(size=(16, 3, 8, 6)).astype(np.float32)
    exact = load_runtime(two_outputs, runtime="openvino", precision="fp32")(data)[1]
    assert load_runtime(two_outputs, runtime="openvino").precision == ("bf16" if NATIVE_BF16 else "fp32")
    with caplog.at_level(logging.WARNING, "streamreid"):
        half = load_runtime(two_outputs, runtime="openvino", precision="bf16")(data)[1]
    assert bool(caplog.records) != NATIVE_BF16
    cosine = (exact * half).sum(axis=1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(half, axis=1)
    assert cosine.min() > 0.999


def test_onnx_runtime_says_that_it_has_no_bf16(two_outputs: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "streamreid"):
        loaded = load_runtime(two_outputs, runtime="onnxruntime", precision="bf16")
    assert loaded.precision == "fp32"
    assert "no bf16" in caplog.text


class TestAuto:
    def test_openvino_first(self, two_outputs: Path) -> None:
        assert load_runtime(two_outputs).name == "openvino"

    def test_onnx_runtime_where_openvino_is_not_installed(
        self, two_outputs: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        real = importlib.util.find_spec
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name, *a: None if name == "openvino" else real(name, *a)
        )
        with caplog.at_level(logging.INFO, "streamreid"):
            assert load_runtime(two_outputs).name == "onnxruntime"
        assert "OpenVINO is not installed" in caplog.text
        with pytest.raises(EngineError, match="pip install openvino"):
            load_runtime(two_outputs, runtime="openvino")

    def test_onnx_runtime_where_openvino_cannot_load(
        self, two_outputs: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise EngineError("unsupported operation")

        monkeypatch.setattr(loading_module, "OpenVINORuntime", fail)
        with caplog.at_level(logging.INFO, "streamreid"):
            assert load_runtime(two_outputs).name == "onnxruntime"
        assert "unsupported operation" in caplog.text
        with pytest.raises(EngineError, match="unsupported operation"):
            load_runtime(two_outputs, runtime="openvino")


class TestBadInput:
    @pytest.mark.parametrize("runtime", ["auto", *RUNTIMES])
    def test_files(self, tmp_path: Path, runtime: str) -> None:
        with pytest.raises(EngineError, match="no such file"):
            load_runtime(tmp_path / "none.onnx", runtime=runtime)
        (tmp_path / "bad.onnx").write_bytes(b"not a graph at all")
        with pytest.raises(EngineError, match=r"bad\.onnx.*cannot"):
            load_runtime(tmp_path / "bad.onnx", runtime=runtime)
        (tmp_path / "model.txt").write_text("x")
        with pytest.raises(EngineError, match=r"expected an \.onnx file"):
            load_runtime(tmp_path / "model.txt", runtime=runtime)

    def test_names(self, two_outputs: Path) -> None:
        with pytest.raises(EngineError, match=r"unknown runtime 'tpu'; known: auto"):
            load_runtime(two_outputs, runtime="tpu")
        with pytest.raises(EngineError, match="unknown precision 'int4'"):
            load_runtime(two_outputs, precision="int4")

    @pytest.mark.parametrize("runtime", RUNTIMES)
    def test_shapes(self, two_outputs: Path, runtime: str) -> None:
        loaded = load_runtime(two_outputs, runtime=runtime)
        with pytest.raises(EngineError, match=r"two\.onnx.*\[., 5, 8, 6\]"):
            loaded(np.zeros((2, 5, 8, 6), np.float32))

    @pytest.mark.parametrize("runtime", RUNTIMES)
    def test_two_inputs(self, tmp_path: Path, runtime: str) -> None:
        infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", 3]) for n in ("a", "b", "y")]
        graph = helper.make_graph([helper.make_node("Add", ["a", "b"], ["y"])], "g", infos[:2], infos[2:])
        save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), tmp_path / "m.onnx")
        with pytest.raises(EngineError, match="expected one input"):
            load_runtime(tmp_path / "m.onnx", runtime=runtime)

    def test_pictures_into_a_graph_that_takes_none(self, tmp_path: Path) -> None:
        nodes = [helper.make_node("Relu", ["x"], ["y"])]
        path = write(tmp_path / "flat.onnx", nodes, {}, {"y": ["n", 3]}, shape=("n", 3))
        with pytest.raises(EngineError, match="expected pictures"):
            load_runtime(path, runtime="openvino", image=ImageInput())


def test_many_shapes_are_forgotten_and_still_right(tmp_path: Path) -> None:
    nodes = [helper.make_node("ReduceMean", ["x"], ["y"], axes=[2, 3], keepdims=0)]
    path = write(tmp_path / "any.onnx", nodes, {}, {"y": ["n", 3]}, shape=("n", 3, "h", "w"))
    loaded = load_runtime(path, runtime="openvino", precision="fp32")
    rng = np.random.default_rng(0)
    for side in [*range(4, 20), 4, 5, 6]:
        data = rng.normal(size=(2, 3, side, side + 1)).astype(np.float32)
        np.testing.assert_allclose(loaded(data)[0], data.mean(axis=(2, 3)), rtol=1e-4, atol=1e-5)


def test_pieces_cover_every_row_once() -> None:
    for count in range(40):
        rows = [i for piece in split_batch(count, (16, 4, 1)) for i in range(piece.start, piece.stop)]
        assert rows == list(range(count))
    assert len(list(split_batch(33, (16, 4, 1)))) == 3


@pytest.mark.parametrize(("count", "groups"), [(1, [1]), (7, [6, 1]), (8, [2]), (23, [4, 6, 1]), (32, [8])])
def test_a_core_waits_for_the_other_only_where_the_size_of_pieces_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, groups: list[int]
) -> None:
    nodes = [helper.make_node("ReduceMean", ["x"], ["y"], axes=[2, 3], keepdims=0)]
    path = write(tmp_path / "any.onnx", nodes, {}, {"y": ["n", 3]}, shape=("n", 3, 8, 8))
    loaded, met = OpenVINORuntime(path, precision="fp32", threads=2), []
    infer_many = loaded._infer_many
    monkeypatch.setattr(loaded, "_infer_many", lambda pieces: met.append(len(pieces)) or infer_many(pieces))
    data = np.random.default_rng(0).normal(size=(count, 3, 8, 8)).astype(np.float32)
    np.testing.assert_allclose(loaded(data)[0], data.mean(axis=(2, 3)), rtol=1e-4, atol=1e-5)
    assert met == groups


def test_a_real_ir_with_a_baked_batch(shared: Path) -> None:
    """Retail-0277 has Reshape operations made for one picture; eight at once must equal one by one."""
    loaded = load_runtime(shared / "data/weights/person-reidentification-retail-0277.xml", precision="fp32")
    data = np.random.default_rng(0).uniform(0, 255, (8, 3, 256, 128)).astype(np.float32)
    (together,) = loaded(data)
    alone = np.concatenate([loaded(data[i : i + 1])[0] for i in range(8)])
    np.testing.assert_allclose(together, alone, atol=1e-4)
