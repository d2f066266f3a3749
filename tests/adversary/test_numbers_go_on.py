"""A live run that goes on in a folder gives no id or frame number again that any output holds, also where the others,
and state.json, could not be written."""

import json

import numpy as np
import pytest

from streamreid import Pipeline
from streamreid.errors import OutputError
from streamreid.pipeline.run_state import RunState, read_begin, state_of
from streamreid.runs import result_writer, run
from streamreid.runs.result_folder import choose_folder
from streamreid.sinks import ParquetSink
from streamreid.sinks.base import LineFile
from streamreid.sinks.written_numbers import written_numbers


@pytest.fixture
def full_disk(monkeypatch):
    """From the third line of a file on, nothing can be written but the outputs that are named."""

    def start(*spared):
        count = {"n": 0}
        lines, parquet, state = LineFile.write, ParquetSink.write, result_writer.write_json

        def full(path):
            count["n"] += "results.jsonl" in str(path)
            if count["n"] > 3:
                raise OutputError(f"cannot write '{path}': No space left on device")

        def write(self, text):
            if not any(word in str(self.path) for word in spared):
                full(self.path)
            lines(self, text)

        def rows(self, result):
            if "parquet" not in spared:
                full(self.path)
            parquet(self, result)

        def save(path, data):
            full(path)
            state(path, data)

        monkeypatch.setattr(LineFile, "write", write)
        monkeypatch.setattr(ParquetSink, "write", rows)
        monkeypatch.setattr(result_writer, "write_json", save)

    return start


def follow(scene, colours, folder):
    config = scene.config(scene.camera("a", [0, 1], frames=30), output={"parquet": True})
    boxes = (scene.boxes / "a.txt").read_text().splitlines()
    with open(scene.boxes / "a.txt", "a") as file:  # frame numbers go on when the film is played again
        file.writelines(f"{int(line.split(',', 1)[0]) + 30},{line.split(',', 1)[1]}\n" for line in boxes)
    camera = config.cameras[0].model_copy(update={"live": True})
    begin = read_begin(folder)
    with Pipeline(config.model_copy(update={"cameras": (camera,)}), embedder=colours, begin=begin) as pipeline:
        run(pipeline, folder)


def rows_of(folder, spared):
    """``[N, 3]`` frame, track, identity as the output that was spared has them."""
    if spared == "parquet":
        table = pytest.importorskip("pyarrow.parquet").read_table(folder / "results.parquet")
        return np.array([table[name].to_numpy(zero_copy_only=False) for name in ("frame", "track_id", "global_id")]).T
    local = np.loadtxt(folder / "mot" / "a.txt", delimiter=",")
    known = np.loadtxt(folder / "mot" / "global" / "a.txt", delimiter=",")
    who = {(row[0], *row[2:4]): row[1] for row in known}
    return np.array([[row[0], row[1], who.get((row[0], *row[2:4]), np.nan)] for row in local])


@pytest.mark.parametrize("spared", ["mot", "parquet"])
def test_where_one_output_goes_on_after_the_others(scene, colours, tmp_path, full_disk, monkeypatch, spared):
    pytest.importorskip("pyarrow")
    full_disk(spared)
    follow(scene, colours, tmp_path / "out")
    monkeypatch.undo()  # there is space again
    before = rows_of(tmp_path / "out", spared)
    assert json.loads((tmp_path / "out" / "state.json").read_text())["frames"].get("a", 0) < before[:, 0].max()
    follow(scene, colours, tmp_path / "out")
    after = rows_of(tmp_path / "out", spared)[len(before) :]
    assert len(after) > 20
    for column in range(3):
        assert np.nanmin(after[:, column]) > np.nanmax(before[:, column])


def test_numbers_are_looked_up_in_every_output(tmp_path):
    lines = [
        {"type": "person", "camera": "a", "frame": 4, "track_id": 3, "global_id": None},
        {"type": "event", "camera": "", "track_id": None, "global_id": 5, "other_id": 7},
        {"type": "unlinked", "camera": "a", "track_id": 3, "global_id": 8},
    ]
    (tmp_path / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"type":"per')
    (tmp_path / "mot" / "global").mkdir(parents=True)
    (tmp_path / "mot" / "b.txt").write_text(
        "".join(f"{n},{n // 100},1,1,1,1,1,-1,-1,-1\n" for n in range(1, 20_001)) + "29999,9"
    )
    (tmp_path / "mot" / "c.txt").write_text("")
    (tmp_path / "mot" / "global" / "b.txt").write_text("20005,30,1,1,1,1,1,-1,-1,-1\n")
    (tmp_path / "world.txt").write_text(
        "17000000001,40,-1,-1,-1,-1,1,0,0,0\n17000000002,35,-1,-1,-1,-1,1,0,0,0\n17000000003,9"
    )
    for known in ({}, {"b": 19_000}):
        begin = RunState()
        found = list(written_numbers(tmp_path, known))
        for item in found:
            begin.given(item)
        assert begin.frames == {"a": 5, "b": 20_005}
        assert begin.tracks == {"a": 4, "b": 201}
        assert begin.global_id == 41
        assert len(found) == len(lines) + 3 + (1_000 if known else 20_000)  # what is known is not read again
    assert len(list(written_numbers(tmp_path, {"b": 99_999}, lines_from=10**6, world_from=35))) == len(lines) + 1


@pytest.mark.parametrize("error", [OutputError("cannot write: No space left on device"), KeyboardInterrupt()])
def test_a_run_that_ends_while_its_files_are_made_can_be_started_again(scene, colours, tmp_path, monkeypatch, error):
    def ends(*_args, **_kwargs):
        raise error

    monkeypatch.setattr("streamreid.sinks.opening.JsonlSink", ends)
    with pytest.raises(type(error)):
        follow(scene, colours, tmp_path / "out")
    monkeypatch.undo()
    assert (tmp_path / "out" / "mot" / "a.txt").exists()
    assert choose_folder(tmp_path / "out", "site", append=True) == tmp_path / "out"
    follow(scene, colours, tmp_path / "out")
    assert (tmp_path / "out" / "mot" / "a.txt").stat().st_size > 0


def test_a_folder_that_never_got_a_state_is_gone_on_with(tmp_path):
    (tmp_path / "mot").mkdir()
    (tmp_path / "mot" / "a.txt").write_text("7,3,1,1,1,1,1,-1,-1,-1\n")
    begin = read_begin(tmp_path)
    assert begin.frames["a"] > 6
    assert begin.tracks["a"] > 3
    assert read_begin(tmp_path / "none") is None


def test_the_piece_that_the_state_does_not_know_yet(tmp_path):
    for number, frame in ((1, 3), (2, 9)):
        folder = tmp_path / "pieces" / f"00000{number}-20240101T000000Z" / "mot"
        folder.mkdir(parents=True)
        (folder / "a.txt").write_text(f"{frame},{frame},1,1,1,1,1,-1,-1,-1\n")
        (folder.parent / "results.jsonl").write_text("")
    state = state_of(RunState(5, {"a": 4}, {"a": 3}), size=0, ended=False, segment="000001-20240101T000000Z")
    (tmp_path / "state.json").write_text(json.dumps(state))
    begin = read_begin(tmp_path)
    assert (begin.frames["a"], begin.tracks["a"], begin.global_id) == (9, 10, 5)
