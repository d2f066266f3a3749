"""A configuration from what a person gives: a cameras file or sources, a settings file, single settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from streamreid._yaml import read_yaml, validate
from streamreid.config import Config, adaptation_beside, load_config
from streamreid.config.certificates import with_certificates
from streamreid.config.changes import as_changes
from streamreid.errors import ConfigError
from streamreid.media import is_picture, is_video

__all__ = ["configure", "load_settings", "split_sources"]


def configure(
    sources: Sequence[str],
    cameras_file: Path | None = None,
    *,
    settings_file: Path | None = None,
    changes: Mapping[str, Any] | None = None,
    allow_no_camera: bool = False,
) -> Config:
    """The configuration of a run, as the command line reads it.

    Args:
        sources: Videos, folders of pictures, addresses or webcam numbers; or one YAML file, which then is the cameras
            file.
        cameras_file: The YAML file with cameras and settings, instead.
        settings_file: YAML with sections but no cameras; its values win over the cameras file's.
        changes: Settings by dotted key, which win over both; None leaves a setting as it is.
        allow_no_camera: Neither sources nor a file gives a configuration without cameras, to which some may be added.

    Raises:
        ConfigError: Neither or both given, or a wrong key or value.
    """
    sources, cameras_file = split_sources(sources, cameras_file)
    none = allow_no_camera and cameras_file is None and not sources
    if cameras_file is not None and not sources:
        config = load_config(cameras_file)
    elif (sources and cameras_file is None) or none:
        config = Config.from_sources(*(sources or ["none"]))
    else:
        raise ConfigError("pass either --sources cams.yaml or one or more videos: streamreid run a.mp4 b.mp4")
    given = {key: value for key, value in (changes or {}).items() if value is not None}
    config = config.with_settings({**load_settings(settings_file), **given}, where="command line")
    return config.model_copy(update={"cameras": ()}) if none else config


def load_settings(path: Path | str | None) -> dict[str, Any]:
    """Settings by dotted key of a YAML file that has sections but no cameras, such as ``streamreid tune`` writes; none
    without a file.

    Raises:
        ConfigError: The file cannot be read, lists cameras, or has a wrong key or value.
    """
    if path is None:
        return {}
    path = Path(path)
    data, lines = read_yaml(path)
    if not isinstance(data, dict) or "cameras" in data:
        raise ConfigError(
            f"{path}:{lines.get(('cameras',), 1)}: a settings file has sections such as 'tracker:' and no cameras"
        )
    checked = validate(Config, {"cameras": [{"name": "any", "uri": "any"}], **data}, where=str(path), lines=lines)
    checked = checked.model_copy(
        update={
            "messages": with_certificates(checked.messages, path, lines),
            "association": adaptation_beside(checked.association, path),
        }
    )
    return as_changes(checked.model_dump(exclude_unset=True, exclude={"cameras"}))


def split_sources(sources: Sequence[str], cameras_file: Path | None) -> tuple[list[str], Path | None]:
    """Sources and cameras file: a YAML file that is the only source is the cameras file.

    Raises:
        ConfigError: A YAML file among videos, or a folder that holds videos instead of pictures.
    """
    files = [v for v in sources if "://" not in v and Path(v).suffix.lower() in (".yaml", ".yml")]
    if files and (len(sources) > 1 or cameras_file is not None):
        raise ConfigError(
            f"'{files[0]}' is a cameras file, and a run has either one or videos: write all cameras into it (--sources "
            f"{files[0]})"
        )
    if files:
        return [], Path(files[0])
    for folder in (Path(v) for v in sources if "://" not in v and Path(v).is_dir()):
        _refuse_recordings(folder)
    return list(sources), cameras_file


def _refuse_recordings(folder: Path) -> None:
    """A folder of pictures is a camera; one of videos is many recordings.

    Raises:
        ConfigError: It holds videos, itself or in subfolders, and no pictures.
    """
    names = [p for p in folder.iterdir() if not p.name.startswith(".")]
    if any(is_picture(p) for p in names):
        return
    found = [p for p in names if is_video(p)] or [p for f in names if f.is_dir() for p in f.iterdir() if is_video(p)]
    if found:
        raise ConfigError(
            f"'{folder}' holds videos ({found[0].name}{', ...' if len(found) > 1 else ''}). Each a recording of its "
            f"own: streamreid batch {folder} --out results/. All of them cameras of one scene: streamreid batch "
            f"{folder} --out results/ --together"
        )
