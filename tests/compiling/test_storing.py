"""Small files: float16 and int8 weights with the nodes that unfold them, and the same results."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from streamreid.compiling.mixed_precision import unfold_weights
from streamreid.compiling.weight_storage import small_graph
from streamreid.runtimes import load_runtime


def graph(huge: float = 1.0) -> onnx.ModelProto:
    """A convolution, a batched matrix product with a large weight, a quantised value with many scales, and small
    things."""
    rng = np.random.default_rng(0)
    values = {
        "conv": (0.05 * rng.normal(size=(512, 512, 1, 1))).astype(np.float32),
        "product": (0.1 * rng.normal(size=(2, 512, 256)) * rng.uniform(0.01, 1, 256)).astype(np.float32),
        "wide": np.full(2048, huge, np.float32),
        "scales": np.full(2048, 0.1, np.float32),
        "zeros": np.zeros(2048, np.int8),
        "steps": rng.integers(-100, 100, 2048).astype(np.int8),
        "shape": np.array([-1, 1, 1, 512]),
        "last": np.array([3]),
        "small": np.ones(3, np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "conv"], ["c"], name="c", doc_string="written by an exporter"),
        helper.make_node("Reshape", ["c", "shape"], ["r"]),
        helper.make_node("MatMul", ["r", "product"], ["y"]),
        helper.make_node("DequantizeLinear", ["steps", "scales", "zeros"], ["d"], axis=0),
        helper.make_node("Mul", ["d", "wide"], ["row"]),
        helper.make_node("ReduceMean", ["r", "last"], ["mean"], keepdims=1),
        helper.make_node("Mul", ["mean", "row"], ["z"]),
    ]
    return helper.make_model(
        helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 512, 1, 1])],
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
                for name, shape in (("y", ["n", 2, 1, 256]), ("z", ["n", 1, 1, 2048]))
            ],
            [numpy_helper.from_array(v, k) for k, v in values.items()],
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
    )


def kinds(model: onnx.ModelProto) -> dict[str, int]:
    return {t.name: t.data_type for t in model.graph.initializer}


def test_what_is_stored_how():
    before = graph()
    small = small_graph(before)
    onnx.checker.check_model(small, full_check=True)
    found = kinds(small)
    assert found["conv_half"] == TensorProto.FLOAT16  # large, but runtimes look for patterns of int8 there
    assert (found["product_int8"], found["product_scale_half"]) == (TensorProto.INT8, TensorProto.FLOAT16)
    assert found["wide_half"] == TensorProto.FLOAT16
    assert found["scales"] == found["small"] == TensorProto.FLOAT
    assert found["shape"] == TensorProto.INT64
    assert not {"conv", "product", "wide"} & set(found)
    assert "written by an exporter" not in str(small)
    assert kinds(before)["product"] == TensorProto.FLOAT  # the original is as it was
    assert small.ByteSize() < 0.45 * before.ByteSize()


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("batch", [1, 2, 3, 17, 33])
def test_the_results_stay(runtime, batch, tmp_path: Path):
    before = graph()
    paths = [tmp_path / "before.onnx", tmp_path / "after.onnx"]
    for path, model in zip(paths, (before, small_graph(before)), strict=True):
        onnx.save(model, str(path))
    data = np.random.default_rng(batch).normal(size=(batch, 512, 1, 1)).astype(np.float32)
    wanted, found = (load_runtime(path, runtime=runtime, precision="fp32")(data) for path in paths)
    weight = next(numpy_helper.to_array(t) for t in before.graph.initializer if t.name == "product")
    columns = weight.std(axis=1)[:, None]  # small columns have small scales of their own
    size = np.sqrt(np.mean((wanted[0] / columns) ** 2))
    assert np.abs((found[0] - wanted[0]) / columns).max() < 0.05 * size
    np.testing.assert_allclose(found[1], wanted[1], atol=5e-3)


def test_values_beyond_float16_stay():
    assert kinds(small_graph(graph(huge=1e5)))["wide"] == TensorProto.FLOAT


def test_halves_unfold_again():
    unfolded = {t.name: numpy_helper.to_array(t) for t in unfold_weights(small_graph(graph())).graph.initializer}
    conv = next(numpy_helper.to_array(t) for t in graph().graph.initializer if t.name == "conv")
    np.testing.assert_array_equal(unfolded["conv"], conv.astype(np.float16).astype(np.float32))


def test_openvino_unfolds_when_it_loads_and_not_while_it_runs(tmp_path: Path):
    """Unfolding int8 weights while it runs, it was wrong after every few loads for several streams: see
    ``_as_int8``."""
    import openvino as ov

    path = tmp_path / "small.onnx"
    onnx.save(small_graph(graph()), str(path))
    core = ov.Core()
    model = core.read_model(str(path))
    model.reshape([2, 512, 1, 1])
    compiled = core.compile_model(model, "CPU", {"NUM_STREAMS": 2})
    constants = [
        op for op in compiled.get_runtime_model().get_ops() if op.get_rt_info()["layerType"].astype(str) == "Const"
    ]
    assert len(constants) > 2
    assert all(
        op.get_rt_info()["outputPrecisions"].astype(str) not in ("i8", "u8")
        for op in constants
        if "product" in op.friendly_name
    )
