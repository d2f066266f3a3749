"""One tree of errors. Every message says what happened, where, and what to do about it.

StreamReIDError
├── ConfigError            the YAML or the command line is wrong              exit code 2
│   ├── CameraNotFound        no camera of that name                          HTTP 404
│   ├── CameraExists          a camera of that name already                   HTTP 409
│   ├── FileChanged           changed by somebody else meanwhile              HTTP 409
│   ├── PlaceNotFound         no zone or line of that name                    HTTP 404
│   └── PlaceExists           a zone or line of that name already             HTTP 409
├── WeightsError           a weights file is missing or has a wrong checksum  exit code 2
│   └── WeightsUnavailableError  not here, and cannot be fetched
├── EngineError            an engine bundle or graph cannot be used           exit code 2
│   └── EngineMismatchError   features or bundles that do not belong together
├── DetectorError          a detector cannot be used                          exit code 2
├── SourceError            a camera, stream, video or folder cannot be read   exit code 3
├── OutputError            a result file or video cannot be written           exit code 2, HTTP 500
│   └── FolderBusy            another process writes to the folder            HTTP 503
├── GalleryError           remembered identities cannot be read or written    exit code 2, HTTP 500
│   └── GalleryBusy           another process holds it; later it may go       HTTP 503
├── CorrectionError        who is who cannot be corrected so                  HTTP 409
│   └── UnknownIdentity       there is no such person (any more)              HTTP 404
├── ClusterError           a cluster is away, or a machine of it does not fit exit code 2, HTTP 503
├── MissingExtraError      an optional package is not installed               exit code 2
└── DataError              a data file (ground truth, dataset, cache) is wrong exit code 2

Over HTTP an error is 422 (what was asked for cannot be done) unless its class says otherwise. Whoever must tell reasons
apart catches a class: no decision is made by the text of a message.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = [
    "CameraExists",
    "CameraNotFound",
    "ClusterError",
    "ConfigError",
    "CorrectionError",
    "DataError",
    "DetectorError",
    "EngineError",
    "EngineMismatchError",
    "FileChanged",
    "FolderBusy",
    "GalleryBusy",
    "GalleryError",
    "MissingExtraError",
    "OutputError",
    "PlaceExists",
    "PlaceNotFound",
    "SourceError",
    "StreamReIDError",
    "UnknownIdentity",
    "WeightsError",
    "WeightsUnavailableError",
]


class StreamReIDError(Exception):
    """Base of every error that streamreid raises on purpose.

    Attributes:
        exit_code: Of a command that ends with it.
        http_status: Of a request that ends with it.
    """

    exit_code = 2
    http_status = 422


class ConfigError(StreamReIDError):
    """A configuration value is missing, unknown or out of range."""


class CameraNotFound(ConfigError):
    """There is no camera of that name.

    Args:
        name: What was asked for.
        known: The cameras that there are.
    """

    http_status = 404

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f"there is no camera '{name}'; cameras: {', '.join(known) or 'none'}")


class CameraExists(ConfigError):
    """A camera of that name is there already.

    Args:
        name: What was to be added.
        advice: What to do instead.
    """

    http_status = 409

    def __init__(self, name: str, advice: str = "remove or change it, or choose another name") -> None:
        super().__init__(f"there is a camera '{name}' already; {advice}")


class FileChanged(ConfigError):
    """A file was changed by somebody else between showing what would be written and writing it.

    Args:
        path: The file.
    """

    http_status = 409

    def __init__(self, path: str) -> None:
        super().__init__(f"'{path}' was changed meanwhile, so nothing was written; look at the differences again")


class PlaceNotFound(ConfigError):
    """There is no zone or line of that name.

    Args:
        kind: zone or line.
        name: What was asked for.
        camera: Of which camera; None for any.
        near: A name that is nearly the same, if there is one.
    """

    http_status = 404

    def __init__(self, kind: str, name: str, camera: str | None = None, near: str | None = None) -> None:
        where = f" of camera '{camera}'" if camera else ""
        hint = f"; did you mean '{near}'?" if near is not None and near != name else ""
        super().__init__(f"there is no {kind} '{name}'{where}{hint}")


class PlaceExists(ConfigError):
    """The camera has a zone or line of that name.

    Args:
        kind: zone or line.
        name: What was to be added.
        camera: Of which camera; None for all.
    """

    http_status = 409

    def __init__(self, kind: str, name: str, camera: str | None) -> None:
        where = f"camera '{camera}' has a" if camera else "there is a"
        super().__init__(f"{where} {kind} '{name}' already; change it, or choose another name")


class WeightsError(StreamReIDError):
    """A weights file is missing, cannot be fetched, or does not have the expected checksum."""


class WeightsUnavailableError(WeightsError):
    """Named files are not on this machine and cannot be fetched."""


class EngineError(StreamReIDError):
    """An engine bundle is incomplete, damaged, or of a layout that cannot be run."""


class EngineMismatchError(EngineError):
    """Features of two different engines were about to be compared."""


class DetectorError(StreamReIDError):
    """A detector file is missing or its graph is of an unknown layout."""


class SourceError(StreamReIDError):
    """A video, image folder, stream or webcam cannot be opened or read further."""

    exit_code = 3


class OutputError(StreamReIDError):
    """A result file or video cannot be written (disk full, folder not writable)."""

    http_status = 500


class FolderBusy(OutputError):
    """Another process writes to the folder; the message says which, and since when."""

    http_status = 503


class GalleryError(StreamReIDError):
    """A gallery cannot be opened, read or written: damaged, of a newer version, busy, full, read-only, or encrypted
    with another key."""

    http_status = 500


class GalleryBusy(GalleryError):
    """Another process holds the gallery for too long. The same call may succeed later."""

    http_status = 503


class CorrectionError(StreamReIDError):
    """Who is who cannot be corrected as asked: it contradicts what was said before, or there is nothing to undo."""

    http_status = 409


class UnknownIdentity(CorrectionError):
    """There is no identity of that number: there never was, it expired, it became part of another, or it was
    forgotten."""

    http_status = 404


class DataError(StreamReIDError):
    """A data file (detections, ground truth, results, dataset) is malformed."""


class ClusterError(StreamReIDError):
    """A cluster cannot be reached or is lost, or a machine of it does not fit; the message names the machine."""

    http_status = 503


class MissingExtraError(StreamReIDError):
    """An optional dependency is needed for what was asked.

    Args:
        package: Import name that is missing.
        extra: Name of the extra that brings it.
        purpose: What it is needed for.
    """

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs the package '{package}'. Install it with: pip install 'streamreid[{extra}]'")
