"""Generated scenes: the truth fits the pictures, the cameras and itself."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from streamreid.config import load_config
from streamreid.errors import ConfigError, DataError, OutputError
from streamreid.evaluation.formats import read_tables
from streamreid.evaluation.world import read_positions
from streamreid.synth import Person, Picture, SceneConfig, read_people, record
from streamreid.synth.camera_recording import Shot
from streamreid.synth.crowd_simulation import walk
from streamreid.synth.cutouts import Cutout, cut_out
from streamreid.synth.process_pool import film_all
from streamreid.synth.scene_layout import MARGIN, lay_out
from streamreid.synth.scene_writer import pictures_for

COLOURS = ((30, 30, 230), (40, 220, 40), (230, 60, 40), (40, 220, 220), (220, 50, 220), (230, 230, 60))


def flat_person(number: int) -> Person:
    """Somebody of one plain colour."""
    alpha = np.full((96, 32), 255, np.uint8)
    colour = np.broadcast_to(np.array(COLOURS[number % len(COLOURS)], np.uint8), (96, 32, 3)).copy()
    return Person(number, {1: [Cutout(colour, alpha)], 2: [Cutout(colour, alpha)]})


def make(folder: Path, processes: int = 1, **values: object) -> tuple[SceneConfig, Path]:
    folder.mkdir()
    config = SceneConfig.model_validate(
        {"people": 5, "cameras": 2, "seconds": 8.0, "fps": 5.0, "width": 320, "height": 240, "lighting": 0.0, **values}
    )
    record(config, [flat_person(i) for i in range(config.people)], folder, processes=processes)
    return config, folder


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[SceneConfig, Path]:
    """Two cameras that look at one place."""
    return make(tmp_path_factory.mktemp("synth") / "pair", overlap=1.0, people=6, seconds=20.0)


def frames(path: Path) -> list[tuple[float, np.ndarray]]:
    with av.open(str(path)) as container:
        return [(f.time, f.to_ndarray(format="bgr24")) for f in container.decode(video=0)]


def test_what_is_written(pair: tuple[SceneConfig, Path]) -> None:
    config, folder = pair
    read = load_config(folder / "cams.yaml")
    assert [c.name for c in read.cameras] == ["cam01", "cam02"]
    truth = read_tables(folder / "truth")
    assert sorted(truth) == ["cam01", "cam02"]
    for camera in read.cameras:
        pictures = frames(Path(camera.uri))
        assert len(pictures) == 100
        assert truth[camera.name].frames.max() <= 100
        assert pictures[0][1].shape == (240, 320, 3)
        matrix = np.loadtxt(folder / "calibration" / f"{camera.name}.txt")
        assert matrix.shape == (3, 4)
    assert len(read_positions(folder / "world.txt")) > 100
    assert json.loads((folder / "scene.json").read_text())["config"]["people"] == config.people


def test_the_person_is_where_the_truth_says(pair: tuple[SceneConfig, Path]) -> None:
    _, folder = pair
    looked = hits = 0
    pictures = frames(folder / "cam01.mp4")
    for row in np.loadtxt(folder / "truth" / "cam01.txt", delimiter=","):
        frame, person, left, top, width, height = row[:6].astype(int)
        if row[8] > 0.99 and height > 30 and width > 8:
            patch = pictures[frame - 1][1][
                top + height // 3 : top + height // 2, left + width // 3 : left + width - width // 3
            ]
            looked += 1
            hits += int(np.abs(patch.reshape(-1, 3).mean(0) - COLOURS[person - 1]).max() < 40)
    assert looked > 20
    assert hits / looked > 0.95


@pytest.mark.parametrize("camera", ["cam01", "cam02"])
def test_boxes_stand_on_their_world_positions(pair: tuple[SceneConfig, Path], camera: str) -> None:
    config, folder = pair
    world = read_positions(folder / "world.txt")
    at = {(int(f), int(i)): p for f, i, p in zip(world.frames, world.ids, world.points, strict=True)}
    matrix = np.loadtxt(folder / "calibration" / f"{camera}.txt")
    errors = []
    for row in np.loadtxt(folder / "truth" / f"{camera}.txt", delimiter=","):
        bottom = row[3] + row[5]
        if (
            (point := at.get((int(row[0]), int(row[1])))) is not None
            and bottom < config.height
            and 0 < row[2] < config.width - row[4] - 1
        ):
            seen = matrix @ [*point, 0.0, 1.0]
            errors.append(np.hypot(seen[0] / seen[2] - row[2] - row[4] / 2, seen[1] / seen[2] - bottom))
    assert len(errors) > 20
    assert np.median(errors) < 4


def test_somebody_behind_is_less_visible(pair: tuple[SceneConfig, Path]) -> None:
    _, folder = pair
    rows = np.concatenate([np.loadtxt(folder / "truth" / f"cam0{i}.txt", delimiter=",") for i in (1, 2)])
    assert ((rows[:, 8] >= 0) & (rows[:, 8] <= 1)).all()
    assert (rows[:, 8] < 0.7).any()
    assert ((rows[:, 8] >= 0.1) == (rows[:, 6] == 1)).all()


def test_visibility_is_what_can_be_counted_in_the_picture(tmp_path: Path) -> None:
    """People of plain colours are rectangles, so that the share of the box that has the colour is what is seen of
    them."""
    config, folder = make(tmp_path / "heavy", overlap=1.0, people=6, seconds=12.0, level="heavy", width=512, height=288)
    truths, counts = [], []
    for camera in ("cam01", "cam02"):
        pictures = frames(folder / f"{camera}.mp4")
        for row in np.loadtxt(folder / "truth" / f"{camera}.txt", delimiter=","):
            frame, person, left, top, width, height = row[:6].astype(int)
            if (
                height > 48
                and width > 16
                and 0 < left < config.width - width - 1
                and 0 < top < config.height - height - 1
            ):
                patch = pictures[frame - 1][1][top : top + height, left : left + width].astype(int)
                counts.append(float((np.abs(patch - COLOURS[person - 1]).max(2) < 70).mean()))
                truths.append(row[8])
    difference = np.abs(np.array(truths) - counts)
    assert len(truths) > 100
    assert (np.array(truths) < 0.6).sum() > 20
    assert np.median(difference) < 0.06
    assert np.percentile(difference, 95) < 0.15


def test_processes_do_not_change_the_scene(tmp_path: Path) -> None:
    values = {"seed": 2, "seconds": 2.0, "cameras": 3, "lighting": 1.0, "skew": 0.5, "drop": 0.1, "level": "heavy"}
    _, one = make(tmp_path / "one", **values)
    _, two = make(tmp_path / "two", processes=2, **values)
    files = sorted(p.relative_to(one) for p in one.rglob("*") if p.is_file())
    assert len(files) == 3 * 5 + 3
    assert all((one / f).read_bytes() == (two / f).read_bytes() for f in files)


class Fatal:
    """Ends the process that reads it."""

    def __reduce__(self) -> tuple[object, tuple[int]]:
        return os._exit, (3,)


def test_a_process_that_dies_is_an_error(tmp_path: Path) -> None:
    good, nowhere = shots_of(tmp_path), shots_of(tmp_path / "nowhere")
    with pytest.raises(OutputError, match=r"cam0\d ended \(exit code 3\)"):
        film_all(lambda number: replace(good(number), looks={0: [Fatal()]}), 2, 2)  # type: ignore[list-item]
    with pytest.raises(OutputError, match="cannot write cam0"):
        film_all(nowhere, 2, 2)


def test_a_mistake_in_the_parent_ends_the_processes() -> None:
    with pytest.raises(ZeroDivisionError):
        film_all(lambda number: 1 // 0, 2, 2)  # type: ignore[arg-type, return-value]


def shots_of(out: Path) -> Callable[[int], Shot]:
    """What two cameras with nobody in sight film."""
    config = SceneConfig(people=1, cameras=2, seconds=1.0)
    rng = np.random.default_rng(0)
    places, views = lay_out(config, rng)
    walks = walk(config, places, rng)
    return lambda number: Shot(config, views[number], places[views[number].place], walks, {}, (0, 1, 2), out)


def test_the_same_seed_gives_the_same_scene(tmp_path: Path) -> None:
    _, one = make(tmp_path / "one", seed=4, seconds=3.0)
    _, two = make(tmp_path / "two", seed=4, seconds=3.0)
    _, other = make(tmp_path / "other", seed=5, seconds=3.0)
    names = ["world.txt", "truth/cam01.txt", "detections/cam02.txt", "calibration/cam01.txt"]
    assert all((one / n).read_bytes() == (two / n).read_bytes() for n in names)
    assert (one / "world.txt").read_bytes() != (other / "world.txt").read_bytes()
    assert all(
        np.array_equal(a[1], b[1]) for a, b in zip(frames(one / "cam01.mp4"), frames(two / "cam01.mp4"), strict=True)
    )


def test_wrong_clocks_lost_frames_and_pauses(tmp_path: Path) -> None:
    config, folder = make(tmp_path / "bad", skew=1.5, drop=0.2, offline=2, seconds=10.0)
    scene = json.loads((folder / "scene.json").read_text())["cameras"]
    assert scene["cam01"]["skew"] == 0
    assert 0 < abs(scene["cam02"]["skew"]) <= 1.5
    for name, camera in scene.items():
        times = [t for t, _ in frames(folder / f"{name}.mp4")]
        begin, end = camera["offline"]
        assert times[0] == 0
        assert not [t for t in times if begin <= t < end]
        assert len(times) == config.duration * config.fps - camera["lost_frames"]
        assert camera["lost_frames"] > (end - begin) * config.fps  # some were lost besides
        assert np.loadtxt(folder / "truth" / f"{name}.txt", delimiter=",")[:, 0].max() <= len(times)


def test_skew_shifts_what_is_seen(tmp_path: Path) -> None:
    config, folder = make(tmp_path / "late", skew=2.0, overlap=1.0, seconds=12.0)
    skew = json.loads((folder / "scene.json").read_text())["cameras"]["cam02"]["skew"]
    world = read_positions(folder / "world.txt")
    at = {(int(f), int(i)): p for f, i, p in zip(world.frames, world.ids, world.points, strict=True)}
    matrix = np.loadtxt(folder / "calibration" / "cam02.txt")

    def error(shift: int) -> float:
        found = []
        for row in np.loadtxt(folder / "truth" / "cam02.txt", delimiter=","):
            point = at.get((int(row[0]) + shift, int(row[1])))
            if point is not None and row[3] + row[5] < config.height:
                seen = matrix @ [*point, 0.0, 1.0]
                found.append(abs(seen[0] / seen[2] - row[2] - row[4] / 2))
        return float(np.median(found))

    assert error(round(skew * config.fps)) < 4
    assert min(range(-10, 11), key=error) == pytest.approx(skew * config.fps, abs=1)


def test_nobody_walks_through_anybody() -> None:
    config = SceneConfig(people=40, cameras=2, overlap=1.0, level="heavy", seconds=60)
    rng = np.random.default_rng(0)
    places, _ = lay_out(config, rng)
    positions = walk(config, places, rng).at(np.arange(0, 60, 0.1))
    with np.errstate(invalid="ignore"):
        gaps = np.linalg.norm(positions[:, :, None] - positions[:, None], axis=3)
        gaps[:, np.arange(40), np.arange(40)] = np.inf
        nearest = np.where(np.isfinite(positions[..., 0]), np.nan_to_num(gaps, nan=np.inf).min(2), np.inf)
        speed = np.linalg.norm(np.diff(positions, axis=0), axis=2) / 0.1
    assert np.percentile(nearest[np.isfinite(nearest)], 2) > 0.15
    assert np.nanmax(speed) < 3.0
    assert np.nanmedian(speed) > 0.5


def test_ways_are_stored_for_the_time_somebody_is_there() -> None:
    config = SceneConfig(people=10, cameras=2, seconds=1000)
    rng = np.random.default_rng(0)
    places, _ = lay_out(config, rng)
    walks = walk(config, places, rng)
    assert len(walks.points) < 0.1 * walks.steps * config.people
    there = np.isfinite(walks.at(walks.start + 0.1 * np.arange(walks.steps - 1))[..., 0])
    assert there.any(0).all()
    assert there.sum() + config.people >= len(walks.points) - config.people
    some = np.array([7, 2])
    assert np.array_equal(walks.at([30.0, 99.5], some), walks.at([30.0, 99.5])[:, some], equal_nan=True)
    seen = np.isfinite(walks.at(np.arange(0, 1000, 0.5))[..., 0]) & places[0].inside(
        walks.at(np.arange(0, 1000, 0.5)), MARGIN
    )
    assert set(np.flatnonzero(seen.any(0))) <= set(walks.visitors(places[0]))


def test_cameras_share_out_pictures() -> None:
    cutouts = [flat_person(i).cutouts[1][0] for i in range(7)]
    person = Person(1, {3: cutouts[:5], 5: cutouts[5:]})
    given = [pictures_for(person, number, 4) for number in range(4)]
    assert [len(g) for g in given] == [3, 1, 2, 1]
    assert len({id(c) for g in given for c in g}) == 7
    assert {id(c) for c in given[0] + given[2]} == {id(c) for c in cutouts[:5]}
    lonely = Person(2, {3: cutouts[:2]})
    assert all(len(pictures_for(lonely, number, 5)) == 1 for number in range(5))


@pytest.mark.parametrize(("people", "cameras"), [(5, 2), (300, 12)])
def test_levels_are_as_crowded_as_they_say(people: int, cameras: int) -> None:
    lengths = {
        level: SceneConfig(people=people, cameras=cameras, level=level).duration
        for level in ("light", "medium", "heavy")
    }
    assert lengths["light"] >= lengths["medium"] >= lengths["heavy"] >= 60
    assert sum(SceneConfig(people=people, cameras=cameras).groups) == cameras


def crop(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A red figure on a grey noisy ground, and its mask."""
    image = rng.normal(120, 8, (128, 48, 3)).clip(0, 255).astype(np.uint8)
    mask = np.zeros((128, 48), np.uint8)
    cv2.ellipse(mask, (24, 14), (7, 11), 0, 0, 360, 1, -1)
    cv2.rectangle(mask, (13, 24), (35, 70), 1, -1)
    cv2.rectangle(mask, (15, 70), (33, 124), 1, -1)
    image[mask > 0] = (20, 20, 200)
    return image, mask


