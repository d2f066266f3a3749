"""Who is trained on, and batches that depend only on seed and step."""

import logging
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamreid.datasets.dataset_config import DatasetConfig
from streamreid.datasets.identity_split import split_people
from streamreid.datasets.labels import LABEL_SIZE, class_map, contact_sheet, read_label, unusable
from streamreid.errors import DataError
from streamreid.training.data import PictureCache, batch_rows, make_batch
from streamreid.training.recipe import AugmentationConfig
from tests.support.training_data import make_folder


def test_split_merges_datasets_and_holds_people_out(tmp_path: Path) -> None:
    first, second = make_folder(tmp_path / "a"), make_folder(tmp_path / "b")
    split = split_people((first.model_copy(update={"exclude": (0,), "validation": 2}), second))
    assert split.identities == 3 + 6
    assert {(p.dataset, p.person) for p in split.validation} == {(0, 4), (0, 5)}
    assert {p.identity for p in split.train} == set(range(9))
    assert not {p.path for p in split.train} & {p.path for p in split.validation}
    assert all(p.person != 0 for p in split.train if p.dataset == 0)


def test_bad_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        split_people((DatasetConfig(images=str(tmp_path / "nowhere"), labels=str(tmp_path)),))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no pictures"):
        split_people((DatasetConfig(images=str(tmp_path / "empty"), labels=str(tmp_path)),))
    with pytest.raises(DataError, match="all pictures are of one camera"):
        split_people((make_folder(tmp_path / "one", cameras=1),))
    good = make_folder(tmp_path / "good")
    with pytest.raises(DataError, match="at least 2 must remain"):
        split_people((good.model_copy(update={"validation": 5}),))
    with pytest.raises(DataError, match="parse-labels"):
        split_people((good.model_copy(update={"labels": str(tmp_path / "none")}),))
    single = make_folder(tmp_path / "single", pictures=1)
    for path in Path(single.images).glob("*_c2*"):
        path.rename(path.with_name(f"9{path.name[1:]}"))
    with pytest.raises(DataError, match="single picture"):
        split_people((single,))


def test_a_corrupt_picture_is_named_and_no_cache_is_left(tmp_path: Path) -> None:
    config = make_folder(tmp_path / "data")
    broken = sorted(Path(config.images).iterdir())[4]
    broken.write_bytes(b"not a picture")
    with pytest.raises(DataError, match=broken.name):
        PictureCache(split_people((config,)).train, tmp_path / "cache")
    with pytest.raises(DataError, match=broken.name):
        PictureCache(split_people((config,)).train, tmp_path / "cache")


def test_a_class_map_of_another_size_is_named(tmp_path: Path) -> None:
    config = make_folder(tmp_path / "data")
    path = sorted(Path(config.labels).iterdir())[0]
    cv2.imwrite(str(path), np.zeros((10, 10), np.uint8))
    with pytest.raises(DataError, match=r"10x10, expected 32x64"):
        PictureCache(split_people((config,)).train, tmp_path / "cache")


def test_batches_hold_p_people_with_k_pictures_over_cameras() -> None:
    identities, cameras = np.repeat(np.arange(10), 6), np.tile([1, 1, 1, 1, 1, 2], 10)
    seen = set()
    for step in range(2):
        rows = batch_rows(identities, cameras, people=5, pictures=2, seed=3, step=step)
        again = batch_rows(identities, cameras, people=5, pictures=2, seed=3, step=step)
        assert rows.tolist() == again.tolist()
        assert np.unique(identities[rows], return_counts=True)[1].tolist() == [2] * 5
        assert all(len({cameras[r] for r in rows if identities[r] == i}) == 2 for i in identities[rows])
        seen |= set(identities[rows].tolist())
    assert seen == set(range(10))


