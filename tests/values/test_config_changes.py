"""Single settings, settings files and sources make the configuration that the command line would make."""

import pytest

from streamreid import Config
from streamreid.config.changes import change_settings, parse_settings
from streamreid.config.inputs import configure, load_settings
from streamreid.errors import ConfigError


def test_settings_are_changed_by_dotted_key():
    config = Config.from_sources("a.mp4", "b.mp4", tracker={"lost_seconds": 9})
    changed = config.with_settings(
        {
            "tracker.delay": 2,
            "output.rotate.every": "1d",
            "output.rotate.keep": 7,
            "cameras.stride": 3,
            "topology": None,
        }
    )
    assert (changed.tracker.delay, changed.tracker.lost_seconds) == (2.0, 9.0)
    assert (changed.output.rotate.every, changed.output.rotate.keep) == (86400.0, 7)
    assert [c.stride for c in changed.cameras] == [3, 3]
    assert config.tracker.delay is None
    assert config.with_settings({}) == config


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"tracker.dealy": 2}, "did you mean 'delay'"),
        ({"tracker.delay": -1}, "delay"),
        ({"tracker.low_score": 0.9}, "must not be above high_score"),
        ({"traker.delay": 2}, "did you mean 'tracker'"),
    ],
)
def test_a_wrong_setting_is_named(changes, says):
    with pytest.raises(ConfigError, match=says):
        Config.from_sources("a.mp4").with_settings(changes)


def test_data_without_cameras_has_none_to_change():
    with pytest.raises(ConfigError, match=r"cameras.stride=3: no cameras are listed"):
        change_settings({"tracker": {}}, {"cameras.stride": 3})
    with pytest.raises(ConfigError, match=r"--set tracker=1: write SECTION.KEY=VALUE"):
        parse_settings(["tracker=1"])
    with pytest.raises(ConfigError, match="no source given"):
        Config.from_sources()


def test_a_command_line_wins_over_a_settings_file_and_that_over_the_cameras_file(tmp_path):
    cams, tuned = tmp_path / "cams.yaml", tmp_path / "tuned.yaml"
    cams.write_text("cameras: [{name: a, uri: a.mp4}]\ntracker: {delay: 1, lost_seconds: 7, confirm_frames: 4}\n")
    tuned.write_text("tracker: {delay: 2, lost_seconds: 8}\ntopology: null\n")
    assert load_settings(tuned) == {"tracker.delay": 2.0, "tracker.lost_seconds": 8.0, "topology": None}
    changes = {"tracker.delay": None, **parse_settings(["tracker.lost_seconds=9"])}
    config = configure([str(cams)], settings_file=tuned, changes=changes)
    assert (config.tracker.delay, config.tracker.lost_seconds, config.tracker.confirm_frames) == (2.0, 9.0, 4)
    assert config.cameras[0].uri == str(tmp_path / "a.mp4")
    assert configure([], allow_no_camera=True).cameras == ()
    with pytest.raises(ConfigError, match="pass either"):
        configure([])


@pytest.mark.parametrize("key", ["association.second_looks", "tracker.delay", "tracker.confirm_frames"])
def test_a_truth_value_is_no_number(key):
    with pytest.raises(ConfigError, match=rf"{key}: expected a number \(got True\)"):
        Config.from_sources("a.mp4").with_settings({key: True})
