"""What answers about doubtful links are worth: identities across cameras after some honest answers, asked as the review
asks and about random pairs of tracks.

    python benchmarks/review.py scenes FOLDER [--answers 0 10 25 50 100] [--json]
    python benchmarks/review.py fit FOLDER

FOLDER is that of ``benchmarks/unique_people.py scenes``: generated scenes of ten minutes with heavy and medium
occlusion, whose people the engine never saw. Answers are those of the ground truth: which person most boxes of a track
show. A pair of which one track shows nobody for long is answered "can't tell", which counts as an answer, too. ``fit``
prints the two logistic models of ``review_queue`` from the scenes for fitting.
"""

from __future__ import annotations

import argparse
import pickle
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from _results import add_json, save_asked
from _unique_scenes import Scene, _Camera, load_engine, scene, settings, updates
from scipy.optimize import linear_sum_assignment, minimize

from streamreid.association.review_queue import ReviewQueue
from streamreid.association.track_constraints import TrackConstraints
from streamreid.evaluation import Table
from streamreid.evaluation.preprocessing import ious
from streamreid.pipeline import Site
from streamreid.places.link_graph import link_graph
from streamreid.places.partition_sampling import LinkGraph
from streamreid.places.records import TrackSpan
from streamreid.synth.crowd_simulation import walk
from streamreid.synth.scene_layout import lay_out

Key = tuple[str, int]

TEST = (scene("test", "heavy", 30, 4, 13), scene("test", "medium", 30, 3, 12))
FIT = (scene("fit", "heavy", 30, 2, 904), scene("fit", "medium", 30, 2, 906))
SEEN = 0.25
"""Share of a person that must be seen for the box to be scored."""

results: dict[str, Any] = {}
"""Figures of this run, for ``--json``."""


@dataclass
class Followed:
    """A scene after it was followed.

    Args:
        boxes: By camera, rows of (frame from 1, track, left, top, width, height).
        truth: By camera.
        seen: In how many frames each track is where each person is.
        graph: Evidence of pairs of tracks.
        owner: Global id of every track that is a person.
        person: Who most boxes of a track show; tracks of nobody are missing.
    """

    boxes: dict[str, list[tuple[float, ...]]]
    truth: dict[str, Table]
    seen: dict[Key, Counter[int]]
    graph: LinkGraph
    owner: dict[Key, int]
    person: dict[Key, int]

    @cached_property
    def observations(self) -> dict[Key, int]:
        """Boxes of each track."""
        return Counter((camera, int(row[1])) for camera, rows in self.boxes.items() for row in rows)


def true_boxes(item: Scene) -> dict[str, Table]:
    """Who was where, as the scene was laid out."""
    rng = np.random.default_rng(item.config.seed)
    places, views = lay_out(item.config, rng)
    walks = walk(item.config, places, rng)
    found = {}
    for view in views:
        camera, rows = _Camera(view, places[view.place], walks), []
        for index in range(item.config.frames):
            for one in camera.shown(index / item.config.fps):
                if one.visibility >= SEEN:
                    x0, y0, x1, y1 = one.box
                    rows.append((index + 1, one.person + 1, x0, y0, x1 - x0, y1 - y0))
        a = np.array(rows, float).reshape(-1, 6)
        found[view.name] = Table.build(a[:, 0].astype(int), a[:, 1].astype(int), a[:, 2:], where=view.name)
    return found


