"""Results of benchmarks are written with what they depend on, and two of them are compared."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def save(path, figures):
    code = (
        "import sys, json; sys.path.insert(0, 'benchmarks'); from _results import save; from pathlib import Path; "
        "save('speed', json.loads(sys.argv[1]), path=Path(sys.argv[2]))"
    )
    return subprocess.run(
        [sys.executable, "-c", code, json.dumps(figures), str(path)], cwd=ROOT, capture_output=True, text=True
    )


def compare(*words):
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.compare", *map(str, words)], cwd=ROOT, capture_output=True, text=True
    )


def test_only_what_moved_is_printed(tmp_path):
    save(tmp_path / "a.json", {"frames_per_second": 20.0, "HOTA": 0.620, "gone": 1})
    save(tmp_path / "b.json", {"frames_per_second": 30.0, "HOTA": 0.621, "new": 2})
    done = compare(tmp_path / "a.json", tmp_path / "b.json")
    assert done.returncode == 0, done.stderr
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()[1:]}
    assert rows == {"frames_per_second": ["20", "30", "1.500"], "gone": ["1", "-", "-"], "new": ["-", "2", "-"]}
    record = json.loads((tmp_path / "a.json").read_text())
    assert record["machine"]["cores"] >= 1
    assert record["versions"]["numpy"]


@pytest.mark.parametrize("value", ["x", float("nan"), None])
def test_what_is_no_number_is_refused(tmp_path, value):
    done = save(tmp_path / "a.json", {"speed": value})
    assert done.returncode == 1
    assert "no numbers: speed" in done.stderr
    assert not (tmp_path / "a.json").exists()


def test_an_empty_folder_is_no_result(tmp_path):
    done = compare(tmp_path, tmp_path)
    assert done.returncode == 1
    assert "no results" in done.stderr


@pytest.mark.parametrize(("percent", "code"), [("60", 0), ("49", 1)])
def test_a_figure_that_moved_too_far_is_an_exit_code(tmp_path, percent, code):
    save(tmp_path / "a.json", {"frames_per_second": 20.0, "HOTA": 0.620})
    save(tmp_path / "b.json", {"frames_per_second": 30.0, "HOTA": 0.621})
    done = compare(tmp_path / "a.json", tmp_path / "b.json", "--fail-above", percent)
    assert done.returncode == code, done.stderr
    assert ("1 moved by more than 49 %" in done.stdout) == bool(code)


def test_folders_are_compared_file_by_file(tmp_path):
    for folder, value in (("a", 1.0), ("b", 2.0)):
        save(tmp_path / folder / "speed.json", {"rate": value})
        save(tmp_path / folder / "speed.slow.json", {"rate": 5.0})
    save(tmp_path / "a" / "gone.json", {"rate": 1.0})
    record = json.loads((tmp_path / "b" / "speed.json").read_text())
    record["machine"]["cores"], record["commit"] = 1000, "0123456"
    (tmp_path / "b" / "speed.json").write_text(json.dumps(record))
    done = compare(tmp_path / "a", tmp_path / "b", "--fail-above", "200")
    assert "gone: only in" in done.stdout
    assert "-> 0123456 (differs: cores" in done.stdout
    assert "rate" in done.stdout
    assert "speed.slow: " in done.stdout
    assert done.returncode == 1  # for the file that is gone
    (tmp_path / "a" / "gone.json").unlink()
    assert compare(tmp_path / "a", tmp_path / "b", "--fail-above", "200").returncode == 0


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"benchmark": "a"}', '{"benchmark": "a", "figures": 3}'])
def test_what_is_no_record_is_refused(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    done = compare(tmp_path / "a.json", tmp_path / "a.json")
    assert done.returncode == 1
    assert "a.json: not what a benchmark's --json writes" in done.stderr
    assert "Traceback" not in done.stderr