@pytest.mark.parametrize("masked", [True, False])
def test_a_person_is_cut_out(masked: bool) -> None:
    image, mask = crop(np.random.default_rng(0))
    found = cut_out(image, cv2.resize(mask, (32, 64), interpolation=cv2.INTER_NEAREST) if masked else None)
    assert found is not None
    assert 115 <= found.alpha.shape[0] <= 128
    solid = found.alpha > 250
    assert (np.abs(found.colour[solid].astype(int) - (20, 20, 200)).max(1) < 30).mean() > 0.95


def test_no_person_no_cutout() -> None:
    image = np.full((128, 48, 3), 120, np.uint8)
    mask = np.zeros((64, 32), np.uint8)
    mask[40:44] = 1
    assert cut_out(image[:20], None) is None
    assert cut_out(image, mask) is None or cut_out(image, mask).alpha.shape[0] > 80


def test_people_from_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pictures = []
    for person in range(3):
        for camera in (1, 2):
            path = tmp_path / f"{person:04d}_c{camera}s1_000000_00.png"
            cv2.imwrite(str(path), crop(rng)[0])
            pictures.append(Picture(path, person, camera))
    found = read_people(pictures, lambda path, image: None, 2, seed=1)
    assert len(found) == 2
    assert all(set(p.cutouts) == {1, 2} for p in found)
    with pytest.raises(ConfigError, match="pictures of 3 only"):
        read_people(pictures, lambda path, image: None, 4)
    cv2.imwrite(str(pictures[4].path), np.zeros((20, 8, 3), np.uint8))
    cv2.imwrite(str(pictures[5].path), np.zeros((20, 8, 3), np.uint8))
    with pytest.raises(ConfigError, match="only 2 of 3 could be cut out"):
        read_people(pictures, lambda path, image: None, 3)
    pictures[0].path.write_bytes(b"no picture")
    with pytest.raises(DataError, match="not a picture"):
        read_people(pictures, lambda path, image: None, 3)


def test_numbers_that_make_no_scene(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="even"):
        SceneConfig(width=321)
    with pytest.raises(ValueError, match="cannot be off"):
        SceneConfig(cameras=1, offline=2)
    with pytest.raises(ValueError, match="no frame at all"):
        SceneConfig(seconds=0.01)
    with pytest.raises(ConfigError, match="has 5 people, but 4"):
        record(SceneConfig(people=5), [flat_person(i) for i in range(4)], tmp_path)
