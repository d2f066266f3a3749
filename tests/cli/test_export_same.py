"""An export that replaces an earlier bundle: its fingerprint stays only where not a bit of the features changed."""

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save

from streamreid.errors import EngineError
from streamreid.reid.bundle import Bundle, BundleManifest, CalibrationValues, InputFormat, OutputNames, write_bundle
from streamreid.reid.same_features import same_features


def make(folder: Path, name: str, gain: float = 1.0, features: str | None = None) -> Bundle:
    weights = gain * np.random.default_rng(0).normal(size=(3, 16)).astype(np.float32) + np.float32(gain - 1)
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["mean", "w"], ["parts"]),
    ]
    ends = [
        helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, 64, 32]),
        helper.make_tensor_value_info("parts", TensorProto.FLOAT, ["n", 16]),
    ]
    graph = helper.make_graph(
        nodes, name, ends[:1], ends[1:], [numpy_helper.from_array(weights.astype(np.float32), "w")]
    )
    path = folder / f"{name}.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    manifest = BundleManifest(
        name=name,
        input=InputFormat(height=64, width=32, color="bgr", scale=(1.0, 1.0, 1.0), bias=(0.0, 0.0, 0.0)),
        outputs=OutputNames(parts="parts"),
        dim=16,
        calibration=CalibrationValues(slope=1.0, intercept=0.0),
        features=features,
    )
    return write_bundle(folder / "bundles" / name, manifest, {"model.onnx": path})


def test_the_checksum_of_the_first_graph_is_handed_on(tmp_path: Path) -> None:
    first = make(tmp_path, "first")
    second = make(tmp_path, "second", features=same_features(first, make(tmp_path, "draft")))
    assert second.manifest.files != first.manifest.files
    assert second.fingerprint == first.fingerprint
    assert same_features(second, make(tmp_path, "third")) == first.manifest.files["model.onnx"]


def test_other_features_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="without --same-as"):
        same_features(make(tmp_path, "first"), make(tmp_path, "other", gain=1.0001))
