"""Live cameras, and the HTTP interface."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, SecretStr, field_validator

from streamreid._sections import Section, as_text, basic
from streamreid._token import checked_token
from streamreid.config.output import Blur, as_blur

__all__ = ["LiveConfig", "ServerConfig"]


class LiveConfig(Section):
    """How live cameras are treated."""

    turn_seconds: float = Field(
        default=0.05,
        gt=0,
        le=10,
        description=(
            "Frames of so many cameras are looked at together as take about so long; less is fresher. If more comes "
            "than can be followed, cameras take turns."
        ),
    )
    append: bool = Field(
        default=True,
        description=(
            "Go on in a folder that holds results of an earlier live run: files are added to, ids and frame numbers "
            "go on. false: such a folder is refused."
        ),
        json_schema_extra=basic(),
    )
    watch: bool = Field(
        default=True,
        description=(
            "Follow changes of the cameras file while running: cameras are added, removed and changed as it says."
        ),
    )


class ServerConfig(Section):
    """The HTTP interface of a live run (extra `server`)."""

    listen: Annotated[str | None, BeforeValidator(as_text)] = Field(
        default=None,
        description="[HOST:]PORT; without a host only this machine is served. Empty: no server.",
        pattern=r"^(([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]):)?[0-9]{1,5}$",
        json_schema_extra={**basic(), "x-expected": "write PORT or HOST:PORT, for example 8080 or 0.0.0.0:8080"},
    )
    token: SecretStr | None = Field(
        default=None,
        description=(
            "Who asks must send it ('Authorization: Bearer TOKEN'); needed where other machines are served. Take it "
            "from the environment: ${STREAMREID_TOKEN}."
        ),
        json_schema_extra=basic(),
    )
    viewer_token: SecretStr | None = Field(
        default=None,
        description=(
            "A second token, beside `token`, with which one may look and change nothing. Take it from the environment: "
            "${STREAMREID_VIEWER_TOKEN}."
        ),
    )
    page: bool = Field(
        default=True,
        description="Serve a page to look at, ask and correct (extra `web`; without the extra there is none).",
    )
    blur: Annotated[Blur | None, BeforeValidator(as_blur)] = Field(
        default=None,
        description=(
            "What is made unrecognisable in the pictures of the page, whatever becomes of files: nothing, whole "
            "people, or faces (the upper third). Empty: as output.blur. Where one hides people and the other faces, "
            "people are hidden in both."
        ),
    )
    keep_changes: bool = Field(
        default=True,
        description=(
            "Keep cameras, zones and lines that are changed by HTTP (in cameras.json and places.json of the results "
            "folder) when the run is started again there. Where the cameras file was edited since, it counts."
        ),
    )

    @field_validator("token", "viewer_token")
    @classmethod
    def _usable(cls, token: SecretStr | None) -> SecretStr | None:
        return None if token is None else SecretStr(checked_token(token.get_secret_value()))
