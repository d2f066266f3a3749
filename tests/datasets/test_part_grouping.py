"""How fine parts become the network's parts."""

from pathlib import Path

import numpy as np
import pytest

from streamreid.datasets.part_grouping import (
    FIELD_NAMES,
    GROUPINGS,
    load_grouping,
    mirrored_parts,
    read_parts,
    write_parts,
)
from streamreid.errors import ConfigError, DataError


def test_the_channels_of_the_reference_files() -> None:
    # BPBReID's order: 17 COCO keypoints, then 19 limbs from left ankle-knee to right ear-shoulder.
    assert len(FIELD_NAMES) == 36
    assert FIELD_NAMES[:5] == ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
    assert FIELD_NAMES[16:19] == ("right_ankle", "left_ankle-left_knee", "left_knee-left_hip")
    assert (FIELD_NAMES[21], FIELD_NAMES[24], FIELD_NAMES[35]) == (
        "left_hip-right_hip",
        "left_shoulder-right_shoulder",
        "right_ear-right_shoulder",
    )


@pytest.mark.parametrize(
    ("name", "part", "fields"),
    [
        ("eight", "head", {0, 1, 2, 3, 4, 29, 30, 31, 32, 33, 34, 35}),
        ("eight", "left_arm", {5, 7, 9, 25, 27}),
        ("eight", "right_leg", {14, 19, 20}),
        ("eight", "left_leg", {13, 17, 18, 21}),
        ("eight", "torso", {11, 12, 21, 22, 23, 24}),
        ("five", "feet", {15, 16}),
        ("five", "arms", {5, 6, 7, 8, 9, 10, 25, 26, 27, 28}),
        ("five_vertical", "upper_body", {5, 6, 7, 8, 24, 25, 26}),
    ],
)
def test_members_by_hand(name: str, part: str, fields: set[int]) -> None:
    assert set(load_grouping(name).parts[part].fields) == fields


def test_a_part_is_the_maximum_of_its_members() -> None:
    channels = np.zeros((26, 2, 2), np.float32)
    channels[0, 0, 0], channels[1, 0, 0], channels[1, 1, 1], channels[22, 0, 1] = 0.3, 0.7, 0.4, 0.9
    merged = GROUPINGS["five"].merge(channels, "bodypix")
    assert merged.shape == (5, 2, 2)
    assert merged[0].tolist() == pytest.approx(np.array([[0.7, 0], [0, 0.4]]))
    assert merged[4, 0, 1] == pytest.approx(0.9)


@pytest.mark.parametrize("name", GROUPINGS)
def test_built_in_groupings_know_both_vocabularies(name: str) -> None:
    grouping = load_grouping(name)
    for vocabulary, count in (("bodypix", 26), ("fields", 36)):
        assert grouping.merge(np.zeros((count, 1, 1), np.float32), vocabulary).shape == (len(grouping.names), 1, 1)


def test_mirroring_exchanges_left_and_right() -> None:
    assert mirrored_parts(GROUPINGS["five"].names) == (0, 1, 2, 3, 4)
    assert mirrored_parts(GROUPINGS["eight"].names) == (0, 2, 1, 3, 5, 4, 7, 6)


def test_an_own_grouping(tmp_path: Path) -> None:
    path = tmp_path / "two.yaml"
    path.write_text(
        "parts:\n  top: {bodypix: [0, 12], fields: [nose, left_shoulder-right_shoulder]}\n  bottom: {fields: [13, "
        "14]}\nupper: [top]\n"
    )
    grouping = load_grouping(path)
    assert grouping.names == ("top", "bottom")
    assert grouping.parts["top"].fields == (0, 24)
    with pytest.raises(ConfigError, match="'bottom' says nothing under 'bodypix'"):
        grouping.merge(np.zeros((26, 1, 1), np.float32), "bodypix")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("parts: {head: {bodypix: [99]}}", r"must lie in 0..25"),
        ("parts: {head: {fields: [tail]}}", "tuple.index"),
        ("parts: {head: {bodipix: [1]}}", "unknown key bodipix"),
        ("teeth: 1", "expected 'parts"),
        ("parts: {head: {bodypix: [1]}}\nupper: [hat]", "do not exist: hat"),
    ],
)
def test_wrong_groupings_are_explained(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_grouping(path)


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="five, eight, five_vertical"):
        load_grouping("seven")


def test_a_folder_remembers_its_parts(tmp_path: Path) -> None:
    assert read_parts(tmp_path) == GROUPINGS["five"].names
    write_parts(tmp_path, GROUPINGS["eight"].names)
    assert read_parts(tmp_path) == GROUPINGS["eight"].names
    with pytest.raises(DataError, match="choose another folder"):
        write_parts(tmp_path, GROUPINGS["five"].names)
    (tmp_path / "parts.json").write_text("{}")
    with pytest.raises(DataError, match=r"parts\.json"):
        read_parts(tmp_path)
