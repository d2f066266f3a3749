from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streamreid.cli.evaluate import app
from streamreid.errors import ConfigError

pytest.importorskip("trackeval")
ROWS = "".join(f"{f},{p},{100 * p},{2 * f},20,50,1,-1,-1,-1\n" for f in range(1, 6) for p in (1, 2))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    for camera in ("a", "b"):
        (tmp_path / "run" / f"{camera}.txt").write_text(ROWS)
        (tmp_path / f"gt_{camera}.txt").write_text(ROWS)
    (tmp_path / "gt_b.txt").write_text("".join(line for line in ROWS.splitlines(True) if ",2," in line[:4]))
    return tmp_path


def run(*arguments: object) -> str:
    found = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.output


def test_mot_prints_every_number_where_the_output_is_no_terminal(files: Path) -> None:
    text = run("mot", files / "run" / "a.txt", files / "gt_a.txt")
    header, row = text.splitlines()[:2]
    assert header.split() == [
        "sequence",
        *["HOTA", "DetA", "AssA", "LocA", "MOTA", "MOTP", "IDF1", "IDP", "IDR", "IDSW", "Frag", "FP", "FN"],
    ]
    assert row.split() == ["a", *["1.0000"] * 9, *["0"] * 4]


def test_mot_says_what_was_left_out(files: Path) -> None:
    text = run("mot", files / "run" / "a.txt", files / "gt_a.txt", "--frames", "2:4")
    assert "a: 4 result boxes outside frames 2:4 were left out" in text


def test_mot_json(files: Path) -> None:
    data = json.loads(run("mot", files / "run" / "a.txt", files / "gt_a.txt", "--json"))
    assert data["combined"]["hota"] == pytest.approx(1.0)
    assert data["frames"] == {"a": [1, 5]}


def test_multicam_table_and_json(files: Path) -> None:
    truth = files / "gt_a.txt", files / "gt_b.txt"
    text = run("multicam", files / "run", *truth, "--partial", "b")
    assert text.splitlines()[3].split()[:2] == ["all", "cameras"]
    assert "seen by several cameras: 1 people, 1 of them with one id" in text
    assert "b: 5 result boxes on people who are not annotated were not counted" in text
    data = json.loads(run("multicam", files / "run", *truth, "--json"))
    assert data["combined"]["fp"] == 5
    assert data["identities"]["merge_count"] == 0


def test_multicam_over_time(files: Path) -> None:
    arguments = ("multicam", files / "run", files / "gt_a.txt", files / "gt_b.txt", "--partial", "b", "--over-time")
    text = run(*arguments, "--parts", "2", "--fps", "5")
    assert ["frames", "1:2", "1.0000"] in [line.split()[:3] for line in text.splitlines()]
    assert "elsewhere at that moment        1  1.000                  1  1.000" in text
    data = json.loads(run(*arguments, "--fps", "5", "--json"))["over_time"]
    assert [part["frames"] for part in data["parts"]] == [[1, 1], [2, 3], [4, 5]]
    assert sum(row["count"] for row in data["returns"]) == 1
    with pytest.raises(ConfigError, match="has no times; give --fps"):
        run(*arguments)


@pytest.mark.parametrize("options", [["--frames", "9:1"], ["--frames", "x"], ["--rules", "mot99"]])
def test_wrong_options_are_configuration_errors(files: Path, options: list[str]) -> None:
    with pytest.raises(ConfigError, match=options[0]):
        run("mot", files / "run" / "a.txt", files / "gt_a.txt", *options)


def test_report_of_both_verbs(files: Path) -> None:
    run("mot", files / "run" / "a.txt", files / "gt_a.txt", "--report", files / "mot.html", "--fps", "10")
    run("multicam", files / "run", files / "gt_a.txt", files / "gt_b.txt", "--report", files / "multi.html")
    assert '"clocks":[[[1,0.0],[2,0.1]]]' in (files / "mot.html").read_text()
    assert '"cameras":["a","b"]' in (files / "multi.html").read_text()


def test_world(files: Path) -> None:
    (files / "world.txt").write_text(
        "".join(f"{f},{p},0,0,1,1,1,{f / 2 + 0.3 * (p == 2)},{5 * p},0\n" for f in range(1, 6) for p in (1, 2))
    )
    (files / "gt_world.txt").write_text(
        "".join(f"{f},{p},0,0,1,1,1,{f / 2},{5 * p},0\n" for f in range(1, 6) for p in (1, 2))
    )
    text = run("world", files / "world.txt", files / "gt_world.txt")
    assert "radius 1, mean distance of the matches 0.150" in text
    data = json.loads(run("world", files / "world.txt", files / "gt_world.txt", "--radius", "0.2", "--json"))
    assert data["scores"]["mota"] == pytest.approx(0.0)  # person 2 is missed and false in every frame
    assert data["scores"]["idf1"] == pytest.approx(0.5)
