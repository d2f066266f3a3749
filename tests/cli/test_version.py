"""``streamreid --version``."""

from __future__ import annotations

from typer.testing import CliRunner

from streamreid import __version__
from streamreid.cli import app


def test_the_version_is_that_of_the_package() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert result.exit_code == 0
    assert result.output == f"streamreid {__version__}\n"


def test_without_a_command_help_is_shown() -> None:
    assert "serve" in CliRunner().invoke(app, []).output