def follow(item: Scene, out: Path, kept: Path) -> Followed:
    """Follow everybody through a scene, as a run does; kept in a file."""
    file = kept / f"{item.name}.pickle"
    if file.exists():
        return pickle.loads(file.read_bytes())
    site = Site(settings(item.config.cameras), load_engine(out))
    boxes: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    spans: dict[Key, list[float]] = {}
    for update in updates(out / item.name):
        for one in update.released:
            for track, (x0, y0, x1, y1) in zip(one.tracks.ids.tolist(), one.tracks.boxes.tolist(), strict=True):
                boxes[one.frame.camera].append((one.frame.index + 1, track, x0, y0, x1 - x0, y1 - y0))
                span = spans.setdefault((one.frame.camera, track), [one.frame.time, one.frame.time, 0])
                span[1], span[2] = one.frame.time, span[2] + 1
        site.process(update)
    identities, links = site.identities, site.pair_links()
    known = [TrackSpan(*key, span[0], span[1], int(span[2])) for key, span in spans.items()]
    graph, _ = link_graph([t.key for t in links.tracks], links.pairs, links.log_odds, identities, known)
    owner = {key: who for key, (who, _) in identities.items() if who and who not in identities.unlinked}
    truth = true_boxes(item)
    seen = together(boxes, truth)
    counts = Counter((camera, int(row[1])) for camera, rows in boxes.items() for row in rows)
    made = Followed(dict(boxes), truth, seen, graph, owner, names(seen, counts))
    kept.mkdir(parents=True, exist_ok=True)
    file.write_bytes(pickle.dumps(made))
    return made


def together(boxes: Mapping[str, list[tuple[float, ...]]], truth: Mapping[str, Table]) -> dict[Key, Counter[int]]:
    """In how many frames each track and each person are at one place (IoU of at least .5)."""
    seen: dict[Key, Counter[int]] = defaultdict(Counter)
    for camera, rows in boxes.items():
        a, true = np.array(sorted(rows), float).reshape(-1, 6), truth[camera]
        own = Table.build(a[:, 0].astype(int), a[:, 1].astype(int), a[:, 2:], where=camera)
        last = max([1, *own.frames.tolist(), *true.frames.tolist()])
        for mine, theirs in zip(own.by_frame(1, last), true.by_frame(1, last), strict=True):
            people, tracks = np.nonzero(ious(true.boxes[theirs], own.boxes[mine]) >= 0.5)
            for person, track in zip(true.ids[theirs][people].tolist(), own.ids[mine][tracks].tolist(), strict=True):
                seen[camera, track][person] += 1
    return dict(seen)


def names(seen: Mapping[Key, Counter[int]], observations: Mapping[Key, int]) -> dict[Key, int]:
    """The person that at least half of a track's boxes show."""
    found = {}
    for key, people in seen.items():
        who, frames = people.most_common(1)[0]
        if frames >= observations[key] / 2:
            found[key] = who
    return found


def idf1(made: Followed, owner: Mapping[Key, int]) -> float:
    """IDF1 across all cameras (Ristani et al., ECCVW 2016): identities and people are assigned one to one."""
    total: dict[int, Counter[int]] = defaultdict(Counter)
    for key, people in made.seen.items():
        if key in owner:
            total[owner[key]].update(people)
    people = sorted({person for counts in total.values() for person in counts})
    matrix = np.array([[counts[person] for person in people] for counts in total.values()])
    right = float(matrix[linear_sum_assignment(-matrix)].sum())
    told = sum(count for key, count in made.observations.items() if key in owner)
    return 2 * right / (told + sum(len(table.frames) for table in made.truth.values()))


# ---------------------------------------------------------------- answers


class Answers:
    """Who is who after answers of somebody who knows.

    Args:
        made: The scene.
    """

    def __init__(self, made: Followed) -> None:
        self.made = made
        self.owner = dict(made.owner)
        self.said = TrackConstraints()
        self.unsure: list[tuple[Key, Key]] = []
        self._next = max(self.owner.values()) + 1

    def answer(self, one: Key, other: Key, moved: tuple[Key, ...]) -> None:
        """Answer a question, and let the identities follow."""
        a, b = self.made.person.get(one), self.made.person.get(other)
        if a is None or b is None:
            self.unsure.append((one, other))
            return
        self.said.say(one, other, same=a == b)
        mine, theirs = self.owner[one], self.owner[other]
        if a == b and mine != theirs:
            self.owner = {key: mine if who == theirs else who for key, who in self.owner.items()}
        elif a != b and mine == theirs:
            self.owner |= dict.fromkeys(moved, self._next)
            self._next += 1


