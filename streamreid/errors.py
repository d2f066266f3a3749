"""One tree of errors. Every message says what happened, where, and what to do about it.

StreamReIDError
├── ConfigError            the YAML or the command line is wrong              exit code 2
├── WeightsError           a weights file is missing or has a wrong checksum  exit code 2
├── EngineError            an engine bundle or graph cannot be used           exit code 2
│   └── EngineMismatchError   features or bundles that do not belong together
├── DetectorError          a detector cannot be used                          exit code 2
├── SourceError            a camera, stream, video or folder cannot be read   exit code 3
├── OutputError            a result file or video cannot be written           exit code 2
├── GalleryError           remembered identities cannot be read or written    exit code 2
├── MissingExtraError      an optional package is not installed               exit code 2
└── DataError              a data file (ground truth, dataset, cache) is wrong exit code 2
"""

from __future__ import annotations

__all__ = [
    "ConfigError",
    "DataError",
    "DetectorError",
    "EngineError",
    "EngineMismatchError",
    "GalleryError",
    "MissingExtraError",
    "OutputError",
    "SourceError",
    "StreamReIDError",
    "WeightsError",
]


class StreamReIDError(Exception):
    """Base of every error that streamreid raises on purpose."""

    exit_code = 2


class ConfigError(StreamReIDError):
    """A configuration value is missing, unknown or out of range."""


class WeightsError(StreamReIDError):
    """A weights file is missing, cannot be fetched, or does not have the expected checksum."""


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


class GalleryError(StreamReIDError):
    """A gallery cannot be opened, read or written: damaged, of a newer version, busy, full, read-only, or encrypted with another key."""


class DataError(StreamReIDError):
    """A data file (detections, ground truth, results, dataset) is malformed."""


class MissingExtraError(StreamReIDError):
    """An optional dependency is needed for what was asked.

    Args:
        package: Import name that is missing.
        extra: Name of the extra that brings it.
        purpose: What it is needed for.
    """

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs the package '{package}'. Install it with: pip install 'streamreid[{extra}]'")
