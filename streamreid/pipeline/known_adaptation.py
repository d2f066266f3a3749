"""The adaptation to the site that a run was told to use."""

from __future__ import annotations

from pathlib import Path

from streamreid.association.site_adaptation import SiteAdaptation, load_adaptation
from streamreid.config import Config
from streamreid.errors import ConfigError, DataError, EngineMismatchError
from streamreid.pipeline.engine_description import EngineDescription
from streamreid.reid import engine_fingerprint, shipped_engines

__all__ = ["known_adaptation"]


def known_adaptation(config: Config, engine: EngineDescription) -> SiteAdaptation | None:
    """What ``association.adaptation`` names; None where it names nothing or there is no engine.

    Raises:
        ConfigError: The file cannot be used, or is of another site: it knows none of the cameras.
        EngineMismatchError: It is for another engine's features.
    """
    file = config.association.adaptation
    if file is None or engine.name == "none":
        return None
    try:
        found = load_adaptation(Path(file))
    except DataError as error:
        raise ConfigError(f"association.adaptation: {error}") from None
    if found.engine != engine.fingerprint or found.maps.shape[:2] != (len(engine.parts), engine.dim):
        raise EngineMismatchError(
            f"association.adaptation: '{file}' was learnt from features of {_named(found.engine)} than "
            f"'{engine.name}'; name that engine (engine: {{model: ...}}), run `streamreid adapt` on a cache of "
            f"'{engine.name}', or leave the setting out"
        )
    cameras = {c.name for c in config.cameras}
    if cameras and not cameras & set(found.means):
        raise ConfigError(
            f"association.adaptation: '{file}' is of another site: it knows the cameras "
            f"{', '.join(sorted(found.means))}; this run has {', '.join(sorted(cameras))}"
        )
    return found


def _named(fingerprint: str) -> str:
    """An engine by its fingerprint: those that ship have names."""
    name = next((n for n in shipped_engines() if engine_fingerprint(n) == fingerprint), None)
    return "another engine" if name is None else f"another engine ('{name}')"
