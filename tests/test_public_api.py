"""The public API: what is exported, that each name explains itself, and that its examples run."""

import ast
import dataclasses
import doctest
import inspect
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

import streamreid
from streamreid import reid
from streamreid.config import DetectorConfig
from streamreid.pipeline import detectors
from streamreid.pipeline.detectors import open_detectors
from streamreid.reid import BlindEmbedder

DOCS = Path(__file__).resolve().parent.parent / "docs"
NAMES = [name for name in streamreid.__all__ if name != "__version__"]


def is_value(exported):
    return dataclasses.is_dataclass(exported) or (inspect.isclass(exported) and issubclass(exported, Exception))


def test_what_is_listed_is_what_is_exported():
    assert sorted(streamreid.__all__) == streamreid.__all__ == dir(streamreid)
    tree = ast.parse(Path(streamreid.__file__).read_text(encoding="utf-8"))
    (typed,) = (node for node in tree.body if isinstance(node, ast.If))
    assert sorted(alias.name for node in typed.body for alias in node.names) == sorted(NAMES)
    for name in NAMES:
        assert getattr(streamreid, name).__name__ == name
        assert name in streamreid.__doc__
    with pytest.raises(AttributeError, match="no attribute 'Embedder'"):
        _ = streamreid.Embedder


def test_it_fits_one_screen():
    assert len(streamreid.__doc__.splitlines()) <= 25
    assert len(NAMES) <= 24


@pytest.mark.parametrize("name", NAMES)
def test_a_name_explains_itself(name):
    exported = getattr(streamreid, name)
    text = inspect.getdoc(exported)
    assert text
    assert len(text.split()) > 4
    assert is_value(exported) or ">>> " in text, f"{name} has no example"


@pytest.mark.parametrize("name", NAMES)
def test_the_documentation_shows_it(name):
    assert name in (DOCS / "python.md").read_text(encoding="utf-8")


@pytest.fixture
def videos(scene, tmp_path, monkeypatch):
    """Two recordings in the current folder, whose people a file of boxes knows: no detector or engine is loaded."""
    scene.camera("entrance", [0, 1])
    scene.camera("hall", [1, 2])
    monkeypatch.chdir(scene.folder)
    known = DetectorConfig(model=f"mot:{scene.boxes}")
    monkeypatch.setattr(detectors, "open_detectors", lambda c: open_detectors(c.model_copy(update={"detector": known})))
    monkeypatch.setattr(reid, "open_embedder", lambda _: BlindEmbedder())


@pytest.mark.parametrize("name", [name for name in NAMES if ">>> " in (getattr(streamreid, name).__doc__ or "")])
def test_its_example_runs(name, videos):
    exported = getattr(streamreid, name)
    (test,) = doctest.DocTestFinder(recurse=False).find(exported, name, globs={})
    said: list[str] = []
    failed = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=said.append).failed
    assert not failed, "".join(said)


def test_the_pages_example_of_features_runs(tmp_path, monkeypatch, capsys):
    page = (DOCS / "python.md").read_text(encoding="utf-8")
    (text,) = (block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "FeatureExtractor" in block)
    (tmp_path / "people").mkdir()
    for number, name in enumerate(["people/a.jpg", "people/b.jpg", "query.jpg"]):
        image = np.random.default_rng(number).integers(0, 256, (160 + 9 * number, 64, 3), np.uint8)
        assert cv2.imwrite(str(tmp_path / name), image)
    monkeypatch.chdir(tmp_path)
    exec(compile(text, "python.md", "exec"), {})
    assert "(2, 6, " in capsys.readouterr().out
