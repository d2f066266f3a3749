"""``streamreid config check``: everything that is wrong at once, and what is not on this machine."""

import pytest

from streamreid.config import CameraConfig
from streamreid.sources import open_source
from streamreid.sources.local_files import source_fault


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check(call, folder, text):
    (folder / "site").mkdir(exist_ok=True)
    (folder / "site" / "cams.yaml").write_text(text)
    code, out, err = call("config", "check", "site/cams.yaml")
    return code, [line for line in (out + err).splitlines() if "cams.yaml" in line]


def test_every_file_that_is_not_here_is_named_with_camera_and_key(call, folder):
    code, lines = check(
        call,
        folder,
        "cameras:\n"
        "- {name: a, uri: no.mp4}\n"
        "- {name: b, uri: here.txt, calibration: {file: no.xml, intrinsics: no.yml}}\n"
        "- {name: c, uri: empty.mp4}\n"
        "association: {adaptation: no.bin}\n",
    )
    assert code == 0  # the file may be meant for another machine
    assert [line.partition(": ")[2].split(": ")[:2] for line in lines] == [
        ["camera 'a'", "uri"],
        ["camera 'b'", "uri"],
        ["camera 'b'", "calibration.file"],
        ["camera 'b'", "calibration.intrinsics"],
        ["camera 'c'", "uri"],
        ["association.adaptation", "site/no.bin"],
    ]
    assert [line.split(":")[1] for line in lines] == ["2", "3", "3", "3", "4", "5"]
    (folder / "site" / "here.txt").write_text("1,-1,0,0,10,10,1\n")
    (folder / "site" / "empty.mp4").touch()
    _, lines = check(call, folder, "cameras: [{name: b, uri: here.txt}, {name: c, uri: empty.mp4}]")
    assert len(lines) == 1
    assert "camera 'c': uri: site/empty.mp4: the file is empty" in lines[0]


def test_addresses_and_webcams_are_not_asked(call, folder, monkeypatch):
    import av

    monkeypatch.setattr(av, "open", None)
    code, lines = check(call, folder, "cameras: [{name: a, uri: 'rtsp://127.0.0.1:1/x'}, {name: b, uri: 0}]")
    assert (code, lines) == (0, [])


def test_boxes_are_looked_for_for_every_camera(call, folder):
    (folder / "boxes").mkdir()
    (folder / "boxes" / "a.txt").write_text("1,-1,0,0,10,10,1\n")
    (folder / "site").mkdir()
    for name in "ab":
        (folder / "site" / f"{name}.mp4").write_bytes(b"x")
    cameras = "cameras: [{name: a, uri: a.mp4}, {name: b, uri: b.mp4}]\n"
    _, lines = check(call, folder, cameras + "detector: {model: 'mot:boxes'}\n")
    assert len(lines) == 1
    assert "no boxes for camera 'b'" in lines[0]
    _, lines = check(call, folder, cameras + "detector: {model: 'mot:boxes/a.txt'}\n")
    assert len(lines) == 1
    assert "one file holds the boxes of one camera ('a')" in lines[0]


def test_a_model_beside_the_file_is_pointed_to(call, folder):
    (folder / "site").mkdir()
    (folder / "site" / "people.onnx").touch()
    _, lines = check(call, folder, "cameras: [{name: a, uri: 'rtsp://h/x'}]\ndetector: {model: ./people.onnx}\n")
    assert len(lines) == 1
    assert f"looked for in {folder}, where the command runs" in lines[0]
    assert "it is at site/people.onnx" in lines[0]


def test_all_mistakes_of_a_file_are_said_at_once(call, folder):
    code, lines = check(
        call,
        folder,
        "cameras:\n"
        "- {name: a, uri: no.mp4}\n"
        "- {name: b, uri: b.mp4, strid: 3}\n"
        "- {name: c, uri: 'rtsp://h/x', calibration: {matrix: [[1, 0, 0], [1, 0, 0], [1, 0, 0]]}}\n"
        "- {name: d, uri: '${NO_SUCH_VARIABLE}/d.mp4'}\n"
        "detector: {model: yolo11m}\n"
        "zones: [{name: z, camera: nobody, polygon: [[0, 0], [1, 0], [1, 1]]}]\n"
        "alerts: [{when: identity Anna seen}]\n"
        "messages: {mqtt: {address: 'mqtts://h:1', tls: {ca: no.pem}}}\n",
    )
    assert code == 2
    said = {int(line.split(":")[1 + line.startswith("error: ")]): line for line in lines}
    assert sorted(said) == [2, 3, 4, 5, 6, 8, 9]  # of the zone nothing can be said while cameras are wrong
    for line, words in {3: "strid", 4: "calibration", 5: "NO_SUCH_VARIABLE", 6: "yolo11m", 8: "Anna", 9: "ca"}.items():
        assert words in said[line]


def test_cameras_that_a_graph_names_are_all_said(call, folder):
    code, lines = check(
        call,
        folder,
        "cameras: [{name: a, uri: 'rtsp://h/x'}]\ntopology: {transits: [{from: b, to: c, min: 1}]}\n",
    )
    assert code == 2
    assert [line.partition("camera '")[2][0] for line in lines] == ["b", "c"]


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("-", "/dev/stdin"),
        ("*.mp4", "filled in by the shell"),
        ("192.168.1.5", "rtsp://192.168.1.5"),
        ("cam.example.org/live", "rtsp://cam.example.org/live"),
        ("20261130", "below 1000 are webcams"),
        (" ", "blank"),
        ("hall.mp4", "Check the path"),
    ],
)
def test_a_source_that_is_no_file_says_what_to_do(call, folder, uri, words):
    assert words in source_fault(CameraConfig(name="a", uri=uri))
    code, out, err = call("run", uri, "--detector", "yolo11m", "-o", "out")  # said before models are looked for
    assert code == 3
    assert words in " ".join((out + err).split())
    assert not (folder / "out").exists()


def test_a_folder_needs_pictures(call, tmp_path):
    (tmp_path / "img1").mkdir()
    camera = CameraConfig(name="a", uri=str(tmp_path))
    assert "contains no pictures" in source_fault(camera)
    code, out, err = call("run", tmp_path, "--detector", "yolo11m", "-o", tmp_path / "out")
    assert code == 3
    assert "contains no pictures" in " ".join((out + err).split())
    (tmp_path / "img1" / "000001.jpg").touch()
    assert source_fault(camera) == ""


def test_what_can_be_read_has_no_fault(scene):
    camera = CameraConfig(name="left", uri=str(scene.camera("left", [0])))
    assert source_fault(camera) == ""
    assert source_fault(camera.model_copy(update={"uri": f"file://{camera.uri}"})) == ""
    assert source_fault(camera.model_copy(update={"uri": "rtsp://127.0.0.1:1/x"})) == ""
    open_source(camera).close()
