"""output.blur: what is hidden in written videos."""

import pytest

from streamreid.config import Config
from streamreid.errors import ConfigError
from streamreid.sinks import draw_style


def output(**values):
    return Config.from_dict({"cameras": [{"name": "a", "uri": "a.mp4"}], "output": values}).output


@pytest.mark.parametrize(
    ("value", "hidden"),
    [
        ({}, "none"),
        ({"blur": False}, "none"),
        ({"blur": True}, "body"),
        ({"blur": "people"}, "body"),
        ({"blur": "faces"}, "head"),
    ],
)
def test_what_is_hidden(value, hidden):
    assert draw_style(output(**value)).blur == hidden


def test_an_unknown_value_is_named():
    with pytest.raises(ConfigError, match="blur"):
        output(blur="everything")
