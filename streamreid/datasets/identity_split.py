"""Who is in the training data: pictures, person and camera numbers, the people held out for validation."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from streamreid.datasets.dataset_config import DatasetConfig
from streamreid.datasets.layouts import list_pictures
from streamreid.datasets.part_grouping import PART_NAMES, read_parts
from streamreid.errors import DataError

__all__ = ["Picture", "Split", "read_people", "split_people"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Picture:
    """One training picture.

    Args:
        path: The file.
        labels: Folder of its class map.
        dataset: Number of the dataset it belongs to.
        person: Person number in that dataset.
        camera: Camera number in that dataset.
        identity: Class number over all training data; -1 for people that are held out.
    """

    path: Path
    labels: Path
    dataset: int
    person: int
    camera: int
    identity: int = -1


@dataclass(frozen=True)
class Split:
    """Training pictures with class numbers from 0, the pictures of the held-out people, and the names of the parts in
    their labels."""

    train: list[Picture]
    validation: list[Picture]
    parts: tuple[str, ...] = PART_NAMES

    @property
    def identities(self) -> int:
        """How many people are trained on."""
        return 1 + max(p.identity for p in self.train)


def read_people(config: DatasetConfig, dataset: int) -> list[Picture]:
    """Read one dataset; see `layouts`.

    Raises:
        DataError: See `list_pictures`; the folder of labels is missing.
    """
    labels = Path(config.labels)
    named = list_pictures(config.images, config.layout)
    if not labels.is_dir():
        raise DataError(
            f"{labels}: no such folder of part labels; make it with: streamreid parse-labels {config.images} --out "
            f"{labels}"
        )
    root = Path(config.images)  # labels lie in the same subfolders, because names repeat between them in some datasets
    return [
        Picture(n.path, labels / n.path.parent.relative_to(root), dataset, n.person, n.camera)
        for n in named
        if n.person not in config.exclude
    ]


def split_people(datasets: tuple[DatasetConfig, ...]) -> Split:
    """Merge datasets and hold out the last people of each, as its configuration says.

    Raises:
        DataError: See `read_people`; a dataset with fewer than two people to train on, with a single camera, or with
            only one picture per person.
    """
    train: list[Picture] = []
    validation: list[Picture] = []
    count = 0
    for number, config in enumerate(datasets):
        pictures = read_people(config, number)
        people = sorted({p.person for p in pictures})
        kept = people[: len(people) - config.validation]
        if len(kept) < 2:
            raise DataError(
                f"{config.images}: {len(people)} people, {config.validation} of them held out; at least 2 must remain "
                "to train on"
            )
        if len({p.camera for p in pictures}) < 2:
            raise DataError(
                f"{config.images}: all pictures are of one camera; re-identification needs people seen by two or more"
            )
        number_of = {person: count + i for i, person in enumerate(kept)}
        mine = [replace(p, identity=number_of[p.person]) for p in pictures if p.person in number_of]
        if len(mine) == len(kept):
            raise DataError(
                f"{config.images}: every person has a single picture; nothing can be learnt about who is the same"
            )
        _tell_single(config.images, mine)
        train += mine
        validation += [p for p in pictures if p.person not in number_of]
        count += len(kept)
    return Split(train, validation, _common_parts(datasets))


def _tell_single(folder: str, pictures: list[Picture]) -> None:
    """People with one picture say who they are not, but not what stays the same about them."""
    counts = Counter(p.person for p in pictures)
    single = sorted(person for person, count in counts.items() if count == 1)
    if single:
        shown = ", ".join(map(str, single[:5])) + (" ..." if len(single) > 5 else "")
        _log.warning(
            "%s: %d people have a single picture (%s); they can only serve as different people",
            folder,
            len(single),
            shown,
        )


def _common_parts(datasets: tuple[DatasetConfig, ...]) -> tuple[str, ...]:
    """The parts that all labels tell apart."""
    found = {config.labels: read_parts(Path(config.labels)) for config in datasets}
    first = next(iter(found.values()))
    for folder, parts in found.items():
        if parts != first:
            raise DataError(
                f"{folder}: labels of {', '.join(parts)}, but another dataset's are of {', '.join(first)}; run "
                "parse-labels with the same --parts for all"
            )
    return first
