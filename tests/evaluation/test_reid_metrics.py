"""CMC, mAP, mINP and re-ranking against independent implementations."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from streamreid.errors import DataError
from streamreid.evaluation.occluded import occlude_queries, score_engine
from streamreid.evaluation.reid import PersonImages, rank_scores, read_folder, rerank
from streamreid.types import PartFeatures


def people(persons: list[int], cameras: list[int]) -> PersonImages:
    return PersonImages(tuple(Path(f"{i}.jpg") for i in range(len(persons))), np.array(persons), np.array(cameras))


def slow_scores(similarity: np.ndarray, query: PersonImages, gallery: PersonImages) -> tuple[float, float, float]:
    """An independent implementation: explicit loops over ranked lists."""
    first, precisions, inverse = [], [], []
    for q in range(len(query)):
        ranked = sorted(range(len(gallery)), key=lambda g: -similarity[q, g])
        hits, seen, own = 0, 0, []
        for g in ranked:
            if gallery.persons[g] == query.persons[q] and gallery.cameras[g] == query.cameras[q]:
                continue
            seen += 1
            if gallery.persons[g] == query.persons[q]:
                hits += 1
                own.append((hits / seen, seen))
        if own:
            first.append(own[0][1] == 1)
            precisions.append(sum(p for p, _ in own) / len(own))
            inverse.append(len(own) / own[-1][1])
    return float(np.mean(first)), float(np.mean(precisions)), float(np.mean(inverse))


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_an_independent_implementation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    query, gallery = (
        people(list(rng.integers(0, 6, 20)), list(rng.integers(1, 4, 20))),
        people(list(rng.integers(0, 8, 60)), list(rng.integers(1, 4, 60))),
    )
    similarity = rng.normal(size=(20, 60)).astype(np.float32)
    scores = rank_scores(similarity, query, gallery)
    assert (scores.r1, scores.map, scores.minp) == pytest.approx(slow_scores(similarity, query, gallery), abs=1e-6)


def test_by_hand() -> None:
    # Ranks of the matches: 1 and 3 (the same camera's match at rank 0 is left out): AP = (1/1 + 2/3) / 2, mINP = 2/3.
    query, gallery = people([1], [1]), people([1, 1, 2, 1], [1, 2, 1, 3])
    scores = rank_scores(np.array([[0.9, 0.8, 0.7, 0.6]], np.float32), query, gallery)
    assert scores.map == pytest.approx((1 + 2 / 3) / 2)
    assert scores.minp == pytest.approx(2 / 3)
    assert scores.r1 == 1.0


def test_queries_without_a_match_are_skipped_and_all_skipped_is_an_error() -> None:
    query, gallery = people([1, 5], [1, 1]), people([1, 2], [2, 2])
    assert rank_scores(np.array([[1, 0], [1, 0]], np.float32), query, gallery).queries == 1
    with pytest.raises(DataError, match="another camera"):
        rank_scores(np.ones((1, 1), np.float32), people([1], [1]), people([1], [1]))


def test_nan_and_wrong_shapes_are_named() -> None:
    with pytest.raises(DataError, match="NaN"):
        rank_scores(np.array([[np.nan]], np.float32), people([1], [1]), people([1], [2]))
    with pytest.raises(DataError, match="expected"):
        rank_scores(np.ones((2, 1), np.float32), people([1], [1]), people([1], [2]))


def test_folder_names(tmp_path: Path) -> None:
    for name in ("0002_c1s1_000451_03.jpg", "-1_c3s1_000001_00.jpg", "0007_c12_000001.png"):
        (tmp_path / name).touch()
    found = read_folder(tmp_path)
    assert found.persons.tolist() == [2, 7]
    assert found.cameras.tolist() == [1, 12]
    (tmp_path / "portrait.jpg").touch()
    with pytest.raises(DataError, match=r"portrait\.jpg"):
        read_folder(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        read_folder(tmp_path / "nowhere")


def test_reranking_helps_where_neighbours_agree() -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(10, 8)) * 2
    points = np.repeat(centres, 6, axis=0) + rng.normal(size=(60, 8)) * 1.4
    ids = np.repeat(np.arange(10), 6)
    query, rest = np.arange(0, 60, 6), np.setdiff1d(np.arange(60), np.arange(0, 60, 6))
    distance = np.linalg.norm(points[:, None] - points[None], axis=-1)
    q, g = people(list(ids[query]), [1] * 10), people(list(ids[rest]), [2] * 50)
    plain = rank_scores(-distance[np.ix_(query, rest)].astype(np.float32), q, g)
    better = rerank(
        distance[np.ix_(query, query)], distance[np.ix_(query, rest)], distance[np.ix_(rest, rest)], k1=6, k2=3
    )
    assert better.shape == (10, 50)
    assert rank_scores(-better, q, g).map > plain.map


def test_occlusions_are_the_same_for_the_same_seed_and_never_of_the_same_person() -> None:
    pictures = [np.full((80, 40, 3), 10 + i, np.uint8) for i in range(6)]
    a, b = (occlude_queries(pictures[:3], [0, 1, 2], pictures, [0, 1, 2, 0, 1, 2], "person", seed=4) for _ in range(2))
    assert all((x == y).all() for x, y in zip(a, b, strict=True))
    for number, image in enumerate(a):
        values = set(np.unique(image).tolist())
        assert 10 + number in values
        assert 13 + number not in values
        assert len(values) == 2


def test_score_engine_tells_parts_from_whole(tmp_path: Path) -> None:
    # An engine whose part slot knows the person and whose whole-person slot knows nothing.
    images, ids = [], []
    for person in range(4):
        for camera in (1, 2):
            image = np.full((64, 32, 3), 40 * person + 20, np.uint8)
            path = tmp_path / f"{person:04d}_c{camera}s1_000000_00.png"
            cv2.imwrite(str(path), image)
            images.append(path)
            ids.append(person)

    def embed(pictures):
        middle = np.array([int(np.median(p)) for p in pictures]) / 255 * np.pi / 2
        part = np.stack([np.cos(middle), np.sin(middle)], -1)
        whole = np.tile([1.0, 0.0], (len(pictures), 1))
        return PartFeatures(np.stack([whole, part], 1).astype(np.float32), np.ones((len(pictures), 2), np.float32))

    everyone = read_folder(tmp_path)
    scores = score_engine(embed, everyone, everyone)
    assert scores.parts["clean"].map == 1.0
    assert scores.whole["clean"].map < 0.6
    assert set(scores.parts) == {"clean", "patch", "person"}
