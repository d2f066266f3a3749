"""Names and folders of ReID datasets."""

from pathlib import Path

import pytest

from streamreid.errors import DataError
from streamreid.training.layouts import Layout, list_pictures


@pytest.mark.parametrize(
    ("layout", "names", "expected"),
    [
        ("market", ["0002_c1s1_000451_03.jpg", "-1_c3s1_000001_00.jpg", "0000_c6_f0046182.png"], [(0, 6), (2, 1)]),
        ("msmt17", ["0003/0003_000_01_0303morning_0015_0.jpg", "0003/0003_001_12_0303noon_0015_0.jpg"], [(3, 1), (3, 12)]),
        ("occluded_reid", ["occluded_body_images/001/001_01.tif", "whole_body_images/001/001_01.tif"], [(1, 0), (1, 1)]),
        ("p_dukemtmc", ["occluded_body_images/0005/0005_c2_f1.jpg", "whole_body_images/0005/0005_c7_f2.jpg"], [(5, 0), (5, 1)]),
    ],
)
def test_names(tmp_path: Path, layout: Layout, names: list[str], expected: list[tuple[int, int]]) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "Thumbs.db").touch()
    assert [(n.person, n.camera) for n in list_pictures(tmp_path, layout)] == expected


def test_a_name_of_another_layout_is_named(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "portrait.jpg").touch()
    with pytest.raises(DataError, match=r"portrait\.jpg.*begin like 0000_000_01_"):
        list_pictures(tmp_path, "msmt17")
    with pytest.raises(DataError, match="holds no pictures"):
        list_pictures(tmp_path, "market")
