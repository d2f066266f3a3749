"""Nine gallery variants: their order, their masks, and what they compute; from training to evaluation on a tiny
network."""

import json
import shutil
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="training needs the train extra")
pytest.importorskip("timm", reason="training needs the train extra")

from typer.testing import CliRunner  # noqa: E402

from streamreid.cli import app  # noqa: E402
from streamreid.errors import EngineError  # noqa: E402
from streamreid.training.export import export_unified  # noqa: E402
from streamreid.training.network import PartNetwork  # noqa: E402
from streamreid.training.papers.oamn.unification import VARIANTS, Unified, keep_masks  # noqa: E402
from streamreid.training.recipe import NetworkConfig  # noqa: E402
from tests.support.training_data import make_folder  # noqa: E402


def network(**changes: object) -> PartNetwork:
    torch.manual_seed(0)
    found = PartNetwork(NetworkConfig(backbone="test_resnet", dim=16, **changes), (128, 64)).eval()  # type: ignore[arg-type]
    torch.nn.init.normal_(found.predictor.classify.weight, std=3.0)
    return found


def test_variants_and_their_masks() -> None:
    assert VARIANTS[0] is None
    assert [(v.side, v.share) for v in VARIANTS[1:] if v] == [
        (side, share) for side in ("left", "right", "bottom", "top") for share in (0.25, 0.5)
    ]
    masks = keep_masks((4, 8))
    assert masks.mean((1, 2)).tolist() == [1.0, *[0.75, 0.5] * 4]
    assert masks[2, 0].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]  # left half
    assert masks[5, :, 0].tolist() == [1, 1, 1, 0]  # bottom quarter


@torch.no_grad()
def test_the_first_variant_is_the_picture_itself() -> None:
    net, pictures = network(), torch.rand(2, 3, 128, 64) * 255
    parts, seen = Unified(net, (128, 64))(pictures)
    output = net(pictures)
    torch.testing.assert_close(parts[:, 0], torch.nn.functional.normalize(output.embeddings, dim=-1))
    torch.testing.assert_close(seen[:, 0], output.visibility)
    assert parts.shape == (2, 9, 6, 16)


@torch.no_grad()
def test_what_is_covered_does_not_count() -> None:
    net, pictures = network(visibility="area"), torch.rand(1, 3, 128, 64) * 255
    unified = Unified(net, (128, 64))
    output = net(pictures)
    keep = keep_masks(net.map_size)[8]  # top half
    by_hand = torch.cat([1 - keep + output.attention[:, :1] * keep, output.attention[:, 1:] * keep], 1)
    expected = torch.nn.functional.normalize(net.head(output.features * keep / keep.mean(), by_hand), dim=-1)
    parts, seen = unified(pictures)
    torch.testing.assert_close(parts[:, 8], expected)
    area = (output.attention[:, 1:] * keep).mean((2, 3)) / 0.1  # 0.1 is the usual area of an untrained network
    torch.testing.assert_close(seen[0, 8, 1:], area.clamp(max=1)[0])


@torch.no_grad()
def test_masks_of_oamn_look_at_covered_pictures_and_apply_to_whole_features() -> None:
    net, pictures = network(mask="rgas", grader=True), torch.rand(1, 3, 128, 64) * 255
    unified = Unified(net, (128, 64))
    features = net.backbone(pictures)
    assert net.masker is not None
    covered = pictures * keep_masks((128, 64))[1]
    torch.testing.assert_close(unified.masked(pictures, features, 1), features * net.masker(net.backbone(covered)))
    torch.testing.assert_close(unified.masked(pictures, features, 0), features * net.masker(features))


def test_variants_need_a_grader(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"network\.grader"):
        export_unified(network(), tmp_path / "unified.onnx", (128, 64))


@pytest.mark.slow
def test_from_training_to_unified_evaluation(tmp_path: Path) -> None:
    data = make_folder(tmp_path / "data", people=4)
    recipe = {
        "data": [{"images": data.images, "labels": data.labels}],
        "network": {"backbone": "test_resnet", "dim": 16, "grader": True},
        "out": str(tmp_path / "out"),
        "size": [128, 64],
        "schedule": {"steps": 1, "people": 2},
        "compile": False,
        "imprint": False,
    }
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))
    run = CliRunner().invoke
    trained = run(app, ["train", str(tmp_path / "recipe.yaml"), "--quiet"])
    assert trained.exit_code == 0, trained.output
    bundle = tmp_path / "bundle"
    exported = run(app, ["export", str(tmp_path / "out" / "last.pt"), "--out", str(bundle), "--unified"])
    assert exported.exit_code == 0, exported.output
    manifest = json.loads((bundle / "bundle.json").read_text())
    assert set(manifest["files"]) == {"model.onnx", "unified.onnx"}
    assert manifest["outputs"]["extra"] == {"occlusion": "occlusion"}
    again = run(
        app, ["export", str(tmp_path / "out" / "last.pt"), "--out", str(tmp_path / "again"), "--same-as", str(bundle)]
    )
    assert again.exit_code == 0, again.output
    assert json.loads((tmp_path / "again" / "bundle.json").read_text())["features"] == manifest["files"]["model.onnx"]
    dataset = tmp_path / "dataset"
    for name, camera in (("query", "c1"), ("bounding_box_test", "c2")):
        (dataset / name).mkdir(parents=True)
        for path in Path(data.images).glob(f"*_{camera}*"):
            shutil.copy(path, dataset / name)
    scored = run(app, ["evaluate", "reid", str(bundle), str(dataset), "--unify", "--sides", "--runtime", "onnxruntime"])
    assert scored.exit_code == 0, scored.output
    assert "unified" in scored.output
    assert "left" in scored.output
    found = json.loads(
        run(
            app, ["evaluate", "reid", str(bundle), str(dataset), "--unify", "--json", "--runtime", "onnxruntime"]
        ).stdout
    )
    assert set(found["scores"]["unified"]) == {"clean", "patch", "person"}
    assert found["scores"]["unified"]["clean"]["queries"] == 12