def reviewed(made: Followed, answers: int) -> Answers:
    """Answers to the questions of the review, one after the other."""
    state = Answers(made)
    for _ in range(answers):
        queue = ReviewQueue(made.graph, state.owner, made.observations, state.said, state.unsure)
        asked = queue.questions(1)
        if not asked:
            break
        state.answer(asked[0].one, asked[0].other, asked[0].tracks)
    return state


def guessed(made: Followed, answers: int, seed: int = 0) -> Answers:
    """Answers about random pairs of tracks of people."""
    state, rng = Answers(made), np.random.default_rng(seed)
    keys = sorted(made.owner)
    for _ in range(answers):
        one, other = (keys[i] for i in rng.choice(len(keys), 2, replace=False))
        if state.said.answer(one, other) is None:
            state.answer(one, other, (other,))
    return state


def scenes(options: argparse.Namespace) -> None:
    """The table."""
    print(f"{'':22} {'answers':>7} {'review':>7} {'random':>7}  IDF1 across cameras")
    for item in TEST if not options.only else [s for s in TEST if s.name in options.only]:
        made = follow(item, options.folder, options.kept)
        ways: dict[str, Callable[[Followed, int], Answers]] = {"review": reviewed, "random": guessed}
        for count in options.answers:
            found = {name: idf1(made, way(made, count).owner) for name, way in ways.items()}
            results.setdefault(item.name, {})[str(count)] = found
            print(f"{item.name:22} {count:7} {found['review']:7.3f} {found['random']:7.3f}", flush=True)
        queue = ReviewQueue(made.graph, made.owner, made.observations)
        results[item.name]["worth"] = queue.remaining()
        results[item.name]["tracks"] = len(made.owner)
        print(f"{'':22} {queue.remaining()} of them worth giving, of {len(made.owner)} tracks", flush=True)


# ---------------------------------------------------------------- fitting


def fit(options: argparse.Namespace) -> None:
    """The two logistic models."""
    found: dict[bool, list[tuple[float, bool, float]]] = {False: [], True: []}
    for item in FIT:
        made = follow(item, options.folder, options.kept)
        queue = ReviewQueue(made.graph, made.owner, made.observations)
        for question in [*queue._joins(), *queue._splits()]:
            a, b = made.person.get(question.one), made.person.get(question.other)
            if a is None or b is None:
                continue
            from streamreid.association import review_queue as module

            factor, offset = module.SPLIT_MODEL if question.believed else module.JOIN_MODEL
            p = min(max(question.probability, 1e-12), 1 - 1e-12)
            strength = (np.log(p / (1 - p)) - offset) / factor
            found[question.believed].append((strength, a == b, question.worth))
    for believed, rows in found.items():
        s, same = np.array([r[0] for r in rows]), np.array([r[1] for r in rows], float)

        def loss(x: np.ndarray, s: np.ndarray = s, same: np.ndarray = same) -> float:
            z = x[0] * s + x[1]
            return float(np.mean(np.logaddexp(0, z) - same * z) + 1e-3 * (x**2).sum())

        best = minimize(loss, np.array([1.0, 0.0])).x
        print(
            f"{'SPLIT' if believed else 'JOIN'}_MODEL = ({best[0]:.2f}, {best[1]:.2f}), {len(rows)} questions, "
            f"{same.mean():.2f} of them one person"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True)
    for name, call in (("scenes", scenes), ("fit", fit)):
        verb = verbs.add_parser(name)
        verb.add_argument("folder", type=Path)
        verb.add_argument("--kept", type=Path, default=Path("review-scenes"), help="Folder of followed scenes.")
        verb.set_defaults(call=call)
        if call is scenes:
            verb.add_argument("--answers", type=int, nargs="+", default=[0, 10, 25, 50, 100])
            verb.add_argument("--only", nargs="*")
            add_json(verb, "review")
    options = parser.parse_args()
    options.call(options)
    if options.call is scenes:
        save_asked(options, results, name="review", seed=0)


if __name__ == "__main__":
    main()
