"""Half precision in the graph: heavy layers become half, what decides about visibilities and lengths does not, and the
numbers stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from streamreid.compiling.mixed_precision import half_graph, unfold_weights
from streamreid.errors import EngineError

ENGINE = Path(__file__).resolve().parents[2] / "engines" / "pab-osnet-small" / "model.onnx"


def small(weight: float = 1.0) -> onnx.ModelProto:
    """conv -> relu -> centred norm -> conv -> softmax -> mean, and an L2-normalised feature."""
    rng = np.random.default_rng(0)
    constants = {
        "w1": rng.normal(size=(8, 3, 3, 3)).astype(np.float16),
        "w2": (weight * rng.normal(size=(4, 8, 1, 1))).astype(np.float32),
        "axes": np.array([2, 3]),
    }
    nodes = [
        helper.make_node("Cast", ["w1"], ["w1f"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["images", "w1f"], ["c1"], name="conv1", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"], name="relu"),
        helper.make_node("ReduceMean", ["r1", "axes"], ["m"], name="centre"),
        helper.make_node("Sub", ["r1", "m"], ["d"], name="difference"),
        helper.make_node("Add", ["d", "r1"], ["a"], name="residual"),
        helper.make_node("Conv", ["a", "w2"], ["c2"], name="conv2"),
        helper.make_node("Softmax", ["c2"], ["s"], name="softmax", axis=1),
        helper.make_node("ReduceMean", ["s", "axes"], ["visibility"], name="seen", keepdims=0),
        helper.make_node("ReduceMean", ["c2", "axes"], ["f"], name="pool", keepdims=0),
        helper.make_node("LpNormalization", ["f"], ["parts"], name="length", axis=1, p=2),
    ]
    outputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", 4]) for n in ("parts", "visibility")]
    return helper.make_model(
        helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, 8, 8])],
            outputs,
            [numpy_helper.from_array(v, k) for k, v in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
    )


def types_of(model: onnx.ModelProto) -> dict[str, int]:
    """Element type of the first output of every named node."""
    known = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True).graph
    elements = {v.name: v.type.tensor_type.elem_type for v in [*known.value_info, *known.output]}
    return {n.name: elements[n.output[0]] for n in model.graph.node if n.name}


@pytest.mark.parametrize(("kind", "element"), [("fp16", TensorProto.FLOAT16), ("bf16", TensorProto.BFLOAT16)])
def test_layers_are_half_and_sums_are_not(kind, element):
    converted = half_graph(small(), kind)
    onnx.checker.check_model(converted, full_check=True)
    types = types_of(converted)
    assert {types[n] for n in ("conv1", "relu", "residual", "conv2")} == {element}
    assert {types[n] for n in ("centre", "difference", "softmax", "seen", "pool", "length")} == {TensorProto.FLOAT}
    assert [i.type.tensor_type.elem_type for i in (*converted.graph.input, *converted.graph.output)] == [
        TensorProto.FLOAT
    ] * 3
    assert [o.name for o in converted.graph.output] == ["parts", "visibility"]


def test_the_numbers_stay():
    from onnx.reference import ReferenceEvaluator

    model, data = small(), {"images": np.random.default_rng(1).normal(size=(3, 3, 8, 8)).astype(np.float32)}
    wanted = ReferenceEvaluator(model).run(None, data)
    found = ReferenceEvaluator(half_graph(model, "fp16")).run(None, data)
    for w, f in zip(wanted, found, strict=True):
        np.testing.assert_allclose(f, w, atol=5e-3)
        assert np.abs(f - w).max() > 0  # really rounded


def test_the_source_is_not_changed():
    model = small()
    before = model.SerializeToString()
    half_graph(model, "fp16")
    assert model.SerializeToString() == before


def test_a_weight_too_large_for_fp16_is_named():
    with pytest.raises(EngineError, match=r"'w2' holds .* more than fp16 can say; use --precision bf16"):
        half_graph(small(weight=1e6), "fp16")
    assert half_graph(small(weight=1e6), "bf16").graph.node


def test_bf16_rounds_to_the_nearest_ties_to_even():
    from streamreid.compiling.mixed_precision import to_bf16

    values = np.array([1.0, 1.00390625, 1.01171875, -3.14159265, 65504.0, 3e38], np.float32)
    back = (to_bf16(values).astype(np.uint32) << 16).view(np.float32)
    np.testing.assert_array_equal(back[:3], np.array([1.0, 1.0, 1.015625], np.float32))
    assert np.all(np.abs(back - values) <= np.abs(values) * 2**-8)


def test_weights_kept_as_float16_are_float32_again():
    plain = unfold_weights(small())
    assert {t.data_type for t in plain.graph.initializer if t.name.startswith("w")} == {TensorProto.FLOAT}
    assert "Cast" not in {n.op_type for n in plain.graph.node}


def test_the_shipped_engine_in_fp16_is_the_shipped_engine():
    import onnxruntime as ort

    model = onnx.load(str(ENGINE))
    converted = half_graph(model, "fp16")
    types = types_of(converted)
    convolutions = [types[n.name] for n in converted.graph.node if n.op_type == "Conv"]
    assert len(convolutions) > 100
    assert set(convolutions) == {TensorProto.FLOAT16}
    for name in ("InstanceNormalization", "Softmax", "ReduceL2", "ReduceSum", "ReduceMean", "ReduceMax", "Div"):
        assert {types[n.name] for n in converted.graph.node if n.op_type == name} == {TensorProto.FLOAT}, name
    data = {"images": np.random.default_rng(0).integers(0, 256, (2, 3, 256, 128)).astype(np.float32)}
    options = ort.SessionOptions()
    options.log_severity_level = 3
    wanted, found = (ort.InferenceSession(m.SerializeToString(), options).run(None, data) for m in (model, converted))
    assert (wanted[0] * found[0]).sum(-1).min() > 0.9995
    np.testing.assert_allclose(found[1], wanted[1], atol=5e-3)
