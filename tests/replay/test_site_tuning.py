"""Who trains an engine on a site, who judges it, and the scale of what comes out."""

import numpy as np
import pytest

from streamreid.errors import DataError
from streamreid.features.similarity import Calibration
from streamreid.replay.site_pictures import SitePictures
from streamreid.replay.site_tracks import of_pairs, strangers
from streamreid.replay.site_tuning import judge_features, moved_calibration, tuning_task
from streamreid.types import PartFeatures

PEOPLE, LOOKS, K, D = 36, 4, 2, 16


def site(people=PEOPLE):
    """Everybody walks through two cameras, three at a time; the pictures are not looked at."""
    owner, times, spans, who = [], [], {}, []
    for person in range(people):
        for camera, name in enumerate(("hall", "yard")):
            start = 10.0 * (person // 3) + 3 * camera
            owner += [(0, (name, person))] * LOOKS
            times += [start + 0.5 * i for i in range(LOOKS)]
            spans[name, person] = start, start + 2.0
            who += [person] * LOOKS
    pictures = np.zeros((len(owner), 4, 2, 3), np.uint8)
    pictures[:, 0, 0, 0] = who
    return SitePictures(pictures, owner, times, [1.0] * len(owner), [spans]), np.array(who)


def described(who, noise=0.3, seed=0, common=0.0):
    rng = np.random.default_rng(seed)
    parts = rng.normal(size=(who.max() + 1, K, D))[who] + rng.normal(size=(len(who), K, D)) * noise + common
    parts /= np.linalg.norm(parts, axis=2, keepdims=True)
    return PartFeatures(parts.astype(np.float32), np.ones((len(who), K), np.float32))


def test_people_who_train_do_not_judge():
    pictures, who = site()
    task = tuning_task(pictures, described(who))
    people = task.people
    assert len(task.pairs) == PEOPLE
    shown = people.pictures[:, 0, 0, 0]
    assert (shown == who[task.learnt]).all()
    judging = {task.tracks.keys[i][1] for i in np.flatnonzero(~task.use)}
    assert not judging & set(shown.tolist())
    # Both tracks of a person are one, and whoever was there at the same time is somebody else.
    real = np.array([shown[people.track == t][0] for t in range(len(people.person))])
    for one in range(len(real)):
        for two in range(len(real)):
            assert (people.person[one] == people.person[two]) == (real[one] == real[two])
            if real[one] != real[two] and real[one] // 3 == real[two] // 3:
                assert people.apart[people.person[one], people.person[two]]
    assert set(people.camera.tolist()) == {0, 1}


def test_better_features_are_judged_better():
    pictures, who = site()
    task = tuning_task(pictures, described(who, noise=0.5))
    plain, better, worse = (judge_features(task, described(who, noise=n)) for n in (0.5, 0.2, 0.9))
    assert better.better_than(plain)
    assert not worse.better_than(plain)
    assert not plain.better_than(plain)


def test_different_people_are_as_improbable_as_before():
    pictures, who = site()
    old = described(who)
    task = tuning_task(pictures, old)
    new = described(who, common=0.8)  # all are more alike
    base = Calibration(slope=10.0, intercept=-5.0, impostor_mean=0.1, impostor_deviation=0.2)
    moved = moved_calibration(task, base, new)
    one, two = strangers(task.tracks, task.pairs)
    after = tuning_task(pictures, new).tracks
    before_, after_ = (of_pairs(t.views, t.views, one, two) for t in (task.tracks, after))
    said, now = base.log_odds(before_), moved.log_odds(after_)
    assert now.mean() == pytest.approx(said.mean(), abs=1e-3)
    assert now.std() == pytest.approx(said.std(), rel=1e-3)
    # What was known of strangers in one frame is on the new scale, too.
    assert moved.log_odds(moved.impostor_mean) == pytest.approx(base.log_odds(0.1), abs=1e-4)
    assert moved.slope * moved.impostor_deviation == pytest.approx(10.0 * 0.2)


def test_too_few_are_refused():
    pictures, who = site(10)
    with pytest.raises(DataError, match="too little"):
        tuning_task(pictures, described(who))
