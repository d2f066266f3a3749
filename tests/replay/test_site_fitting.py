"""Features that are adapted to a site tell its people apart better; where they do not, nothing is adapted."""

import numpy as np
import pytest

from streamreid.association.pair_sampling import Look
from streamreid.association.site_adaptation import SiteAdaptation, load_adaptation
from streamreid.association.track_similarity import Views
from streamreid.errors import DataError
from streamreid.features.prototype_bank import normalised
from streamreid.features.similarity import Calibration
from streamreid.replay.site_fitting import RecordedTracks, fit_tracks

K, D = 2, 24


class Site:
    """People seen by two cameras, each of whom has light of its own; in some directions everybody looks different in
    every look, and these say nothing."""

    def __init__(self, *, shift=0.6, noise=0.5, seed=0):
        self.rng = np.random.default_rng(seed)
        self.shift = self.rng.normal(size=(2, K, D)) * shift / np.sqrt(D)
        self.spread = np.full(D, 0.05)
        self.spread[:6] = noise
        self.spread /= np.sqrt(D) / 3

    def people(self, count):
        return self.rng.normal(size=(count, K, D)) / np.sqrt(D)

    def look(self, person, camera):
        return normalised((person + self.shift[camera] + self.rng.normal(size=(K, D)) * self.spread).astype(np.float32))

    def recording(self, count, looks=8):
        """Everybody walks through both cameras, three at a time."""
        people = self.people(count)
        found, spans = {}, {}
        for number, person in enumerate(people):
            for camera, name in enumerate(("hall", "yard")):
                start = 10.0 * (number // 3) + 3 * camera
                times = start + np.arange(looks)
                found[name, number] = [Look(t, self.look(person, camera), np.ones(K, np.float32), 1.0) for t in times]
                spans[name, number] = float(times[0]), float(times[-1])
        return RecordedTracks(found, spans)

    def ranks(self, adaptation, count=60):
        """How often the most alike of another camera is the person themselves, of people nobody has learnt from."""
        people = self.people(count)
        seen = [np.stack([self.look(p, c) for p in people]) for c in (0, 1)]
        if adaptation is not None:
            means = {c: m.total / m.weight[:, None] for c, m in adaptation.means.items()}
            middle = (means["hall"] + means["yard"]) / 2
            seen = [normalised(s - (means[c] - middle)) for s, c in zip(seen, ("hall", "yard"), strict=True)]
            seen = [adaptation.apply(Views(s[:, None], np.ones((count, 1, K)), np.ones((count, K)))) for s in seen]
            seen = [v.parts[:, 0] for v in seen]
        similarity = np.einsum("nkd,mkd->nm", *seen)
        return float((similarity.argmax(1) == np.arange(count)).mean())


def test_people_that_nobody_learnt_from_are_told_apart_better():
    site = Site(noise=0.9)
    found = fit_tracks([site.recording(90)], "engine")
    assert found.adaptation is not None
    assert found.strength > 0
    assert found.after[found.strength].log_loss < 0.8 * found.before.log_loss
    assert found.after[found.strength].separation > found.before.separation
    assert found.tracks == {"hall": 90, "yard": 90}
    assert site.ranks(found.adaptation) > site.ranks(None) + 0.1


def test_the_same_input_gives_the_same_adaptation():
    one, two = (fit_tracks([Site().recording(40)], "e").adaptation for _ in range(2))
    np.testing.assert_array_equal(one.maps, two.maps)
    assert (one.scale, one.offset) == (two.scale, two.offset)


def test_cameras_that_are_alike_and_features_without_noise_are_left_alone():
    found = fit_tracks([Site(shift=0.0, noise=0.05).recording(60)], "engine")
    assert found.adaptation is None
    assert found.strength is None


def test_strangers_stay_as_alike_as_they_were():
    """The link probability was fitted on such similarities."""
    site = Site()
    found = fit_tracks([site.recording(90)], "engine").adaptation
    people = site.people(200)
    raw = np.stack([site.look(p, 0) for p in people])
    mean = {c: m.total / m.weight[:, None] for c, m in found.means.items()}
    moved = normalised(raw - (mean["hall"] - mean["yard"]) / 2)
    made = found.apply(Views(moved[:, None], np.ones((200, 1, K)), np.ones((200, K)))).parts[:, 0]
    apart = ~np.eye(200, dtype=bool)
    before = (np.einsum("nkd,mkd->nm", raw, raw) / K)[apart]
    after = found.scale * (np.einsum("nkd,mkd->nm", made, made) / K)[apart] + found.offset
    assert after.std() == pytest.approx(before.std(), rel=0.35)
    calibration = Calibration(10.0, -5.0)
    np.testing.assert_allclose(
        found.calibrated(calibration).log_odds(np.float32([0.2])),
        calibration.log_odds(np.float32([0.2 * found.scale + found.offset])),
        rtol=1e-5,
    )


@pytest.mark.parametrize(
    ("recordings", "message"),
    [
        ([RecordedTracks({}, {})], "nobody was described twice"),
        ([Site().recording(5)], "tracks by camera: hall 5, yard 5"),
        ([Site(shift=20.0, noise=20.0).recording(9)], "pairs of tracks of two cameras are surely one person"),
    ],
)
def test_too_little_is_refused(recordings, message):
    with pytest.raises(DataError, match=message):
        fit_tracks(recordings, "engine")


def test_what_is_written_is_read_again(tmp_path):
    made = fit_tracks([Site().recording(40)], "engine").adaptation
    made.save(tmp_path / "site.npz")
    again = load_adaptation(tmp_path / "site.npz")
    np.testing.assert_array_equal(again.maps, made.maps)
    assert (again.engine, again.scale, again.offset) == (made.engine, made.scale, made.offset)
    assert again.report == made.report
    assert set(again.means) == {"hall", "yard"}


@pytest.mark.parametrize("content", [b"", b"no archive", None])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "site.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"cannot read|is no site adaptation"):
        load_adaptation(path)


def test_a_file_with_other_arrays_is_refused(tmp_path):
    np.savez(tmp_path / "x.npz", maps=np.zeros((1, 2, 2)))
    with pytest.raises(DataError, match="is no site adaptation"):
        load_adaptation(tmp_path / "x.npz")


@pytest.mark.parametrize("maps", [np.zeros((2, 3, 4)), np.full((1, 2, 2), np.nan)])
def test_maps_have_a_shape_and_are_finite(maps):
    with pytest.raises(ValueError, match="maps must be finite"):
        SiteAdaptation("e", {}, maps)
