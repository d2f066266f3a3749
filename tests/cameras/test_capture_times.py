"""Recordings beside live cameras: refused with the remedy, unless their capture times are dates near now."""

import re
import time
from datetime import datetime, timezone

import pytest

from streamreid import Pipeline
from streamreid.cameras.capture_times import check_mixed, mixing_problems
from streamreid.cameras.registry import Cameras
from streamreid.cameras.statistics import Statistics
from streamreid.config import CameraConfig, load_config
from streamreid.errors import ConfigError
from streamreid.runs.doctor import examine
from streamreid.sources import DatedSource, ManualClock, open_source

NOW = datetime(2026, 11, 29, 10, 0, tzinfo=timezone.utc).timestamp()


def camera(name="hall", **settings):
    return CameraConfig.model_validate({"name": name, "uri": f"videos/{name}.mp4", **settings})


GATE = CameraConfig(name="gate", uri="rtsp://viewer:hidden@10.0.0.11/stream1")


def test_a_recording_of_1970_beside_a_live_camera_is_refused_with_the_remedy(scene, colours):
    config = scene.config(scene.camera("gate", [0]), scene.camera("hall", [1]))
    gate, hall = config.cameras
    config = config.model_copy(
        update={"cameras": (gate.model_copy(update={"live": True}), hall.model_copy(update={"offset": 1.5}))}
    )
    with pytest.raises(
        ConfigError, match=r"camera 'hall'.* recording beside live cameras \(gate\).*1\.5 s.*start_time: .*live: true"
    ):
        Pipeline(config, embedder=colours)


@pytest.mark.parametrize(
    ("settings", "fits"),
    [
        ({}, False),
        ({"live": True}, True),
        ({"offset": NOW - 200}, True),
        ({"start_time": "2026-11-29T09:59:00"}, True),
        ({"start_time": "2026-11-29T10:59:00+01:00"}, True),
        ({"start_time": "2026-11-29T09:59:00", "offset": -600}, False),
        ({"start_time": "2026-11-28T10:00:00"}, False),
        ({"start_time": "2026-11-29T12:00:00"}, False),
    ],
)
def test_dates_near_now_fit(settings, fits):
    assert (mixing_problems([GATE, camera(**settings)], window=300, now=NOW) == {}) == fits


def test_messages_show_no_password_and_say_what_is_wrong_with_a_date():
    # live: false is what is known of an address once it was opened and has an end
    stale = camera(uri="http://u:hidden@h/hall.mp4", start_time="2026-11-28T10:00:00", live=False)
    (why,) = mixing_problems([GATE, stale], window=300, now=NOW).values()
    assert "hidden" not in why
    assert "86400 s ago" in why
    assert "association.window" in why


def test_recordings_alone_and_cameras_alone_may_have_any_times():
    check_mixed([camera("a"), camera("b", offset=3)], window=300)
    check_mixed([GATE, camera(live=True)], window=300)


def test_a_start_time_dates_every_frame(scene):
    path = scene.camera("hall", [0], frames=5)
    for settings in ({"start_time": "2026-11-29T10:00:00", "offset": 2}, {"start_time": NOW + 2}):
        with open_source(camera(uri=str(path), **settings)) as source:
            times = [frame.time for frame in source]
        assert times == pytest.approx([NOW + 2 + i / 10 for i in range(5)])


def test_yaml_and_api_take_a_start_time(tmp_path):
    path = tmp_path / "cams.yaml"
    path.write_text("cameras:\n  - {name: hall, uri: hall.mp4, start_time: 2026-11-29T10:00:00}\n")
    (hall,) = load_config(path).cameras
    assert hall.begin == NOW
    assert CameraConfig.model_validate(hall.model_dump(mode="json")) == hall
    path.write_text("cameras:\n  - {name: hall, uri: hall.mp4, start_time: yesterday}\n")
    with pytest.raises(ConfigError, match=r":2: cameras\[0\]\.start_time"):
        load_config(path)


def test_a_camera_that_is_added_or_changed_later_is_checked_too(scene):
    gate, hall = (str(scene.camera(name, [0], frames=5)) for name in ("gate", "hall"))
    cameras = Cameras([camera("gate", uri=gate, live=True, repeat=50)], Statistics({}), batch=1)
    try:
        with pytest.raises(ConfigError, match="live: true"):
            cameras.add(camera(uri=hall))
        cameras.add(camera(uri=hall, live=True, repeat=50))
        with pytest.raises(ConfigError, match="live: true"):
            cameras.change(camera(uri=hall, live=False))
        assert cameras.configs[1].live
    finally:
        cameras.close()


