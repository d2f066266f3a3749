"""Tiny engines whose features are linear in the mean colour of a crop, so results are known."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save

from streamreid.reid.bundle import Bundle, BundleManifest, CalibrationValues, InputFormat, OutputNames, write_bundle

HEIGHT, WIDTH = 64, 32
SCALE, BIAS = (0.01, 0.02, 0.03), (-0.5, 0.1, 0.0)


def write_engine(path: Path, parts: int = 3, dim: int = 16, *, form: str = "parts", half: bool = False) -> Path:
    """Write an engine: mean colour times fixed random weights.

    ``form``: "parts" (``[N, K, D]`` and visibility), "flat" (``[N, D]``) or "map" (``[N, D, 1, 1]``).
    """
    rng = np.random.default_rng(5)
    weights = rng.normal(size=(3, parts * dim)).astype(np.float32)
    constants = [
        numpy_helper.from_array(weights.astype(np.float16) if half else weights, "w_stored"),
        numpy_helper.from_array(rng.normal(size=(3, parts)).astype(np.float32), "v"),
    ]
    nodes = [
        helper.make_node("Cast", ["w_stored"], ["w"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["images"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["mean", "w"], ["f"]),
    ]
    shape = {"parts": [-1, parts, dim], "flat": [-1, dim], "map": [-1, dim, 1, 1]}[form]
    constants.append(numpy_helper.from_array(np.array(shape, np.int64), "shape"))
    nodes.append(helper.make_node("Reshape", ["f", "shape"], ["features"]))
    outputs = [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", *shape[1:]])]
    if form == "parts":
        nodes += [
            helper.make_node("MatMul", ["mean", "v"], ["logit"]),
            helper.make_node("Sigmoid", ["logit"], ["visibility"]),
        ]
        outputs.append(helper.make_tensor_value_info("visibility", TensorProto.FLOAT, ["n", parts]))
    else:
        constants.pop(1)
    inputs = [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, HEIGHT, WIDTH])]
    model = helper.make_model(
        helper.make_graph(nodes, "g", inputs, outputs, constants),
        opset_imports=[helper.make_opsetid("", 13)],
        ir_version=8,
    )
    save(model, path)
    return path


@pytest.fixture
def engine_graph() -> Callable[..., Path]:
    return write_engine


def write_tiny_bundle(
    folder: Path,
    name: str = "tiny",
    *,
    parts: int = 3,
    dim: int = 16,
    form: str = "parts",
    where: Path | None = None,
    **values: object,
) -> Bundle:
    """Write a bundle of a tiny engine to ``folder/bundles/name`` (or ``where/name``); keywords replace values of its
    manifest."""
    graph = write_engine(folder / f"{name}.onnx", parts, dim, form=form)
    manifest = BundleManifest.model_validate(
        {
            "name": name,
            "input": InputFormat(height=HEIGHT, width=WIDTH, color="rgb", scale=SCALE, bias=BIAS),
            "outputs": OutputNames(parts="features", visibility="visibility" if form == "parts" else None),
            "parts": ("foreground", "head", "legs")[:parts],
            "dim": dim,
            "calibration": CalibrationValues(slope=8.0, intercept=-4.0, source="test"),
            **values,
        }
    )
    return write_bundle((where or folder / "bundles") / name, manifest, {"model.onnx": graph})


@pytest.fixture
def make_bundle(tmp_path: Path) -> Callable[..., Bundle]:
    """``write_tiny_bundle`` in the folder of the test."""
    return partial(write_tiny_bundle, tmp_path)
