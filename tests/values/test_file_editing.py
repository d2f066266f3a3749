"""A cameras file that is written anew: comments, order and everything that is not changed stay as they are."""

import os
import stat

import pytest

pytest.importorskip("ruamel.yaml")

from streamreid.config import CameraConfig, LineConfig, ZoneConfig, load_config
from streamreid.config.file_editing import CamerasFile
from streamreid.errors import ConfigError, FileChanged

TEXT = """\
# the shop
x-base: &base {stride: 2}   # for all

cameras:
- name: 'gate'       # by the street
  <<: *base
  uri: rtsp://viewer:${GATE_PASSWORD}@10.0.0.2/live
- {name: hall, uri: "hall.mp4", roi: [[0,0],  [1, 0],
    [1, 1]]}         # odd, but valid

# who is counted
zones:
  - name: till
    camera: hall
    polygon: [[0.6, 0.5], [0.9, 0.5], [0.9, 0.9]]   # in front
    queue: yes
tracker:   {lost_seconds: 3}
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setenv("GATE_PASSWORD", "hunter2")
    path = tmp_path / "cams.yaml"
    path.write_text(TEXT)
    path.chmod(0o640)
    return CamerasFile(path)


def say(file, **changed):
    config = load_config(file.path)
    return file.proposal(*(changed.get(key, getattr(config, key)) for key in ("cameras", "zones", "lines")))


def added(change):
    return [line for line in change.diff.splitlines() if line[0] in "+-" and line[:3] not in ("+++", "---")]


def test_nothing_changes_where_nothing_is_different(file):
    change = say(file)
    assert change.diff == ""
    assert change.data == TEXT.encode()


def test_only_what_differs_is_written(file):
    config = load_config(file.path)
    gate, hall = config.cameras
    till = config.zones[0].model_copy(update={"occupancy": 5})
    door = LineConfig.model_validate({"name": "on", "camera": "hall", "from": [0.2, 0.8], "to": [0.8, 0.8]})
    yard = CameraConfig(name="yard", uri=str(file.path.parent / "films" / "yard.mp4"))
    change = say(file, cameras=[gate, hall, yard], zones=[till], lines=[door])
    assert added(change) == [
        "+- name: yard",
        "+  uri: films/yard.mp4",
        "+    occupancy: 5",
        "+lines:",
        '+- name: "on"',
        "+  camera: hall",
        "+  from: [0.2, 0.8]",
        "+  to: [0.8, 0.8]",
    ]
    file.write(change)
    written = file.path.read_text()
    assert all(line in written.splitlines() for line in TEXT.splitlines())
    assert stat.S_IMODE(os.stat(file.path).st_mode) == 0o640
    now = load_config(file.path)
    assert [c.name for c in now.cameras] == ["gate", "hall", "yard"]
    assert (now.zones[0].occupancy, now.zones[0].queue, now.lines[0].name) == (5, True, "on")
    assert sorted(os.listdir(file.path.parent)) == ["cams.yaml"]


def test_passwords_stay_variables_and_are_not_shown(file):
    gate, hall = load_config(file.path).cameras
    moved = gate.model_copy(update={"uri": gate.uri.replace("10.0.0.2", "10.0.0.3"), "transport": "udp"})
    change = say(file, cameras=[moved, hall])
    assert "hunter2" not in change.diff
    file.write(change)
    assert "uri: rtsp://viewer:${GATE_PASSWORD}@10.0.0.3/live\n" in file.path.read_text()
    fresh = moved.model_copy(update={"uri": "rtsp://viewer:swordfish@10.0.0.4/live"})
    change = say(file, cameras=[fresh, hall])
    assert "swordfish" not in change.diff
    assert b"swordfish" in change.data


def test_what_is_taken_out_goes_with_its_line_and_nothing_else(file):
    config = load_config(file.path)
    change = say(file, cameras=config.cameras[1:], zones=[])
    file.write(change)
    written = file.path.read_text()
    assert "till" not in written
    assert "gate" not in written
    assert all(kept in written for kept in ("# the shop", "[[0,0],  [1, 0],", "# odd, but valid", "tracker:   {lost"))


def test_a_file_that_was_edited_meanwhile_is_not_written(file):
    change = say(file, zones=[])
    file.path.write_text(TEXT + "# mine\n")
    with pytest.raises(FileChanged, match="changed meanwhile"):
        file.write(change)
    assert file.path.read_text() == TEXT + "# mine\n"


def test_what_the_file_cannot_say_is_refused_before_anything_is_written(file):
    config = load_config(file.path)
    twice = ZoneConfig(name="till", camera="nobody", polygon=[[0, 0], [1, 0], [1, 1]])
    with pytest.raises(ConfigError, match="there is no camera 'nobody'"):
        say(file, zones=[*config.zones, twice])
    assert file.path.read_text() == TEXT
    assert sorted(os.listdir(file.path.parent)) == ["cams.yaml"]


def test_line_ends_and_marks_of_other_systems_stay(tmp_path):
    path = tmp_path / "cams.yaml"
    path.write_bytes(b"\xef\xbb\xbfcameras:\r\n  - {name: a, uri: a.mp4}  # one\r\n")
    file = CamerasFile(path)
    (camera,) = load_config(path).cameras
    file.write(file.proposal([camera.model_copy(update={"stride": 3})], (), ()))
    assert path.read_bytes() == b"\xef\xbb\xbfcameras:\r\n  - {name: a, uri: a.mp4, stride: 3} # one\r\n"


def test_a_link_stays_one(tmp_path, file):
    link = tmp_path / "link.yaml"
    link.symlink_to(file.path)
    other = CamerasFile(link)
    other.write(say(other, zones=[]))
    assert link.is_symlink()
    assert "till" not in file.path.read_text()
