"""A ReID engine of two small layers and two parts, the upper and the lower half of the picture.

Its weights are drawn by lot; features of coloured pictures have no direction in common, so that it tells them apart.
"""

from pathlib import Path

import numpy as np

from streamreid.reid.bundle import Bundle, BundleManifest, CalibrationValues, InputFormat, OutputNames, write_bundle

__all__ = ["small_engine"]


def small_engine(folder: Path, *, last: str = "Identity", seed: int = 0) -> Bundle:
    """Write the bundle.

    Args:
        folder: Of the bundle.
        last: Operation after the second layer.
        seed: Of the lot.
    """
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(seed)

    def weight(name: str, *shape: int) -> onnx.TensorProto:
        values = rng.normal(size=shape) / np.sqrt(np.prod(shape[1:])) if len(shape) > 1 else np.zeros(shape)
        return numpy_helper.from_array(values.astype(np.float32), name)

    layer = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node("Conv", ["images", "w1", "b1"], ["c1"], **layer),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"], **layer),
        helper.make_node(last, ["c2"], ["r2"]),
        helper.make_node("AveragePool", ["r2"], ["pooled"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Reshape", ["pooled", "shape"], ["flat"]),
        helper.make_node("Transpose", ["flat"], ["parts"], perm=[0, 2, 1]),
    ]
    constants = [weight("w1", 16, 3, 3, 3), weight("b1", 16), weight("w2", 24, 16, 3, 3), weight("b2", 24)]
    constants.append(numpy_helper.from_array(np.array([0, 24, 2], np.int64), "shape"))
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, 64, 32])],
        [helper.make_tensor_value_info("parts", TensorProto.FLOAT, ["N", 2, 24])],
        constants,
    )
    folder.parent.mkdir(parents=True, exist_ok=True)
    path = folder.parent / f"{folder.name}.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, str(path))
    if last == "Identity":
        colours = np.kron(rng.uniform(-2, 2, (64, 3, 4, 2)), np.ones((16, 16))).astype(np.float32)
        found = onnxruntime.InferenceSession(str(path)).run(None, {"images": colours})[0]
        constants[3].CopyFrom(numpy_helper.from_array(-found.mean((0, 1)), "b2"))
        next(t for t in model.graph.initializer if t.name == "b2").CopyFrom(constants[3])
        onnx.save(model, str(path))
    manifest = BundleManifest(
        name="small",
        input=InputFormat(height=64, width=32, color="bgr", scale=(1 / 64,) * 3, bias=(-2.0,) * 3),
        outputs=OutputNames(parts="parts"),
        parts=("upper", "lower"),
        dim=24,
        calibration=CalibrationValues(slope=12.0, intercept=-8.0),
    )
    return write_bundle(folder, manifest, {"model.onnx": path})