def test_a_person_with_one_picture_is_repeated() -> None:
    rows = batch_rows(np.array([0, 1, 1]), np.array([1, 1, 2]), people=2, pictures=4, seed=0, step=0)
    assert sorted(np.array([0, 1, 1])[rows].tolist()) == [0, 0, 0, 0, 1, 1, 1, 1]


def test_occluded_copies_keep_geometry_and_lose_labels_where_covered(tmp_path: Path) -> None:
    cache = PictureCache(split_people((make_folder(tmp_path / "data"),)).train, tmp_path / "cache")
    rows = batch_rows(cache.identities, cache.cameras, people=6, pictures=3, seed=1, step=0)
    batch = make_batch(cache, rows, AugmentationConfig(), seed=1, step=0)
    assert batch.pictures.shape == (36, 256, 128, 3)
    assert batch.labels.shape == (36, 6, 16, 8)
    np.testing.assert_allclose(batch.labels.sum(1), 1)
    assert batch.identities[:18].tolist() == batch.identities[18:].tolist()
    whole, copies = batch.labels[:18, 0], batch.labels[18:, 0]
    assert (copies >= whole - 1e-6).all()
    assert (copies.sum() - whole.sum()) / (1 - whole).sum() > 0.1
    unchanged = np.abs(batch.pictures[18:].astype(int) - batch.pictures[:18]).max(-1) == 0
    assert 0.3 < unchanged.mean() < 0.95
    again = make_batch(cache, rows, AugmentationConfig(), seed=1, step=0)
    assert (again.pictures == batch.pictures).all()


def test_zoom_scales_picture_and_label_alike(tmp_path: Path) -> None:
    cache = PictureCache(split_people((make_folder(tmp_path / "data"),)).train, tmp_path / "cache")
    still = {"flip": 0.0, "crop": 0, "jitter": 0.0, "copies": 0}
    plain = make_batch(cache, np.array([0]), AugmentationConfig(**still), seed=0, step=0)
    ratios = []
    for step in range(12):
        batch = make_batch(cache, np.array([0]), AugmentationConfig(**still, zoom=0.3), seed=0, step=step)
        area = [(b.pictures[0] != 90).any(-1).mean() for b in (plain, batch)]
        shown = [1 - b.labels[0, 0].mean() for b in (plain, batch)]
        assert shown[1] / shown[0] == pytest.approx(area[1] / area[0], abs=0.12)
        ratios.append(area[1] / area[0])
    assert 0.7**2 - 0.05 < min(ratios) < 0.8
    assert 1.2 < max(ratios) < 1.3**2 + 0.05


def test_quality_coarsens_some_pictures_and_no_label(tmp_path: Path) -> None:
    cache = PictureCache(split_people((make_folder(tmp_path / "data"),)).train, tmp_path / "cache")
    rows = np.arange(30)
    still = {"flip": 0.0, "crop": 0, "jitter": 0.0, "copies": 0}
    plain, half = (make_batch(cache, rows, AugmentationConfig(**still, quality=q), seed=0, step=0) for q in (0.0, 0.5))
    changed = (plain.pictures != half.pictures).any((1, 2, 3))
    assert 5 < changed.sum() < 25
    # Coarser, not different: edges are softer, large areas keep their colour.
    assert np.abs(half.pictures.astype(int) - plain.pictures).mean() < 10
    edges = [np.abs(np.diff(b.pictures[changed].astype(int), axis=1)).max((1, 2, 3)).mean() for b in (plain, half)]
    assert edges[1] < 0.8 * edges[0]
    assert (plain.labels == half.labels).all()


def test_class_maps_are_judged() -> None:
    scores = np.zeros((6, 2, 2), np.float32)
    scores[:, 0, 0], scores[:, 0, 1] = [0.6, 0.1, 0.2, 0.05, 0.05, 0], [0.4, 0.2, 0.1, 0.3, 0, 0]
    assert class_map(scores)[0].tolist() == [0, 3]
    good = np.zeros(LABEL_SIZE, np.uint8)
    good[10:30, 8:24], good[30:60, 8:24] = 2, 4
    assert unusable(good) is None
    assert "legs above" in str(unusable(good[::-1]))
    assert "no torso" in str(unusable(np.where(good == 2, 1, good).astype(np.uint8)))
    assert "only" in str(unusable(np.zeros(LABEL_SIZE, np.uint8)))
    assert "of the crop" in str(unusable(np.full(LABEL_SIZE, 2, np.uint8)))


