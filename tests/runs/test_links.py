"""Runs write which tracks may be one person, and counts of finished runs have intervals by it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from streamreid.association import TrackLinks
from streamreid.association.link_record import RecordedTrack
from streamreid.errors import DataError, OutputError
from streamreid.places import TrackSpan
from streamreid.places.link_evidence import evidence_of, hard_negative_share
from streamreid.places.link_graph import link_graph, who_may_be_who
from streamreid.runs.link_file import LINKS, read_links, write_links
from streamreid.sinks import FinalIdentities
from streamreid.types import TrackKey

KEYS = (("hall", 1), ("hall", 2), ("yard", 7))
TRACKS = tuple(RecordedTrack(*key, 10.0 * i, 10.0 * i + 5, 20, 10, 0.8) for i, key in enumerate(KEYS))
MADE = TrackLinks(TRACKS, np.array([[0, 2], [1, 2]]), np.array([6.25, 1.5]))
SPANS = [TrackSpan(*t.key, t.start, t.end) for t in TRACKS]


def who(links: dict[TrackKey, int], unlinked: tuple[int, ...] = ()) -> FinalIdentities:
    return FinalIdentities({key: (gid, 0.9) for key, gid in links.items()}, unlinked=unlinked)


def test_links_are_read_as_they_were_written(tmp_path: Path) -> None:
    write_links(tmp_path, MADE)
    found = read_links(tmp_path)
    assert found is not None
    assert found.tracks == TRACKS
    np.testing.assert_array_equal(found.pairs, MADE.pairs)
    np.testing.assert_array_equal(found.log_odds, MADE.log_odds)


def test_a_continued_run_keeps_what_its_earlier_part_wrote(tmp_path: Path) -> None:
    write_links(tmp_path, MADE)
    write_links(tmp_path, MADE, append=True)
    found = read_links(tmp_path)
    assert found is not None
    assert len(found.tracks) == 6
    assert found.pairs.tolist() == [[0, 2], [1, 2], [3, 5], [4, 5]]


@pytest.mark.parametrize("line", ["{", "[]", '{"camera": "hall"}', '{"others": [5], "log_odds": [1]}'])
def test_damaged_links_say_where_and_what_to_do(tmp_path: Path, line: str) -> None:
    write_links(tmp_path, MADE)
    with (tmp_path / LINKS).open("a") as file:
        file.write(line + "\n")
    with pytest.raises(DataError, match=r"line 5 .*Delete the file"):
        read_links(tmp_path)


def test_no_links_are_none_and_no_folder_is_an_error(tmp_path: Path) -> None:
    assert read_links(tmp_path) is None
    with pytest.raises(OutputError, match="cannot write"):
        write_links(tmp_path / "missing", MADE)


def test_the_graph_holds_people_by_their_beginning_and_those_seen_together_apart() -> None:
    spans = [TrackSpan("hall", 1, 50, 60), TrackSpan("hall", 2, 0, 55), TrackSpan("yard", 7, 70, 80)]
    graph, start = link_graph(
        KEYS, MADE.pairs, MADE.log_odds, who({KEYS[0]: 3, KEYS[1]: 4, KEYS[2]: 5}, unlinked=(5,)), spans
    )
    assert graph.keys == (("hall", 2), ("hall", 1))
    assert start.tolist() == [4, 3]
    assert graph.apart.tolist() == [[0, 1]]
    assert not len(graph.pairs)


def test_what_was_decided_without_a_comparison_is_believed() -> None:
    """A gallery found somebody again after a restart: the tracks were never compared."""
    none = np.zeros((0, 2), np.int64), np.zeros(0)
    samples = who_may_be_who((), *none, who({KEYS[0]: 3, KEYS[2]: 3}), SPANS, samples=200)
    assert (samples.numbers(KEYS[::2]) == 1).mean() > 0.7
    apart = who_may_be_who((), *none, who({KEYS[0]: 3, KEYS[2]: 4}), SPANS, samples=200)
    assert set(apart.numbers(KEYS[::2]).tolist()) == {2}


def test_likely_pairs_are_one_person_more_often() -> None:
    share = []
    for log_odds in (1.0, 4.0, 8.0, 14.0):
        links = np.array([[0, 2]]), np.array([log_odds])
        samples = who_may_be_who(KEYS, *links, who({k: i + 1 for i, k in enumerate(KEYS)}), SPANS, samples=300)
        share.append(float((samples.numbers(KEYS) == 2).mean()))
    assert share == sorted(share)
    assert share[0] < 0.5
    assert share[-1] > 0.95


def test_pairs_of_a_site_of_look_alikes_are_worth_less() -> None:
    """Many pairs between those of one person and those of two: people look alike here, and who is alike may be two."""
    usual, many = np.concatenate([np.full(40, 11.5), np.full(20, 3.0)]), np.full(150, 6.0)
    few = hard_negative_share(usual, 20_000)
    alike = hard_negative_share(np.concatenate([usual, many]), 20_000)
    assert few < 1e-3 < alike
    odds, camera = np.array([7.0, 7.0, 11.5]), np.array([False, True, False])
    less, more = evidence_of(odds, camera, few), evidence_of(odds, camera, alike)
    assert (more[1:, :2] < less[1:, :2] - 1).all()
    np.testing.assert_allclose(more[:, 2], less[:, 2], atol=0.7)  # nobody else is as alike as that
    assert (np.ptp(more[:, :2], axis=0) > np.ptp(less[:, :2], axis=0)).all()  # and it is less known how much less


def test_intervals_are_wide_where_people_look_alike() -> None:
    """Twenty people in two cameras, and who is who in the other camera is unsure: by the pairs of one camera between
    the two, it is told whether people are alike here."""
    keys = tuple((camera, i) for camera in ("hall", "yard") for i in range(40))
    spans = [TrackSpan(*key, 10.0 * at, 10.0 * at + 5) for at, key in enumerate(keys)]
    width = []
    for likeness in (0, 60):
        rng = np.random.default_rng(0)
        own = np.array([[i, i + 20] for i in (*range(20), *range(40, 60))])
        cross = np.array([[i, 40 + i] for i in range(20)])
        i, j = np.triu_indices(40, 1)
        different = np.flatnonzero(j != i + 20)
        alike = np.stack([i, j], 1)[rng.choice(different, likeness, replace=False)]
        pairs = np.concatenate([own, cross, alike])
        odds = np.concatenate([np.full(40, 8.0), np.full(20, 6.5), np.full(len(alike), 6.0)])
        samples = who_may_be_who(keys, pairs, odds, who({key: n + 1 for n, key in enumerate(keys)}), spans)
        _, low, high = samples.unique(keys)
        width.append(high - low)
    assert width[1] > 1.5 * width[0]


def test_no_pair_is_no_look_alike() -> None:
    assert hard_negative_share(np.zeros(0), 0) == 0
    assert evidence_of(np.zeros(0), np.zeros(0, bool), 3e-4).shape[1] == 0
