"""Live runs as programs: stopped in order, killed, started again; the doctor."""

import json
import os
import signal
import subprocess
import sys
import time

import av
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper


@pytest.fixture
def cams(scene, tmp_path):
    """A cameras file with one live camera in which two people walk, without an engine."""
    video = scene.camera("gate", [0, 1], frames=130)
    path = tmp_path / "cams.yaml"
    path.write_text(
        f"cameras: [{{name: gate, uri: {video}, live: true, repeat: 20}}]\n"
        f"detector: {{model: 'mot:{scene.boxes}'}}\nengine: {{model: none}}\noutput: {{parquet: true, video: true}}\n"
    )
    return path


def start(cams, folder, *more):
    command = [sys.executable, "-m", "streamreid", "run", "-s", str(cams), "--out", str(folder), *more]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )


def people(folder):
    try:
        text = (folder / "results.jsonl").read_text()
    except FileNotFoundError:
        return []
    return [
        json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n") and '"type":"person"' in line
    ]


def wait_for(folder, count, process):
    deadline = time.monotonic() + 120
    while len(people(folder)) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)


def frames_of(video):
    with av.open(str(video)) as container:
        return sum(1 for _ in container.decode(video=0))


@pytest.mark.wall_time
@pytest.mark.slow
def test_killed_started_again_and_stopped(cams, tmp_path):
    pq = pytest.importorskip("pyarrow.parquet")
    folder = tmp_path / "out"
    killed = start(cams, folder)
    wait_for(folder, 50, killed)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    first = people(folder)
    last = max(p["time"] for p in first)
    # Every file can be read; none lacks more than the last second (and what a busy machine adds).
    table = pq.read_table(folder / "results.parquet")
    assert last - max(table["time"].to_pylist()) < 2.5
    text = (folder / "mot" / "gate.txt").read_text().splitlines()
    assert len(text) == len(first)
    assert frames_of(folder / "videos" / "gate.part.mp4") > 5
    again = start(cams, folder)
    wait_for(folder, len(first) + 30, again)
    began = time.monotonic()
    again.send_signal(signal.SIGTERM)
    out, err = again.communicate(timeout=60)
    assert time.monotonic() - began < 5, err
    assert again.returncode == 130, err
    both = people(folder)
    second = both[len(first) :]
    for key in ("track_id", "global_id", "frame"):
        assert not {p[key] for p in first} - {None} & {p[key] for p in second} - {None}
        assert min(p[key] for p in second if p[key] is not None) > max(p[key] for p in first if p[key] is not None)
    lines = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    assert (lines[-1]["type"], lines[-1]["complete"]) == ("end", True)
    rows = pq.read_table(folder / "results.parquet")
    assert rows.num_rows >= len(both) - (len(first) - table.num_rows)
    assert frames_of(folder / "videos" / "gate.mp4") > 5  # what the killed run left
    assert frames_of(folder / "videos" / "gate-2.mp4") > 5
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["cameras"]["gate"]["age_seconds"]["p50"] < 5
    assert summary["cameras"]["gate"]["clocks"].keys() <= {"pts", "rate"}
    assert "age ms" in out


@pytest.mark.wall_time
@pytest.mark.slow
def test_killed_at_any_moment_while_pieces_change(cams, tmp_path):
    """Pieces of a second; killed again and again, at a piece's end above all."""
    pq = pytest.importorskip("pyarrow.parquet")
    folder = tmp_path / "out"
    found = lambda: [p for piece in sorted(folder.glob("pieces/*")) for p in people(piece)]  # noqa: E731
    before = []
    for seconds in (1.1, 0.05):
        run = start(cams, folder, "--rotate", "1s", "--keep", "50")
        deadline = time.monotonic() + 120
        seen = len(list(folder.glob("pieces/*")))
        while len(list(folder.glob("pieces/*"))) < seen + 2 or len(found()) < len(before) + 20:
            assert run.poll() is None, run.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(seconds)
        run.send_signal(signal.SIGKILL)
        run.communicate()
        now = found()
        for key in ("track_id", "global_id", "frame"):
            assert not {p[key] for p in before} - {None} & {p[key] for p in now[len(before) :]} - {None}
        frames = [p["frame"] for p in now]
        assert frames == sorted(frames)
        assert now[: len(before)] == before
        before = now
    number = lambda: max(int(piece.name[:6]) for piece in folder.glob("pieces/0*"))  # noqa: E731
    reached = number()
    last = start(cams, folder, "--rotate", "1s", "--keep", "2")
    deadline = time.monotonic() + 120
    while number() < reached + 4:
        assert last.poll() is None, last.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    last.send_signal(signal.SIGTERM)
    _, err = last.communicate(timeout=60)
    assert last.returncode == 130, err
    pieces = sorted(folder.glob("pieces/*"))
    assert len(pieces) == 3
    assert not list(folder.rglob("*.part*"))
    for piece in pieces[-2:]:
        assert json.loads((piece / "results.jsonl").read_text().splitlines()[-1])["complete"]
    assert frames_of(pieces[-2] / "videos" / "gate.mp4") > 0
    assert pq.read_table(pieces[-2] / "results.parquet").num_rows == len(people(pieces[-2])) > 0
    assert (
        len([name for name in json.loads((folder / "summary.json").read_text())["files"] if name.startswith("pieces")])
        == 3
    )


