"""Recordings that a search replays: cached frames in memory, their ground truth, and the split into training and
validation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from streamreid.cache.reader import read_frames
from streamreid.config import Config
from streamreid.errors import ConfigError, DataError
from streamreid.evaluation import MotScores, Table, evaluate_mot, evaluate_multicam, read_mot
from streamreid.evaluation.scores import combine
from streamreid.evaluation.table import one_of_each
from streamreid.replay.replay import Replay, replayed_config
from streamreid.types import EmbeddedFrame

__all__ = ["Ids", "Objective", "Recording", "load_recordings", "objective_of", "score_recordings", "split"]

Ids = Literal["local", "global"]
Objective = Literal["hota+idf1", "hota", "idf1", "mota"]


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """One cache, or a part of it.

    Args:
        folder: Of the cache.
        config: As it was run.
        frames: To be replayed, in order.
        truth: By camera, of those frames only.
        last: The last frame that each ground truth covers; later ones are not scored.
    """

    folder: Path
    config: Config
    frames: list[EmbeddedFrame]
    truth: dict[str, Table]
    last: dict[str, int]

    @property
    def scored(self) -> dict[str, list[int]]:
        """Numbers of the frames that are scored, by camera: those that are in the cache and that the ground truth
        covers (be it with nobody)."""
        numbers: dict[str, list[int]] = {camera: [] for camera in self.last}
        for seen in self.frames:
            camera, number = seen.frame.camera, seen.frame.index + 1
            if number <= self.last.get(camera, 0):
                numbers[camera].append(number)
        return {camera: found for camera, found in numbers.items() if found}

    @property
    def times(self) -> tuple[float, float]:
        """Capture times of the first and the last frame that is scored."""
        times = [s.frame.time for s in self.frames if s.frame.index < self.last.get(s.frame.camera, 0)]
        return min(times), max(times)

    def between(self, start: float, end: float) -> Recording:
        """The part with capture times from ``start`` to before ``end``."""
        part = replace(self, frames=[seen for seen in self.frames if start <= seen.frame.time < end])
        kept = {camera: _kept(self.truth[camera], frames) for camera, frames in part.scored.items()}
        return replace(part, truth={camera: table for camera, table in kept.items() if len(table)})

    def replay(self, settings: Mapping[str, float], ids: Ids) -> dict[str, Table]:
        """What the pipeline reports with other settings, for the cameras that have a ground truth.

        Raises:
            ConfigError: The settings contradict each other.
        """
        replay = Replay(self.folder, self.config.with_settings(settings), frames=self.frames)
        rows: dict[str, list[tuple[float, ...]]] = defaultdict(list)
        for result in replay:
            frame, tracks = result.frame, result.tracks
            people = zip(tracks.ids.tolist(), tracks.boxes.tolist(), tracks.scores.tolist(), strict=True)
            for track, (x0, y0, x1, y1), score in people:
                rows[frame.camera].append((frame.index + 1, track, x0, y0, x1 - x0, y1 - y0, score))
        who = replay.identities
        found = {}
        for camera in self.truth:
            data = np.array(rows[camera], np.float64).reshape(-1, 7)
            names = data[:, 1].astype(np.int64)
            if ids == "global":
                names = np.array([who[camera, i][0] for i in names.tolist()], np.int64)
                kept = one_of_each(data[:, 0], names.astype(np.float64), data[:, 6])
                data, names = data[kept], names[kept]
            found[camera] = Table.build(data[:, 0], names, data[:, 2:6], where=f"replay of {camera}")
        return found

    def score(self, settings: Mapping[str, float], ids: Ids) -> MotScores:
        """Score the recordings with changed settings."""
        scored = self.scored
        span = min(min(scored[c]) for c in self.truth), max(max(scored[c]) for c in self.truth)
        found = {camera: _kept(table, scored[camera]) for camera, table in self.replay(settings, ids).items()}
        if ids == "global":
            return evaluate_multicam(found, self.truth, frames=span).combined
        return evaluate_mot(found, self.truth, frames=span).combined


def _kept(table: Table, frames: Sequence[int]) -> Table:
    return table[np.isin(table.frames, frames)]


def load_recordings(folders: Sequence[Path], truth: Sequence[str]) -> list[Recording]:
    """Read caches and their ground truth into memory.

    Args:
        folders: Caches.
        truth: ``CAMERA=FILE``, or ``CACHE/CAMERA=FILE`` with the name of the cache's folder where cameras of several
            caches share a name.

    Raises:
        ConfigError: A ground truth fits no camera or several.
        DataError: A cache or file is malformed, or a cache has no ground truth.
    """
    names = [folder.resolve().name for folder in folders]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise ConfigError(f"caches must have different folder names; used more than once: {', '.join(twice)}")
    configs = [replayed_config(folder) for folder in folders]
    tables: list[dict[str, Table]] = [{} for _ in folders]
    for item in truth:
        name, equals, file = item.partition("=")
        if not equals:
            raise ConfigError(f"--truth {item}: write CAMERA=FILE, for example --truth cam1=gt_cam1.txt")
        fitting = [
            (number, camera.name)
            for number, config in enumerate(configs)
            for camera in config.cameras
            if name in (camera.name, f"{names[number]}/{camera.name}")
        ]
        if len(fitting) != 1:
            known = ", ".join(f"{n}/{c.name}" for n, config in zip(names, configs, strict=True) for c in config.cameras)
            raise ConfigError(
                f"--truth {item}: '{name}' fits {len(fitting)} cameras of {known}; write CACHE/CAMERA=FILE"
            )
        number, camera_name = fitting[0]
        if not Path(file).is_file():
            raise DataError(f"--truth {item}: '{file}' does not exist; give MOT text")
        tables[number][camera_name] = read_mot(file)
    recordings = []
    for folder, config, own in zip(folders, configs, tables, strict=True):
        last = {camera: int(table.frames[-1]) for camera, table in own.items() if len(table)}
        whole = Recording(folder, config, list(read_frames(folder)), own, last)
        if not whole.scored:
            raise DataError(f"cache '{folder}' has no ground truth for its frames; pass --truth CAMERA=FILE")
        recordings.append(whole.between(-np.inf, np.nextafter(whole.times[1], np.inf)))
    return recordings


def split(recordings: Sequence[Recording], hold_out: Sequence[Path]) -> tuple[list[Recording], list[Recording]]:
    """Training and validation: by cache if some are held out, else the first and the second half of the time that each
    ground truth covers.

    Raises:
        ConfigError: An unknown cache is held out, or all are.
        DataError: A half has no ground truth.
    """
    if hold_out:
        held = {folder.resolve() for folder in hold_out}
        unknown = held - {r.folder.resolve() for r in recordings}
        if unknown or len(held) == len(recordings):
            what = f"'{min(unknown).name}' is not one of the caches" if unknown else "no cache is left to train on"
            raise ConfigError(f"--hold-out: {what}")
        return [r for r in recordings if r.folder.resolve() not in held], [
            r for r in recordings if r.folder.resolve() in held
        ]
    training, validation = [], []
    for r in recordings:
        start, end = r.times
        middle = (start + end) / 2
        halves = r.between(-np.inf, middle), r.between(middle, np.inf)
        if not (halves[0].truth and halves[1].truth):
            raise DataError(
                f"cache '{r.folder}': one half of its time has no ground truth, so nothing can be held back. Use "
                "--hold-out with more caches"
            )
        training.append(halves[0])
        validation.append(halves[1])
    return training, validation


def objective_of(scores: MotScores, objective: Objective) -> float:
    """What is to be made great."""
    values = [getattr(scores, name) for name in objective.split("+")]
    return float(np.mean(values))


def score_recordings(recordings: Sequence[Recording], settings: Mapping[str, float], ids: Ids) -> MotScores:
    """Scores of these settings on several recordings together."""
    return combine({str(number): r.score(settings, ids) for number, r in enumerate(recordings)})
