"""Everything that can be said of a cameras file without opening a camera, a model or an address."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from streamreid._yaml import Location
from streamreid.cameras.capture_times import mixing_problems
from streamreid.config import CameraConfig, Config, Reading, read_config
from streamreid.config.place_checks import nameless
from streamreid.errors import ConfigError, DetectorError, EngineError, GalleryError, WeightsError
from streamreid.sources.local_files import file_fault, source_fault
from streamreid.sources.protocols import missing_protocol

__all__ = ["ConfigCheck", "check_config"]


@dataclass(frozen=True, slots=True)
class ConfigCheck:
    """What was found.

    Args:
        config: As far as it can be understood; None where it cannot.
        mistakes: What no run can begin with, one sentence each, with line and key.
        missing: What is not on this machine; the file may be meant for another one.
        notes: What else should be known.
    """

    config: Config | None
    mistakes: tuple[str, ...]
    missing: tuple[str, ...]
    notes: tuple[str, ...]


def check_config(path: Path, gallery: str | None = None) -> ConfigCheck:
    """Look at a cameras file: all keys and values, and whether what they name is here.

    Sections with mistakes are looked at no further, and nothing is said of what depends on them.

    Args:
        path: The YAML file.
        gallery: The gallery that the run will be given, instead of ``gallery.store``.

    Raises:
        ConfigError: The file is missing, is not YAML, or does not hold sections.
    """
    reading = read_config(path)
    if reading.config is None:
        return ConfigCheck(None, reading.mistakes, (), ())
    check = _Check(path, reading, reading.config, gallery or reading.config.gallery.store)
    check.cameras()
    check.models()
    check.rules()
    mistakes = tuple(dict.fromkeys((*reading.mistakes, *check.mistakes)))
    return ConfigCheck(reading.config, mistakes, tuple(check.missing), tuple(check.notes))


class _Check:
    """One look at a file."""

    def __init__(self, path: Path, reading: Reading, config: Config, store: str | None) -> None:
        self._path, self._reading, self._config, self._store = path, reading, config, store
        self.mistakes: list[str] = []
        self.missing: list[str] = []
        self.notes: list[str] = []

    def _at(self, *location: str | int) -> str:
        """Beginning of a sentence about a key."""
        known: Location = location
        while known and known not in self._reading.lines:
            known = known[:-1]
        return f"{self._path}:{self._reading.lines.get(known, 1)}: "

    def cameras(self) -> None:
        """Their files, calibrations, protocols and times."""
        cameras = list(zip(self._reading.cameras, self._config.cameras, strict=False))  # none: one stands in for them
        for number, camera in cameras:
            for key, text in _missing_files(camera):
                place = self._at("cameras", number, *key.split("."))
                self.missing.append(f"{place}camera '{camera.name}': {key}: {text}")
            if protocol := missing_protocol(camera.uri):
                self.notes.append(f"{camera.name}: {protocol}")
        if not self._reading.wrong & {"cameras", "association"}:
            late = mixing_problems(self._config.cameras, window=self._config.association.window)
            self.mistakes += [f"{self._path}: camera '{name}': {why}" for name, why in late.items()]
        adaptation = self._config.association.adaptation
        if adaptation is not None and (text := _fault(Path(adaptation))):
            self.missing.append(f"{self._at('association', 'adaptation')}association.adaptation: {adaptation}: {text}")
        self._calibrations([(number, camera) for number, camera in cameras if camera.calibration is not None])

    def _calibrations(self, cameras: list[tuple[int, CameraConfig]]) -> None:
        """Whether those that are here can be used."""
        for number, camera in cameras:
            if any(key.startswith("calibration") for key, _ in _missing_files(camera)):
                continue
            from streamreid.pipeline.ground_plane import check_calibration

            try:
                check_calibration(camera)
            except ConfigError as error:
                self.mistakes.append(f"{self._at('cameras', number, 'calibration')}{error}")

    def models(self) -> None:
        """Whether detector and engine are here, and boxes for every camera where they are read from files."""
        from streamreid.detection import missing_boxes, missing_detector
        from streamreid.reid import missing_engine

        checks: dict[str, Callable[[], str | None]] = {
            "detector": lambda: missing_detector(self._config.detector),
            "engine": lambda: missing_engine(self._config.engine),
        }
        for section, check_model in checks.items():
            try:
                text = check_model()
            except (WeightsError, EngineError) as error:
                self.mistakes.append(f"{self._at(section, 'model')}{section}.model: {error}")
                continue
            if text is not None:
                self.missing.append(f"{self._at(section, 'model')}{section}.model: {text}{self._beside(section)}")
        names = [camera.name for camera in self._config.cameras] if self._reading.cameras else []
        try:
            boxes = missing_boxes(self._config.detector, names)
        except DetectorError:  # the folder itself is not here, which was said
            return
        self.missing += [f"{self._at('detector', 'model')}detector.model: {text}" for text in boxes]

    def _beside(self, section: str) -> str:
        """A hint where a model was looked for in the wrong place."""
        model = Path(getattr(self._config, section).model.removeprefix("mot:"))
        there = self._path.parent / model
        return f"; it is at {there}: begin its path where the command runs" if there.exists() else ""

    def rules(self) -> None:
        """Alerts about people, as far as they can be judged now."""
        if not self._reading.wrong & {"alerts", "gallery"}:
            for i, text in nameless(self._config.alerts, self._store):
                self.mistakes.append(f"{self._at('alerts', i, 'when')}{text}")
            self.notes += _unknown_names(self._config, self._store)


def _missing_files(camera: CameraConfig) -> Iterator[tuple[str, str]]:
    """Keys of a camera whose files are not here, each with why."""
    try:
        fault = source_fault(camera)
    except (OSError, ValueError) as error:
        fault = f"cannot be looked at ({getattr(error, 'strerror', None) or type(error).__name__}). Check the path"
    if fault:
        yield "uri", f"{camera.uri}: {fault}"
    if camera.calibration is None or camera.calibration.file is None:
        return
    from streamreid.ground.calibration_files import file_and_key

    for key, name in (("file", camera.calibration.file), ("intrinsics", camera.calibration.intrinsics)):
        if name is not None and (text := _fault(file_and_key(name)[0])):
            yield f"calibration.{key}", f"{name}: {text}"


def _fault(path: Path) -> str:
    try:
        return file_fault(path)
    except OSError as error:
        return f"cannot be looked at ({error.strerror or error}). Check the path"


def _unknown_names(config: Config, store: str | None) -> Iterator[str]:
    """Rules about names that nobody in the gallery has yet; only a gallery in a file of this machine is asked."""
    wanted = [alert.rule.name for alert in config.alerts if alert.rule.subject == "identity"]
    wanted = [name for name in wanted if not name.isdecimal()]
    if not wanted or store is None or not Path(store).is_file():
        return
    from streamreid.gallery import Gallery

    try:
        with Gallery.open(store, read_only=True) as known:
            names = {record.name for record in known.identities()}
    except GalleryError:  # in use, or its key is elsewhere: `doctor` says what is wrong with it
        return
    for name in dict.fromkeys(wanted):
        if name not in names:
            yield (
                f"identity {name}: nobody in '{store}' has this name yet; the rule holds once somebody does "
                "(streamreid gallery rename)"
            )
