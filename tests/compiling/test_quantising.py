"""int8 in the graph: layers are quantised, what decides about visibilities is not, and every size of batch gives the
same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from streamreid.compiling.build import graph_precision
from streamreid.compiling.mixed_precision import half_graph
from streamreid.compiling.quantization import quantised_graph
from streamreid.errors import EngineError
from streamreid.runtimes import ImageInput, load_runtime

ENGINE = Path(__file__).resolve().parents[2] / "engines" / "pab-osnet-small" / "model.onnx"


def tower(layers: int = 7) -> onnx.ModelProto:
    """Convolutions, softmax over parts, and visibilities as sums over positions."""
    rng = np.random.default_rng(0)
    constants = {
        f"w{i}": (0.3 * rng.normal(size=(8, 3 if i == 0 else 8, 3, 3))).astype(np.float32) for i in range(layers)
    }
    constants |= {"flat": np.array([0, 8, -1]), "last": np.array([2])}
    nodes, value = [], "images"
    for i in range(layers):
        nodes += [
            helper.make_node("Conv", [value, f"w{i}"], [f"c{i}"], name=f"conv{i}", pads=[1] * 4),
            helper.make_node("Relu", [f"c{i}"], [f"r{i}"], name=f"relu{i}"),
        ]
        value = f"r{i}"
    nodes += [
        helper.make_node("Softmax", [value], ["s"], name="softmax", axis=1),
        helper.make_node("Reshape", ["s", "flat"], ["v"], name="flatten"),
        helper.make_node("ReduceMean", ["v", "last"], ["visibility"], name="mean", keepdims=0),
        helper.make_node("ReduceSum", ["v", "last"], ["parts"], name="sum", keepdims=1),
    ]
    outputs = [
        helper.make_tensor_value_info("parts", TensorProto.FLOAT, ["n", 8, 1]),
        helper.make_tensor_value_info("visibility", TensorProto.FLOAT, ["n", 8]),
    ]
    return helper.make_model(
        helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, 16, 8])],
            outputs,
            [numpy_helper.from_array(v, k) for k, v in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=9,
    )


def graded(model: onnx.ModelProto) -> onnx.ModelProto:
    """With scores of four sides computed from the softmax over parts."""
    values = {
        "one": np.array([0, 128]),
        "w": np.random.default_rng(2).normal(size=(128, 4)).astype(np.float32),
        "first": np.array([0]),
        "second": np.array([1]),
    }
    model.graph.initializer.extend(numpy_helper.from_array(v, f"g_{k}") for k, v in values.items())
    nodes = [
        helper.make_node("Slice", ["s", "g_first", "g_second", "g_second"], ["g_map"], name="pick"),
        helper.make_node("Reshape", ["g_map", "g_one"], ["g_flat"], name="row"),
        helper.make_node("Gemm", ["g_flat", "g_w"], ["g_logits"], name="grade"),
        helper.make_node("Softmax", ["g_logits"], ["occlusion"], name="scores", axis=1),
    ]
    model.graph.node.extend(nodes)
    model.graph.output.append(helper.make_tensor_value_info("occlusion", TensorProto.FLOAT, ["n", 4]))
    return model


@pytest.fixture(scope="module")
def inputs() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(24, 3, 16, 8)).astype(np.float32)


def run(model: onnx.ModelProto, data: np.ndarray, path: Path, runtime: str) -> list[np.ndarray]:
    onnx.save(model, str(path))
    return load_runtime(path, runtime=runtime, precision="fp32")(data)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("change", [lambda model: model, graded], ids=["plain", "graded"])
def test_early_layers_are_int8_and_the_last_before_the_softmax_are_not(inputs, symmetric, change, tmp_path):
    model = quantised_graph(change(tower()), inputs, symmetric=symmetric)
    onnx.checker.check_model(model)
    makers = {o: n for n in model.graph.node for o in n.output}
    quantised = {
        n.name for n in model.graph.node if n.op_type == "Conv" and makers[n.input[0]].op_type == "DequantizeLinear"
    }
    assert quantised == {"conv0", "conv1", "conv2"}
    assert not {"ReduceMean", "ReduceSum"} & {n.op_type for n in model.graph.node}  # written as products
    found = graph_precision(model, "int8")
    assert found.counts["int8"] == 3
    kinds = {t.data_type for t in model.graph.initializer if "zero_point" in t.name}
    assert (TensorProto.UINT8 in kinds) is not symmetric
    wanted, got = (
        run(change(tower()), inputs, tmp_path / "a.onnx", "onnxruntime"),
        run(model, inputs, tmp_path / "b.onnx", "onnxruntime"),
    )
    for w, g in zip(wanted[:2], got[:2], strict=True):
        assert w.shape == g.shape
        np.testing.assert_allclose(g, w, atol=0.05 * np.abs(w).max())


@pytest.mark.parametrize(("layers", "expected"), [(7, "int8"), (5, "fp32")])
def test_a_graph_that_stayed_as_it_was_is_not_called_int8(layers, expected, inputs):
    assert graph_precision(quantised_graph(tower(layers), inputs, symmetric=False), "int8").precision == expected


def test_what_is_not_quantised_can_be_half(inputs):
    model = half_graph(quantised_graph(tower(), inputs, symmetric=True), "fp16")
    onnx.checker.check_model(model, full_check=True)
    scales = [t for t in model.graph.initializer if t.name.endswith("scale__fp16")]
    assert scales
    assert all((numpy_helper.to_array(t) > 0).all() for t in scales)  # none vanished in float16


def test_bad_inputs(inputs):
    with pytest.raises(EngineError, match=r"at least 16 pictures.*got 3"):
        quantised_graph(tower(), inputs[:3], symmetric=False)
    with pytest.raises(EngineError, match="cannot be quantised"):
        quantised_graph(tower(), inputs[:, :2], symmetric=False)


@pytest.mark.slow
def test_the_shipped_engine_in_int8_gives_the_same_for_every_batch_on_openvino(tmp_path):
    """Its ReduceMean was wrong for more than one crop: see ``_sums_as_products``."""
    crops = np.random.default_rng(0).integers(0, 256, (16, 16, 8, 3), dtype=np.uint8).repeat(16, 1).repeat(16, 2)
    image = ImageInput("bgr", (1.0, 1.0, 1.0))
    path = tmp_path / "int8.onnx"
    onnx.save(quantised_graph(onnx.load(str(ENGINE)), image.apply(crops), symmetric=False), str(path))
    one, many = (load_runtime(path, runtime=r, precision="fp32", image=image) for r in ("onnxruntime", "openvino"))
    wanted = [np.concatenate(column) for column in zip(*(one(crops[i : i + 1]) for i in range(8)), strict=True)]
    found = many(crops[:8])
    assert np.abs(found[1] - wanted[1]).max() < 0.1