@pytest.mark.slow
def test_cameras_changed_by_http_are_there_after_a_kill(scene, cams, tmp_path):
    httpx = pytest.importorskip("httpx")
    pytest.importorskip("fastapi")
    folder, more = tmp_path / "out", str(scene.camera("yard", [1], frames=130))

    def serve():
        process = start(cams, folder, "--serve", "0")
        said = []
        for line in process.stderr:
            said.append(line)
            if line.startswith("serving at "):
                return process, httpx.Client(base_url=line.split()[-1], timeout=30), "".join(said)
        raise AssertionError(said)

    first, client, _ = serve()
    with client:
        assert (
            client.post("/cameras", json={"name": "yard", "uri": more, "live": True, "repeat": 50}).status_code == 201
        )
        assert client.patch("/cameras/gate", json={"stride": 2}).status_code == 200
    first.send_signal(signal.SIGKILL)
    first.communicate()
    second, client, said = serve()
    with client:
        assert "changes made by HTTP in earlier runs go on" in said
        assert {c["name"]: c["stride"] for c in client.get("/cameras").json()} == {"gate": 2, "yard": 1}
        cams.write_text(
            cams.read_text().replace("repeat: 20", "repeat: 21")
        )  # the file's newer word, in the running run
        deadline = time.monotonic() + 120
        while client.get("/changes").json() != {"yard": ["added"]}:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert client.get("/cameras/gate").json()["stride"] == 1
    second.send_signal(signal.SIGTERM)
    assert second.wait(30) == 130
    assert json.loads((folder / "summary.json").read_text())["cameras"].keys() == {"gate", "yard"}


def test_pieces_from_the_command_line_are_checked(cams, call):
    for options, text in (
        (("--rotate", "1 fortnight"), "--rotate: rotate.every: write a number and a unit"),
        (("--keep", "3"), "say when a new segment begins"),
        (("--set", "output.rotate.keep=-1", "--rotate", "1d"), "output.rotate.keep"),
    ):
        code, _, err = call("run", "-s", cams, "--out", cams.parent / "x", *options)
        assert code == 2
        assert text in err


def test_the_doctor_finds_what_is_wrong_and_what_to_expect(cams, call, tmp_path):
    text = cams.read_text().replace(
        "cameras: [", "cameras: [{name: dead, uri: 'rtsp://u:hunter2@127.0.0.1:9/1', connect_timeout: 1}, "
    )
    sick = tmp_path / "sick.yaml"
    sick.write_text(text)
    code, out, err = call("doctor", sick, "--seconds", "1", "--json")
    found = json.loads(out)
    assert code == 3
    assert "hunter2" not in out + err
    dead, gate = found["cameras"]
    assert "cannot be opened" in dead["error"]
    assert gate["error"] is None
    assert gate["rate"] == pytest.approx(10, rel=0.2)
    assert gate["size"] == [320, 240]
    assert gate["people"] == pytest.approx(2, abs=0.5)
    assert found["expected"]["cameras"]["gate"]["rate"] > 8
    assert found["expected"]["load"] < 1
    assert not found["healthy"]
    code, out, _ = call("doctor", sick, "--seconds", "1", "--detector", "nothing.onnx")
    assert code == 2
    assert "nothing.onnx: no such file" in out


def test_the_doctor_is_content_with_files(scene, call, tmp_path):
    path = tmp_path / "cams.yaml"
    path.write_text(
        f"cameras: [{{name: a, uri: {scene.camera('a', [0])}}}]\ndetector: {{model: 'mot:{scene.boxes}'}}\nengine: "
        f"{{model: none}}\n"
    )
    code, out, _ = call("doctor", path, "--seconds", "1")
    assert code == 0
    assert "every frame is used" in out


def test_the_doctor_says_how_the_detector_is_read(scene, call, tmp_path):
    boxes = np.tile(np.float32([10, 10, 40, 90, 0.9, 0]), (1, 3, 1))
    boxes[0, :, :4] += np.float32([[0], [50], [100]])
    model = helper.make_model(
        helper.make_graph(
            [
                helper.make_node("ReduceMean", ["x"], ["m"], keepdims=0),
                helper.make_node("Mul", ["m", "zero"], ["n"]),
                helper.make_node("Add", ["n", "boxes"], ["out"]),
            ],
            "detector",
            [helper.make_tensor_value_info("x", 1, [1, 3, 320, 320])],
            [helper.make_tensor_value_info("out", 1, [1, 3, 6])],
            [numpy_helper.from_array(boxes, "boxes"), numpy_helper.from_array(np.float32(0), "zero")],
        ),
        opset_imports=[helper.make_opsetid("", 13)],
        ir_version=8,
    )
    onnx.save(model, tmp_path / "d.onnx")
    code, out, err = call(
        "doctor", scene.camera("a", [0]), "--seconds", "1", "--detector", tmp_path / "d.onnx", "--engine", "none"
    )
    assert code == 0, err
    line = next(line for line in out.splitlines() if line.startswith("detector: read as "))
    assert line.endswith("people are class 0")
    assert "nms (xyxy in pixels), input RGB from 0 to 1" in line


def test_wrong_addresses_to_serve_at(cams, call):
    code, _, err = call("run", "-s", cams, "--serve", "host:port:8")
    assert code == 2
    assert "listen" in err
    code, _, err = call("run", "-s", cams, "--serve", "0.0.0.0:0", "--out", cams.parent / "x")
    assert code == 2
    assert "needs a token" in err
