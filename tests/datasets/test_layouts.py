"""Names and folders of ReID datasets."""

from pathlib import Path

import pytest

from streamreid.datasets.layouts import Layout, list_pictures, list_pictures_of
from streamreid.errors import DataError


@pytest.mark.parametrize(
    ("layout", "names", "expected"),
    [
        ("market", ["0002_c1s1_000451_03.jpg", "-1_c3s1_000001_00.jpg", "0000_c6_f0046182.png"], [(0, 6), (2, 1)]),
        (
            "msmt17",
            ["0003/0003_000_01_0303morning_0015_0.jpg", "0003/0003_001_12_0303noon_0015_0.jpg"],
            [(3, 1), (3, 12)],
        ),
        ("cuhk03", ["1_001_1_01.png", "1_001_2_06.png", "3_001_1_02.png"], [(10001, 1), (10001, 2), (30001, 5)]),
        ("market", ["0001_c2_f0046182.jpg", "0702_c1_1.png"], [(1, 2), (702, 1)]),  # Occluded-Duke, CUHK03-NP
        (
            "occluded_reid",
            ["occluded_body_images/001/001_01.tif", "whole_body_images/001/001_01.tif"],
            [(1, 0), (1, 1)],
        ),
        (
            "p_dukemtmc",
            ["occluded_body_images/0005/0005_c2_f1.jpg", "whole_body_images/0005/0005_c7_f2.jpg"],
            [(5, 0), (5, 1)],
        ),
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


def test_crops_of_runs_become_people(tmp_path: Path) -> None:
    header = "camera,track,global_id,probability,scope\n"
    for run, table in (
        ("run-0001", "gate,1,7,1.0,run-0001\nyard,4,7,0.9,run-0001\n"),
        ("run-0002", "gate,1,7,1.0,run-0002\n"),
    ):
        for camera in ("gate", "yard"):
            (tmp_path / run / camera).mkdir(parents=True)
            for track in (1, 4):
                (tmp_path / run / camera / f"{track:06d}_00000012.jpg").touch()
        (tmp_path / run / "identities.csv").write_text(header + table)
    found = list_pictures(tmp_path, "tracks")
    # Person 7 of the first run was seen by both cameras; the second run's 7 is somebody else; all other tracks have no
    # identity.
    assert [(n.path.parts[-3], n.person, n.camera) for n in found] == [
        ("run-0001", 0, 0),
        ("run-0001", 0, 1),
        ("run-0002", 1, 0),
    ]


def test_crops_of_live_runs_go_on(tmp_path: Path) -> None:
    for run in ("run-0001", "run-0002"):
        (tmp_path / run / "gate").mkdir(parents=True)
        (tmp_path / run / "gate" / "000001_00000003.jpg").touch()
        (tmp_path / run / "identities.csv").write_text("camera,track,global_id,probability,scope\ngate,1,5,1.0,live\n")
    assert [n.person for n in list_pictures(tmp_path, "tracks")] == [0, 0]
    (tmp_path / "run-0002" / "identities.csv").write_text("who\nme\n")
    with pytest.raises(DataError, match=r"identities\.csv: not written by streamreid run"):
        list_pictures(tmp_path, "tracks")


def test_a_folder_without_runs_says_how_to_save_crops(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"output\.crops=true"):
        list_pictures(tmp_path, "tracks")


def test_lists_of_msmt17(tmp_path: Path) -> None:
    name = "0007/0007_004_05_0303noon_0015_0.jpg"
    (tmp_path / "test" / "0007").mkdir(parents=True)
    (tmp_path / "test" / name).touch()
    table = tmp_path / "list_query.txt"
    table.write_text(f"{name} 7\n\n")
    assert [(n.person, n.camera) for n in list_pictures_of(table, tmp_path / "test")] == [(7, 5)]
    table.write_text("0008/none.jpg 8\n")
    with pytest.raises(DataError, match=r"none\.jpg, which does not exist"):
        list_pictures_of(table, tmp_path / "test")
    with pytest.raises(DataError, match="no such list"):
        list_pictures_of(tmp_path / "list_gallery.txt", tmp_path)
