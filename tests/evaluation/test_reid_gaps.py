"""Scores by the time since people were last seen, by viewpoint and by share visible."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from streamreid.cli import app
from streamreid.errors import DataError
from streamreid.evaluation.reid import PersonImages
from streamreid.evaluation.reid_gaps import PictureTimes, read_times, score_gaps, times_of_names


def drawn(count, seed):
    rng = np.random.default_rng(seed)
    people = PersonImages(
        tuple(Path(f"{seed}_{i}.jpg") for i in range(count)), rng.integers(0, 5, count), rng.integers(1, 4, count)
    )
    sequence = np.array([str(s) for s in rng.integers(1, 3, count)])
    return people, PictureTimes(sequence, rng.uniform(0, 400, count), None, rng.uniform(0, 1, count))


def slowly(similarity, query, gallery, own, other, least, most):
    """Query by query, with lists."""
    found = []
    for q in range(len(query)):
        known = [
            g
            for g in range(len(gallery))
            if other.sequence[g] == own.sequence[q]
            and other.time[g] < own.time[q]
            and not (gallery.persons[g] == query.persons[q] and gallery.cameras[g] == query.cameras[q])
        ]
        right = [g for g in known if gallery.persons[g] == query.persons[q]]
        if right and least <= own.time[q] - max(other.time[g] for g in right) < most:
            ranked = sorted(known, key=lambda g: -similarity[q, g])
            places = [i + 1 for i, g in enumerate(ranked) if g in right]
            found.append((places[0] == 1, sum((n + 1) / p for n, p in enumerate(places)) / len(places)))
    return len(found), *(np.mean(found, 0) if found else ())


@pytest.mark.parametrize("seed", range(3))
def test_by_gap_against_slow_lists(seed):
    (query, own), (gallery, other) = drawn(60, seed), drawn(120, seed + 100)
    similarity = np.random.default_rng(seed).normal(size=(60, 120)).astype(np.float32)
    found = score_gaps(similarity, query, gallery, (own, other))
    edges = {"0 to 2 s": (0, 2), "2 to 10 s": (2, 10), "10 to 60 s": (10, 60), "60 to 300 s": (60, 300)}
    rows = {g.name: (g.queries, g.r1, g.map) for g in found.gaps}
    for name, (least, most) in {**edges, "300 s and more": (300, np.inf)}.items():
        expected = slowly(similarity, query, gallery, own, other, least, most)
        assert rows.get(name, (0,)) == pytest.approx(expected), name
    assert sum(g.queries for g in found.gaps) + found.new == 60
    assert [g.name for g in found.viewpoints] == ["camera 1", "camera 2", "camera 3"]
    assert {g.name for g in found.visible} <= {"0% to 25%", "25% to 50%", "50% to 75%", "75% to 100%"}
    assert sum(g.queries for g in found.visible) == sum(g.queries for g in found.viewpoints)


def test_frames_of_names_become_seconds():
    names = ["0002_c1s1_000451_03.jpg", "0002_c3s2_000051_00.jpg", "0001_c2_f0046182.jpg"]
    found = times_of_names([Path("q") / n for n in [*names, "0002_c1s1_000501_03.jpg"]], 25.0)
    assert found.sequence.tolist() == ["1", "2", "0", "1"]
    assert found.time.tolist() == [451 / 25, 51 / 25, 46182 / 25, 501 / 25]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["0002_c1.jpg"], "says no frame .* --times TABLE.csv"),
        (["0002_c1s1_000001_03.jpg", "0003_c1s1_000004_03.jpg"], "numbers of pictures and not frames"),
    ],
)
def test_names_without_times_are_refused(names, said):
    with pytest.raises(DataError, match=said):
        times_of_names([Path("query") / n for n in names], 25.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read"),
        ("file,time\na.jpg,1\n", "needs the columns picture and time, has file, time"),
        ("picture,time\nb.jpg,1\n", "has no row for a.jpg"),
        ("picture,time\na.jpg,noon\n", "time of a.jpg is 'noon', expected a number"),
        ("picture,time,visible\na.jpg,1,1.5\n", "visible of a.jpg is '1.5', expected a number in 0..1"),
    ],
)
def test_bad_tables_are_refused(tmp_path, text, said):
    table = tmp_path / "times.csv"
    if text is not None:
        table.write_text(text)
    with pytest.raises(DataError, match=said):
        read_times(table, [Path("query/a.jpg")])


def test_nobody_seen_before_is_said():
    query, own = drawn(4, 0)
    late = PictureTimes(own.sequence, own.time + 1000)
    with pytest.raises(DataError, match="another camera saw before"):
        score_gaps(np.zeros((4, 4), np.float32), query, query, (own, late))


@pytest.fixture
def dataset(tmp_path):
    rng = np.random.default_rng(0)
    rows = ["picture,time,viewpoint\n"]
    for person in (1, 2):
        look = rng.integers(0, 256, (16, 8, 3), dtype=np.uint8)
        for camera, folder in ((1, "query"), (2, "bounding_box_test")):
            (tmp_path / folder).mkdir(exist_ok=True)
            name = f"{person:04d}_c{camera}s1_000001_00.jpg"
            cv2.imwrite(str(tmp_path / folder / name), cv2.resize(look, (64, 128), interpolation=cv2.INTER_CUBIC))
            rows.append(f"{folder}/{name},{100 if camera == 1 else 100 - 30 * person},front\n")
    (tmp_path / "times.csv").write_text("".join(rows))
    return tmp_path


def test_on_the_command_line(dataset):
    page = dataset / "page.html"
    call = ["evaluate", "reid", "pab-osnet-small", str(dataset), "--gaps", "--times", str(dataset / "times.csv")]
    result = CliRunner().invoke(app, [*call, "--report", str(page), "--json"])
    assert result.exit_code == 0, result.output
    groups = json.loads(result.stdout)["by_group"]
    assert [(g["name"], g["queries"], g["r1"]) for g in groups["gaps"]] == [
        ("10 to 60 s", 1, 1.0),
        ("60 to 300 s", 1, 1.0),
    ]
    assert [g["name"] for g in groups["viewpoints"]] == ["front"]
    text = page.read_text()
    assert "10 to 60 s" in text
    assert "By share visible" in text
    assert "http" not in text
    refused = CliRunner().invoke(app, ["evaluate", "reid", "pab-osnet-small", str(dataset), "--gaps"])
    assert isinstance(refused.exception, DataError)
    assert "has no times" in str(refused.exception)
