"""What a machine of a cluster says of itself. This runs there before it is known whether streamreid is installed, so
the function is sent as a whole and needs the standard library only."""

from __future__ import annotations

from typing import Any

__all__ = ["describe_machine"]


def describe_machine(
    folder: str, paths: list[str], detector: dict[str, Any], engine: str, versions: dict[str, str]
) -> dict[str, Any]:
    """What is installed and what is seen.

    Args:
        folder: Working folder of the command, for relative paths.
        paths: Files and folders to look for.
        detector: Settings of the detector, as JSON.
        engine: The setting engine.model.
        versions: Of ``streamreid`` and ``python`` that are expected. A machine with others says no more: that alone is
            told, and looking at its models takes seconds.

    Returns:
        The fields of `streamreid.cluster.machines.Report` but the machine.
    """
    import os
    import platform

    sizes: dict[str, int | None] = {}
    for path in paths:
        if "://" in path:
            continue
        whole = os.path.join(folder, os.path.expanduser(path))
        try:
            sizes[path] = -1 if os.path.isdir(whole) else os.stat(whole).st_size
        except OSError:
            sizes[path] = None
    found: dict[str, Any] = {"python": platform.python_version(), "sizes": sizes}
    try:
        import streamreid

        found["streamreid"] = streamreid.__version__
    except ImportError:
        return found
    same_python = found["python"].split(".")[:2] == versions["python"].split(".")[:2]
    if found["streamreid"] != versions["streamreid"] or not same_python:
        return found
    if os.path.isdir(folder):
        os.chdir(folder)
    try:
        found["unreached"] = _unreached(paths, sizes)
    except Exception as error:
        found["models_problem"] = f"{type(error).__name__}: {error}"
    try:
        from streamreid.config import DetectorConfig
        from streamreid.detection import detector_checksum
        from streamreid.reid import engine_fingerprint

        found["detector"] = detector_checksum(DetectorConfig.model_validate(detector))
        found["engine"] = engine_fingerprint(engine)
    except Exception as error:  # of another version, which is told first
        found["models_problem"] = f"{type(error).__name__}: {error}"
    return found


def _unreached(paths: list[str], sizes: dict[str, int | None]) -> dict[str, str]:
    """Look for what is reached by an address; why some is not."""
    from streamreid.errors import StreamReIDError
    from streamreid.runs.storage import reach

    found = {}
    for path in paths:
        if "://" in path:
            try:
                sizes[path] = reach(path)
            except StreamReIDError as error:
                found[path] = str(error)
    return found
