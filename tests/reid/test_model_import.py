"""Wrapping a plain model, and fitting its probabilities."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import openvino as ov
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from typer.testing import CliRunner

from streamreid.cli.engine import app
from streamreid.config import EngineConfig
from streamreid.errors import DataError, EngineError
from streamreid.reid import EngineEmbedder, ImportOptions, import_bundle, load_bundle
from streamreid.reid.link_calibration import fit_calibration, fit_platt


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Twelve people of one colour each, seen by two cameras of different brightness, and what Market-1501 calls
    junk."""
    folder = tmp_path / "people"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for person in range(1, 13):
        color = rng.uniform(40, 210, 3)
        for camera, light in ((1, 1.0), (2, 0.8)):
            for number in range(2):
                image = np.clip(color * light + rng.normal(0, 8, (70, 30, 3)), 0, 255).astype(np.uint8)
                cv2.imwrite(str(folder / f"{person:04d}_c{camera}s1_{number:06d}_00.png"), image)
    cv2.imwrite(str(folder / "0000_c1s1_000000_00.png"), image)
    cv2.imwrite(str(folder / "-1_c2s1_000000_00.png"), image)
    (folder / "0003_c1s1_000099_00.png").write_bytes(b"not a picture")
    (folder / "readme.txt").write_text("x")
    return folder


@pytest.mark.parametrize("form", ["flat", "map"])
def test_onnx(tmp_path: Path, engine_graph, form: str, caplog: pytest.LogCaptureFixture) -> None:
    model = engine_graph(tmp_path / "m.onnx", 1, form=form)
    bundle = import_bundle(model, tmp_path / "out", ImportOptions(licence="MIT"))
    m = bundle.manifest
    assert (m.name, m.dim, m.parts, m.licence) == ("out", 16, ("foreground",), "MIT")
    assert (m.input.height, m.input.width, m.input.color) == (64, 32, "rgb")
    np.testing.assert_allclose(
        255 * np.array(m.input.scale) + m.input.bias, (1 - np.array([0.485, 0.456, 0.406])) / [0.229, 0.224, 0.225]
    )
    assert m.calibration.source == "default"
    assert "guessed" in caplog.text
    assert "not calibrated" in caplog.text
    assert EngineEmbedder(bundle, EngineConfig()).embed(np.zeros((2, 64, 32, 3), np.uint8)).shape == (1, 16)


def test_folders_may_be_called_anything(tmp_path: Path, engine_graph, monkeypatch: pytest.MonkeyPatch) -> None:
    model = engine_graph(tmp_path / "m.onnx", 1, form="flat")
    for folder, name in (("my engine", "my_engine"), ("Büro", "Buro"), ("a" * 70, "a" * 56), ("plain-1_", "plain-1_")):
        assert import_bundle(model, tmp_path / folder).manifest.name == name
        assert load_bundle(tmp_path / folder).manifest.name == name
    monkeypatch.chdir(tmp_path / "plain-1_")
    with pytest.raises(EngineError, match="the working folder cannot be replaced"):
        import_bundle(model, Path("."), force=True)
    assert load_bundle(tmp_path / "plain-1_").manifest.name == "plain-1_"
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EngineError, match=r"name .my engine.: names are made of.*: my_engine"):
        import_bundle(model, tmp_path / "out", ImportOptions(name="my engine"))
    assert not (tmp_path / "out").exists()


def test_openvino_ir_equals_its_onnx(tmp_path: Path, engine_graph) -> None:
    model = engine_graph(tmp_path / "m.onnx", 1, form="flat")
    ov.save_model(ov.Core().read_model(str(model)), str(tmp_path / "m.xml"), compress_to_fp16=False)
    crops = np.random.default_rng(0).integers(0, 256, (5, 64, 32, 3), dtype=np.uint8)
    a = import_bundle(tmp_path / "m.xml", tmp_path / "a")
    b = import_bundle(model, tmp_path / "b", ImportOptions(preset="openvino"))
    assert sorted(a.manifest.files) == ["model.bin", "model.xml"]
    assert a.manifest.input == b.manifest.input
    x, y = (EngineEmbedder(bundle, EngineConfig(precision="fp32")).embed(crops) for bundle in (a, b))
    np.testing.assert_allclose(x.parts, y.parts, atol=1e-5)


