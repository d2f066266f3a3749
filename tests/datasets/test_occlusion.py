"""Where occluders lie and what they cover (no torch needed)."""

import numpy as np
import pytest

from streamreid.datasets.occlusion import (
    SIDES,
    Occlusion,
    Side,
    corner_patch,
    cover,
    draw_occlusion,
    paste_person,
    rectangle,
)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("share", [0.25, 0.5])
def test_rectangles_cover_their_share_of_a_side(side: Side, share: float) -> None:
    mask = np.zeros((256, 128), bool)
    mask[rectangle((256, 128), Occlusion(side, share))] = True
    assert mask.mean() == share
    edge = {"left": mask[:, 0], "right": mask[:, -1], "top": mask[0], "bottom": mask[-1]}[side]
    assert edge.all()


def test_cover_changes_only_the_covered_pixels() -> None:
    image, occluder = np.zeros((256, 128, 3), np.uint8), np.full((40, 90, 3), 200, np.uint8)
    covered, mask = cover(image, occluder, Occlusion("bottom", 0.25))
    assert (covered[mask] == 200).all()
    assert (covered[~mask] == 0).all()
    assert not image.any()


def test_draws_are_even() -> None:
    random = np.random.default_rng(0)
    drawn = [draw_occlusion(random) for _ in range(4000)]
    for side in SIDES:
        assert 900 < sum(d.side == side for d in drawn) < 1100
    assert 1900 < sum(d.share == 0.5 for d in drawn) < 2100


def test_corner_patches_touch_two_edges_and_stay_small() -> None:
    height, width = 256, 128
    rows, columns = np.mgrid[:height, :width].astype(np.uint8)
    image = np.stack([rows, columns, columns], -1)
    random = np.random.default_rng(0)
    for _ in range(50):
        patch = corner_patch(image, random)
        assert 0.015 < patch[..., 0].size / (height * width) < 0.22
        assert patch[0, 0, 0] == 0 or patch[-1, 0, 0] == height - 1
        assert patch[0, 0, 1] == 0 or patch[0, -1, 1] == width - 1


@pytest.mark.parametrize("side", SIDES)
def test_a_pasted_person_comes_in_from_its_side(side: Side) -> None:
    silhouette = np.zeros((256, 128), np.float32)
    silhouette[20:240, 34:94] = 1
    image, person = np.zeros((256, 128, 3), np.uint8), np.full((256, 128, 3), 255, np.uint8)
    covered, mask = paste_person(image, person, silhouette, Occlusion(side, 0.5), np.random.default_rng(2))
    assert mask.any()
    assert not mask.all()
    assert covered[mask].mean() > 120
    rows, columns = np.nonzero(mask)
    centre = {
        "left": columns.mean() < 64,
        "right": columns.mean() > 64,
        "top": rows.mean() < 128,
        "bottom": rows.mean() > 128,
    }
    assert centre[side]
