"""The script that draws the README's picture of body parts."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def script():  # type: ignore[no-untyped-def]
    spec = importlib.util.spec_from_file_location("figure_parts", ROOT / "benchmarks" / "figure_parts.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_part_maps_of_the_shipped_engine(script) -> None:  # type: ignore[no-untyped-def]
    from streamreid.reid.bundle import load_bundle

    engine = script.PartMaps(load_bundle(ROOT / "engines" / "pab-osnet-small"))
    crops = list(np.random.default_rng(0).integers(0, 256, (2, *engine.size, 3)).astype(np.uint8))
    maps, seen = engine(crops)
    assert maps.shape[:2] == (2, 1 + len(engine.names))
    np.testing.assert_allclose(maps.sum(1), 1, atol=1e-4)
    assert seen.shape == (2, len(engine.names))
    people = [script.Person(crop, crop, crop) for crop in crops]
    picture = script.draw(engine, people)
    assert picture.dtype == np.uint8
    assert picture.shape[0] > 2 * script.SHOWN[0]


def test_who_stands_free(script) -> None:  # type: ignore[no-untyped-def]
    image = np.zeros((400, 400, 3), np.uint8)
    boxes = np.array([[50, 50, 110, 250], [80, 50, 140, 250], [200, 50, 260, 250], [300, 0, 360, 200]], np.float32)
    assert [script.stands_free(box, boxes, image) for box in boxes] == [False, False, True, False]


def test_the_background_patch_avoids_people(script) -> None:  # type: ignore[no-untyped-def]
    image = np.zeros((400, 400, 3), np.uint8)
    image[300:, 350:] = 200
    everywhere_else = np.array([[0, 0, 400, 299], [0, 300, 340, 400]], np.float32)
    assert script.background(image, everywhere_else, (64, 32)).min() == 200
