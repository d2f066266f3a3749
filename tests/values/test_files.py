"""Files are replaced in one step, or stay as they were."""

import os
import stat
from pathlib import Path

import pytest

from streamreid.errors import OutputError
from streamreid.files import OWNER_ONLY, atomic_write, write_json

PACKAGE = Path(__file__).resolve().parents[2] / "streamreid"

MOVERS = {
    "_folders.py",  # folders of results are moved aside
    "cameras/runtime_overrides.py",  # a damaged file is moved aside
    "cluster/batch_worker.py",  # the results of an attempt become those of the recording
    "cluster/model_copies.py",  # a whole folder of models
    "compiling/bundle_folder.py",  # whole folders change places
    "files.py",
    "gallery/migration.py",  # a whole store is written first
    "runs/scratch.py",  # a lock appears when it is held
    "sinks/parquet_parts.py",  # a table becomes the first part of a folder
    "sinks/result_erasure.py",  # many files change places after all of them are written
    "sinks/segments.py",  # folders of segments
    "sinks/video_encoder.py",  # films are renamed, not written anew
    "weights.py",  # what was downloaded goes to its place
}
"""Modules that rename something other than a file they have just written."""


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_readers_see_the_old_file_until_the_new_one_is_complete(tmp_path):
    path = tmp_path / "state.json"
    path.write_text("old")
    with atomic_write(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert names(tmp_path) == ["state.json"]


@pytest.mark.parametrize("error", [OSError("full"), KeyboardInterrupt(), ValueError("wrong")])
def test_a_failure_keeps_the_old_file_and_leaves_nothing_behind(tmp_path, error):
    path = tmp_path / "state.json"
    path.write_text("old")

    def fail():
        with atomic_write(path) as part:
            part.write_text("half")
            raise error

    with pytest.raises(type(error)):
        fail()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["state.json"]


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
def test_the_mode_holds_from_the_first_byte_on_also_where_a_part_was_left_behind(tmp_path):
    path = tmp_path / "secret.json"
    left = tmp_path / "secret.json.part"
    left.write_text("left behind, readable by all")
    left.chmod(0o644)
    with atomic_write(path, mode=OWNER_ONLY) as part:
        assert stat.S_IMODE(part.stat().st_mode) == OWNER_ONLY
        assert part.read_text() == ""
        part.write_text("new")
    assert stat.S_IMODE(path.stat().st_mode) == OWNER_ONLY


@pytest.mark.parametrize(("durable", "flushes"), [(False, 0), (True, 2)])
def test_durable_files_flush_file_and_name(tmp_path, monkeypatch, durable, flushes):
    flushed = []
    monkeypatch.setattr(os, "fsync", flushed.append)
    with atomic_write(tmp_path / "a", durable=durable) as part:
        part.write_text("x")
    assert len(flushed) == flushes


def test_json_that_cannot_be_written_names_the_file(tmp_path):
    with pytest.raises(OutputError, match="nowhere"):
        write_json(tmp_path / "nowhere" / "a.json", {})


def test_there_is_one_way_to_write_and_rename():
    renames = ("os.replace(", "os.rename(", "part.replace(", "part.rename(", "temporary.replace(", "draft.replace(")
    found = {
        str(path.relative_to(PACKAGE).as_posix())
        for path in PACKAGE.rglob("*.py")
        if any(call in path.read_text(encoding="utf-8") for call in renames)
    }
    assert found <= MOVERS, "use streamreid.files.atomic_write"