def test_config_check_and_doctor_say_it(scene, call, tmp_path):
    path = tmp_path / "cams.yaml"
    gate, hall = (scene.camera(name, [0], frames=5) for name in ("gate", "hall"))
    path.write_text(f"cameras:\n  - {{name: gate, uri: {gate}, live: true}}\n  - {{name: hall, uri: {hall}}}\n")
    code, _, errors = call("config", "check", path)
    assert code == 2
    assert re.search(r"camera 'hall'.*live: true", errors.replace("\n", " "))
    config = scene.config(gate, hall)
    cameras = (config.cameras[0].model_copy(update={"live": True}), config.cameras[1])
    checks = {c.name: c for c in examine(config.model_copy(update={"cameras": cameras}), seconds=0.2).cameras}
    assert "live: true" in (checks["hall"].error or "")


def test_a_dated_recording_never_runs_ahead_of_the_clock(scene):
    path = scene.camera("hall", [0], frames=5)
    config = camera(uri=str(path), start_time=NOW)
    clock = ManualClock(NOW + 0.25)
    dated = DatedSource(config, open_source(config), clock=clock)
    assert not dated.live
    frames = iter(dated)
    assert [next(frames).time for _ in range(3)] == pytest.approx([NOW, NOW + 0.1, NOW + 0.2])
    began = time.monotonic()
    assert next(frames).time == pytest.approx(NOW + 0.3)
    assert time.monotonic() - began >= 0.04
    dated.close()


def test_people_of_a_dated_recording_get_identities(scene, colours):
    gate, hall = scene.camera("gate", [0], frames=30), scene.camera("hall", [1], frames=30)
    config = scene.config(gate, hall)
    live = config.cameras[0].model_copy(update={"live": True, "repeat": 2})
    dated = config.cameras[1].model_copy(update={"start_time": datetime.fromtimestamp(time.time() - 10, timezone.utc)})
    with Pipeline(config.model_copy(update={"cameras": (live, dated)}), embedder=colours) as pipeline:
        for _ in pipeline:
            pass
        who = {number for (name, _), (number, _) in pipeline.identities.items() if name == "hall"}
    assert len(who) == 1
    assert 0 not in who


def test_serve_refuses_recordings_alone_that_have_no_date(scene, call, tmp_path):
    hall = scene.camera("hall", [0], frames=5)
    path, rest = tmp_path / "cams.yaml", f"detector: {{model: 'mot:{scene.boxes}'}}\nengine: {{model: none}}\n"
    path.write_text(f"cameras:\n  - {{name: hall, uri: {hall}, offset: 3}}\n{rest}")
    code, _, errors = call("serve", path, "--listen", "127.0.0.1:0", "--out", tmp_path / "out")
    assert code == 2
    message = " ".join(errors.split())
    assert re.search(
        r"cams\.yaml: camera 'hall'.*times would be those of 1970.*live: true.*start_time: 20.*streamreid run", message
    )
    assert not (tmp_path / "out").exists()
    code, out, _ = call("doctor", path, "--seconds", 1)
    assert code == 0
    assert "`streamreid serve` refuses it" in " ".join(out.split())
    path.write_text(f"cameras:\n  - {{name: hall, uri: {hall}, start_time: 2026-11-29T10:00:00}}\n{rest}")
    _, out, _ = call("doctor", path, "--seconds", 1)
    assert "refuses" not in out
    assert call("config", "check", path)[0] == 0
    with Pipeline(load_config(path), stay=True) as pipeline:
        assert [c.name for c in pipeline.cameras.configs] == ["hall"]


def test_a_service_without_cameras_takes_no_recording_without_a_date(scene):
    hall = str(scene.camera("hall", [0], frames=5))
    cameras = Cameras([], Statistics({}), batch=1, stay=True)
    try:
        with pytest.raises(ConfigError, match=r"1970.*live: true"):
            cameras.add(camera(uri=hall))
        cameras.add(camera(uri=hall, start_time="2026-11-29T10:00:00"))
    finally:
        cameras.close()
    with pytest.raises(ConfigError, match="1970"):
        Cameras([camera(uri=hall)], Statistics({}), batch=1, stay=True)
