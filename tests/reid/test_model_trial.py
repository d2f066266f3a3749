"""A model is tried before it becomes an engine: its input, its feature and its weights beside it are found, and what
cannot tell people apart is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from streamreid.cli.engine import app
from streamreid.config import EngineConfig
from streamreid.drawn_people import drawn_crops
from streamreid.errors import EngineError
from streamreid.reid import EngineEmbedder, ImportOptions, import_bundle, load_bundle
from tests.support.exports import made_exports

HEIGHT, WIDTH = 64, 32
MEAN, DEVIATION = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])


def write(
    path: Path,
    wants: str = "imagenet",
    *,
    kind: int = TensorProto.FLOAT,
    last: bool = False,
    extra: str = "",
    beside: str = "",
) -> Path:
    """A feature of where which colour is: only right if each colour lies around 0 when it arrives, because of the
    squashing that follows."""
    rng = np.random.default_rng(4)
    constants = {
        "w": (rng.normal(size=(24, 64)) / 2).astype(np.float32),
        "head": rng.normal(size=(64, 30)).astype(np.float32),
        "flat": np.array([-1, 24], np.int64),
        "mean": (255 * MEAN).reshape(1, 3, 1, 1),
        "deviation": (255 * DEVIATION).reshape(1, 3, 1, 1),
    }
    nodes = [
        helper.make_node("Cast", ["x"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["real"], ["first"], perm=[0, 3, 1, 2] if last else [0, 1, 2, 3]),
        helper.make_node("Sub", ["first", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "deviation"], ["normed"]),
        # The middle of the crop, where the person is, in eight pieces from head to foot.
        helper.make_node("Slice", ["normed" if wants == "bytes" else "first", "from", "to", "axis"], ["middle"]),
        helper.make_node("AveragePool", ["middle"], ["pieces"], kernel_shape=[8, 10], strides=[8, 10]),
        helper.make_node("Tanh", ["pieces"], ["squashed"]),
        helper.make_node("Reshape", ["squashed", "flat"], ["row"]),
        helper.make_node("MatMul", ["row", "w"], ["feature"]),
    ]
    constants |= {"from": np.array([11], np.int64), "to": np.array([21], np.int64), "axis": np.array([3], np.int64)}
    outputs = [("feature", 64)]
    if extra == "scores first":
        nodes.append(helper.make_node("MatMul", ["feature", "head"], ["out_a"]))
        outputs = [("out_a", 30), ("feature", 64)]
    elif extra == "softmax":
        nodes.append(helper.make_node("MatMul", ["feature", "head"], ["raw"]))
        nodes.append(helper.make_node("Softmax", ["raw"], ["result"], axis=1))
        outputs = [("result", 30)]
    elif extra == "constant":
        constants["zero"], constants["one"] = np.float32(0), np.ones(64, np.float32)
        nodes += [
            helper.make_node("Mul", ["feature", "zero"], ["none"]),
            helper.make_node("Add", ["none", "one"], ["fixed"]),
        ]
        outputs = [("fixed", 64)]
    elif extra == "mixed":
        nodes += [
            helper.make_node("ReduceMean", ["feature"], ["all"], axes=[0], keepdims=1),
            helper.make_node("Add", ["feature", "all"], ["mix"]),
        ]
        outputs = [("mix", 64)]
    elif extra == "two":
        constants["other"] = rng.normal(size=(24, 40)).astype(np.float32)
        nodes.append(helper.make_node("MatMul", ["row", "other"], ["second"]))
        outputs = [("feature_a", 64), ("second", 40)]
        nodes.append(helper.make_node("Identity", ["feature"], ["feature_a"]))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kind, ["n", HEIGHT, WIDTH, 3] if last else ["n", 3, HEIGHT, WIDTH])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", size]) for name, size in outputs],
        [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path, save_as_external_data=bool(beside), location=beside or None, size_threshold=64)
    return path


def features(bundle_folder: Path) -> np.ndarray:
    embedder = EngineEmbedder(load_bundle(bundle_folder), EngineConfig(precision="fp32", runtime="onnxruntime"))
    return embedder.embed(drawn_crops((HEIGHT, WIDTH), people=4, views=2)[0]).parts[:, 0]


@pytest.fixture
def wanted(tmp_path: Path) -> np.ndarray:
    import_bundle(write(tmp_path / "plain.onnx"), tmp_path / "plain", ImportOptions(preset="imagenet"))
    return features(tmp_path / "plain")


def test_normalisation_inside_the_graph_is_found(
    tmp_path: Path, wanted: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    bundle = import_bundle(write(tmp_path / "m.onnx", "bytes"), tmp_path / "out")
    assert (bundle.manifest.input.color, bundle.manifest.input.scale) == ("rgb", (1.0, 1.0, 1.0))
    assert "it is imported with 'bytes'" in caplog.text
    np.testing.assert_allclose(features(tmp_path / "out"), wanted, atol=1e-4)


def test_a_wrong_preset_is_refused_with_the_right_one(tmp_path: Path) -> None:
    path = write(tmp_path / "m.onnx", "bytes")
    with pytest.raises(
        EngineError,
        match=r"with preset 'bytes'.*of the pairs are ranked right, with 'imagenet'.*--preset bytes.*--untested",
    ):
        import_bundle(path, tmp_path / "out", ImportOptions(preset="imagenet"))
    assert not (tmp_path / "out").exists()
    import_bundle(path, tmp_path / "out", ImportOptions(preset="imagenet", untested=True))


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("kind", [TensorProto.UINT8, TensorProto.FLOAT16])
def test_bytes_halves_and_channels_last(tmp_path: Path, wanted: np.ndarray, kind: int, last: bool) -> None:
    wants = "bytes" if kind == TensorProto.UINT8 else "imagenet"
    import_bundle(write(tmp_path / "m.onnx", wants, kind=kind, last=last), tmp_path / "out")
    np.testing.assert_allclose(features(tmp_path / "out"), wanted, atol=5e-3)


def test_a_graph_of_bytes_refuses_a_normalising_preset(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="'imagenet' cannot be; use openvino or bytes"):
        import_bundle(
            write(tmp_path / "m.onnx", "bytes", kind=TensorProto.UINT8),
            tmp_path / "out",
            ImportOptions(preset="imagenet"),
        )


def test_weights_beside_the_graph_come_along(tmp_path: Path, wanted: np.ndarray) -> None:
    path = write(tmp_path / "m.onnx", beside="m.onnx.data")
    first = import_bundle(path, tmp_path / "out")
    assert sorted(first.manifest.files) == ["m.onnx.data", "model.onnx"]
    np.testing.assert_allclose(features(tmp_path / "out"), wanted, atol=1e-5)
    data = bytearray((tmp_path / "m.onnx.data").read_bytes())
    data[40] ^= 1
    (tmp_path / "m.onnx.data").write_bytes(data)
    assert import_bundle(path, tmp_path / "other").fingerprint != first.fingerprint
    (tmp_path / "m.onnx.data").unlink()
    with pytest.raises(EngineError, match=r"'m\.onnx\.data', which is missing"):
        import_bundle(path, tmp_path / "third")


def test_class_scores_are_not_the_feature(tmp_path: Path, wanted: np.ndarray) -> None:
    bundle = import_bundle(write(tmp_path / "m.onnx", extra="scores first"), tmp_path / "out")
    assert (bundle.manifest.outputs.parts, bundle.manifest.dim) == ("feature", 64)
    np.testing.assert_allclose(features(tmp_path / "out"), wanted, atol=1e-5)
    with pytest.raises(EngineError, match=r"looks like class scores.*add up to 1.*--output NAME"):
        import_bundle(write(tmp_path / "s.onnx", extra="softmax"), tmp_path / "other")


def test_of_several_features_one_is_named_or_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "m.onnx", extra="two")
    assert import_bundle(path, tmp_path / "a").manifest.outputs.parts == "feature_a"
    assert import_bundle(path, tmp_path / "b", ImportOptions(output="second")).manifest.dim == 40
    with pytest.raises(EngineError, match="output 'third' is no feature"):
        import_bundle(path, tmp_path / "c", ImportOptions(output="third"))


@pytest.mark.parametrize(
    ("extra", "reason"),
    [("constant", "all pictures have the same feature"), ("mixed", "depends on the others in its batch")],
)
def test_features_that_say_nothing_are_refused(tmp_path: Path, extra: str, reason: str) -> None:
    path = write(tmp_path / "m.onnx", extra=extra)
    # A batch is cut into pieces by OpenVINO; the mixture shows where all rows go through together.
    with pytest.raises(EngineError, match=f"{reason}.*--preset.*--pictures"):
        import_bundle(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_says_how_it_went(tmp_path: Path) -> None:
    run = CliRunner().invoke(
        app, ["import", str(write(tmp_path / "m.onnx")), "--out", str(tmp_path / "out")], env={"COLUMNS": "200"}
    )
    assert run.exit_code == 0, run.output
    text = " ".join(run.output.split())
    assert "pairs ranked right" in text
    assert "48 crops of 16 drawn people" in text


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_exports("reid_exports.py", tmp_path_factory.mktemp("exports"))


def test_other_tools_exports_give_the_same_features(exports: Path, tmp_path: Path) -> None:
    crops = drawn_crops((256, 128), people=2, views=2)[0]

    def feature(name: str) -> np.ndarray:
        bundle = import_bundle(exports / f"{name}.onnx", tmp_path / name)
        return EngineEmbedder(bundle, EngineConfig(precision="fp32", runtime="onnxruntime")).embed(crops).parts[:, 0]

    right = feature("plain")
    for name in ("normed", "logits", "external", "uint8"):
        np.testing.assert_allclose(feature(name), right, atol=2e-3, err_msg=name)
    for name, reason in (("twice", "expected one input"), ("sequence", "no global feature")):
        with pytest.raises(EngineError, match=reason):
            feature(name)