def test_calibrated_probabilities_tell_people_apart(
    tmp_path: Path, engine_graph, people: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = engine_graph(tmp_path / "m.onnx", 1, form="flat")
    seen: list[tuple[int, int]] = []
    bundle = import_bundle(
        model, tmp_path / "out", calibrate_on=people, progress=lambda done, total: seen.append((done, total))
    )
    assert bundle.manifest.calibration.source == "48 pictures of 12 people, across cameras"
    assert bundle.calibration.slope > 0
    assert bundle.calibration.probability(1.0) > 0.5 > bundle.calibration.probability(0.0)
    assert seen[-1] == (49, 49)
    assert "0003_c1s1_000099_00.png" in caplog.text


@pytest.mark.parametrize("case", ["none", "empty", "one camera", "one person"])
def test_nothing_to_calibrate_on(tmp_path: Path, make_bundle, people: Path, case: str) -> None:
    embedder = EngineEmbedder(make_bundle(), EngineConfig(min_height=0))
    folder = people
    if case == "none":
        folder = tmp_path / "nowhere"
    for file in list(people.iterdir()):
        if (
            case == "empty"
            or (case == "one camera" and "_c2" in file.name)
            or (case == "one person" and not file.name.startswith("0001"))
        ):
            file.unlink()
    with pytest.raises(DataError, match=str(folder)):
        fit_calibration(embedder, folder)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 1000), shift=st.floats(0.05, 3.0), count=st.integers(5, 300))
def test_newton_finds_the_same_as_a_general_optimiser(seed: int, shift: float, count: int) -> None:
    rng = np.random.default_rng(seed)
    positive = np.arange(count) < max(1, count // 4)
    values = rng.normal(size=count) * 0.3 + shift * positive
    weight = np.where(positive, 0.5 / positive.sum(), 0.5 / (~positive).sum())

    def loss(t: np.ndarray) -> float:
        z = t[0] * values + t[1]
        return float(weight @ (np.logaddexp(0, z) - positive * z) + 5e-4 * t @ t)

    found = np.array(fit_platt(values, positive, ridge=1e-3))
    best = minimize(loss, np.zeros(2), method="BFGS", options={"gtol": 1e-9})
    assert loss(found) <= best.fun + 1e-9
    np.testing.assert_allclose(found, best.x, atol=1e-3, rtol=1e-3)


def test_separable_data_stay_finite() -> None:
    slope, intercept = fit_platt(np.array([0.1, 0.2, 0.8, 0.9]), np.array([False, False, True, True]))
    assert np.isfinite([slope, intercept]).all()
    assert slope > 10
    assert -intercept / slope == pytest.approx(0.5, abs=0.05)


class TestBadInput:
    def test_not_a_reid_model(self, tmp_path: Path, engine_graph) -> None:
        with pytest.raises(EngineError, match=r"no global feature.*features.*\[2, 3, 16\]"):
            import_bundle(engine_graph(tmp_path / "m.onnx", 3), tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_another_size_than_the_graph_takes(self, tmp_path: Path, engine_graph) -> None:
        model = engine_graph(tmp_path / "m.onnx", 1, form="flat")
        with pytest.raises(EngineError, match="height 128 was asked for, but the graph takes only 64"):
            import_bundle(model, tmp_path / "out", ImportOptions(height=128))

    def test_missing_or_damaged(self, tmp_path: Path) -> None:
        with pytest.raises(EngineError, match="no such file"):
            import_bundle(tmp_path / "none.onnx", tmp_path / "out")
        (tmp_path / "m.onnx").write_bytes(b"x" * 99)
        with pytest.raises(EngineError, match="cannot"):
            import_bundle(tmp_path / "m.onnx", tmp_path / "out")


class TestCommands:
    def test_import_and_inspect(self, tmp_path: Path, engine_graph, people: Path) -> None:
        model = engine_graph(tmp_path / "m.onnx", 1, form="flat")
        run = CliRunner().invoke(
            app,
            ["import", str(model), "--out", str(tmp_path / "out"), "--calibrate-on", str(people), "--licence", "MIT"],
        )
        assert run.exit_code == 0, run.output
        assert "48 pictures of 12 people" in " ".join(run.output.split())
        look = CliRunner().invoke(app, ["inspect", str(tmp_path / "out")])
        assert look.exit_code == 0
        assert load_bundle(tmp_path / "out").fingerprint[:16] in look.output
        again = CliRunner().invoke(app, ["import", str(model), "--out", str(tmp_path / "out")])
        assert isinstance(again.exception, EngineError)
        assert CliRunner().invoke(app, ["import", str(model), "--out", str(tmp_path / "out"), "--force"]).exit_code == 0

    def test_a_wrong_preset(self, tmp_path: Path, engine_graph) -> None:
        model = engine_graph(tmp_path / "m.onnx", 1, form="flat")
        run = CliRunner().invoke(app, ["import", str(model), "--out", str(tmp_path / "out"), "--preset", "photo"])
        assert run.exit_code == 2

    def test_list(self, tmp_path: Path, make_bundle, monkeypatch: pytest.MonkeyPatch) -> None:
        from streamreid.reid import factory

        monkeypatch.setattr(factory, "shipped_folder", lambda: tmp_path / "engines")
        assert "engine import" in CliRunner().invoke(app, ["list"]).output
        make_bundle("low", where=tmp_path / "engines", rank=1)
        make_bundle("high", where=tmp_path / "engines", rank=2)
        damaged = make_bundle("broken", where=tmp_path / "engines", rank=3)
        damaged.model.write_bytes(b"x")
        run = CliRunner().invoke(app, ["list"])
        assert run.exit_code == 0
        assert run.stdout.index("high") < run.stdout.index("low")