def test_contact_sheet(tmp_path: Path) -> None:
    config = make_folder(tmp_path / "data")
    contact_sheet(sorted(Path(config.images).iterdir()), Path(config.labels), tmp_path / "sheet.png", columns=4, rows=2)
    assert cv2.imread(str(tmp_path / "sheet.png")).shape == (512, 256, 3)
    with pytest.raises(DataError, match="nothing to draw"):
        contact_sheet([], Path(config.labels), tmp_path / "none.png")
    with pytest.raises(DataError, match="not a class map"):
        read_label(sorted(Path(config.images).iterdir())[0])


def test_four_copies_are_one_occluder_on_each_side(tmp_path: Path) -> None:
    cache = PictureCache(split_people((make_folder(tmp_path / "data"),)).train, tmp_path / "cache")
    config = AugmentationConfig(copies=4, patch=1, picture=0, person=0)
    batch = make_batch(cache, np.arange(0, 36, 6), config, seed=1, step=0)
    assert len(batch.pictures) == 30
    sides, shares = batch.sides.reshape(5, 6), batch.shares.reshape(5, 6)
    assert sides.tolist() == [[side] * 6 for side in (-1, 0, 1, 2, 3)]
    assert (shares[0] == 0).all()
    assert all(len(set(column)) == 1 and column[0] in (0.25, 0.5) for column in shares[1:].T)
    changed = np.abs(batch.pictures[6:12].astype(int) - batch.pictures[:6]).max(-1) > 0
    assert not changed[:, :, 64:].any()  # the left copies are untouched on the right


def test_people_with_one_picture_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = logging.getLogger("streamreid")  # the command line of another test may have set up its own
    monkeypatch.setattr(logger, "propagate", True)
    caplog.set_level(logging.WARNING, logger="streamreid")
    config = make_folder(tmp_path / "data")
    for path in sorted(Path(config.images).glob("0003_*"))[1:]:
        path.unlink()
    split = split_people((config,))
    assert sum(p.person == 3 for p in split.train) == 1
    assert "1 people have a single picture (3)" in caplog.text
    identities, cameras = (np.array([getattr(p, n) for p in split.train]) for n in ("identity", "camera"))
    rows = batch_rows(identities, cameras, people=6, pictures=2, seed=0, step=0)
    assert len(rows) == 12  # the one picture stands twice


def test_mirrored_labels_exchange_left_and_right(tmp_path: Path) -> None:
    config = make_folder(tmp_path / "data", people=2)
    for path in Path(config.labels).glob("*.png"):
        label = np.zeros(LABEL_SIZE, np.uint8)
        label[10:50, :16], label[10:50, 16:] = 1, 2
        cv2.imwrite(str(path), label)
    parts = ("left_side", "right_side")
    (Path(config.labels) / "parts.json").write_text('{"parts": ["left_side", "right_side"]}')
    split = split_people((config,))
    assert split.parts == parts
    cache = PictureCache(split.train, tmp_path / "cache", (64, 32), split.parts)
    for flip in (0.0, 1.0):
        batch = make_batch(cache, np.array([0]), AugmentationConfig(flip=flip, crop=0, copies=0), seed=0, step=0)
        assert batch.labels.shape[1] == 3
        assert batch.labels[0, 1, 8].tolist() == [1.0] * 4 + [0.0] * 4  # left stays left of the person in the mirror
    assert cache.usual_areas().tolist() == pytest.approx([40 / 64 / 2] * 2)
