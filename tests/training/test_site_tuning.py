"""Fine-tuning on tracks without names: what the loss says, who is drawn, and that an interruption changes nothing."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the train extra")
pytest.importorskip("onnx")

from streamreid.datasets.site_people import SitePeople  # noqa: E402
from streamreid.errors import ConfigError  # noqa: E402
from streamreid.training.graph_module import EngineModule  # noqa: E402
from streamreid.training.site_tuning import (  # noqa: E402
    STATE,
    TuningSettings,
    blended,
    contrastive_loss,
    draw_rows,
    tune,
)
from tests.support.small_engine import small_engine  # noqa: E402

SETTINGS = TuningSettings(steps=4, people=4, pictures=2, save_every=2)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return small_engine(tmp_path_factory.mktemp("tuning") / "engine")


@pytest.fixture(scope="module")
def people():
    """Six people, each of two tracks of two cameras with three pictures; three are seen together."""
    rng = np.random.default_rng(0)
    looks = rng.integers(0, 256, (6, 4, 2, 3))
    pictures = np.stack([np.kron(looks[p], np.ones((16, 16, 1))) for p in range(6) for _ in range(6)]).astype(np.uint8)
    track = np.repeat(np.arange(12), 3)
    apart = np.zeros((6, 6), bool)
    for first in (0, 3):
        apart[first : first + 3, first : first + 3] = True
    np.fill_diagonal(apart, False)
    return SitePeople(pictures, track, np.arange(12) // 2, np.arange(12) % 2, apart)


def test_the_loss_by_hand():
    rng = np.random.default_rng(1)
    parts = rng.normal(size=(5, 3, 8))
    parts /= np.linalg.norm(parts, axis=2, keepdims=True)
    visible = rng.uniform(0.1, 1, (5, 3))
    who = np.array([0, 0, 1, 1, 2])
    apart = np.zeros((5, 5), bool)
    apart[:2, 2:4] = apart[2:4, :2] = True  # nobody knows whether 2 is one of the others
    terms = []
    for i in range(5):

        def alike(j, i=i):
            weights = np.sqrt(visible[i] * visible[j])
            return (weights * (parts[i] * parts[j]).sum(1)).sum() / weights.sum() / 0.1

        for j in range(5):
            if i != j and who[i] == who[j]:
                others = sum(np.exp(alike(k)) for k in range(5) if apart[i, k])
                terms.append(-np.log(np.exp(alike(j)) / (np.exp(alike(j)) + others)))
    found = contrastive_loss(
        torch.from_numpy(parts),
        torch.from_numpy(visible),
        torch.from_numpy(who[:, None] == who),
        torch.from_numpy(apart),
        0.1,
    )
    assert float(found) == pytest.approx(np.mean(terms), rel=1e-6)


def test_a_batch_holds_people_who_are_others_in_pictures_of_several_tracks(people):
    for step in range(5):
        rows = draw_rows(people, SETTINGS, step).reshape(-1, 2)
        who = people.person[people.track[rows]]
        assert (who[:, 0] == who[:, 1]).all()
        assert (people.track[rows[:, 0]] != people.track[rows[:, 1]]).all()
        assert people.apart[np.ix_(who[:, 0], who[:, 0])].any()
        assert (draw_rows(people, SETTINGS, step).reshape(-1, 2) == rows).all()


def trained(bundle, people, folder, settings=SETTINGS):
    module = EngineModule(bundle)
    tune(module, people, np.ones((len(people.pictures), 2), np.float32), settings, folder)
    return module


def test_an_interrupted_training_ends_where_it_would_have(bundle, people, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole = trained(bundle, people, tmp_path / "a")

    class Stop(Exception):
        pass

    def stop(done, loss):
        if done == 3:
            raise Stop

    module = EngineModule(bundle)
    with pytest.raises(Stop):
        tune(module, people, np.ones((len(people.pictures), 2), np.float32), SETTINGS, tmp_path / "b", stop)
    assert (tmp_path / "b" / STATE).exists()
    again = trained(bundle, people, tmp_path / "b")
    for one, two in zip(whole.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=0)
    before = EngineModule(bundle)
    assert any((a != b).any() for a, b in zip(whole.parameters(), before.parameters(), strict=True))
    with pytest.raises(ConfigError, match="with other settings; delete it"):
        trained(bundle, people, tmp_path / "b", TuningSettings(steps=5, people=4, pictures=2))
    (tmp_path / "b" / STATE).write_bytes(b"nothing")
    with pytest.raises(ConfigError, match="cannot be read"):
        trained(bundle, people, tmp_path / "b")


def test_it_learns(bundle, people, tmp_path):
    losses = []
    settings = TuningSettings(steps=40, people=6, pictures=2, rate=3e-3, share=1.0)
    seen = np.ones((len(people.pictures), 2), np.float32)
    tune(EngineModule(bundle), people, seen, settings, tmp_path, lambda done, loss: losses.append(loss))
    assert np.mean(losses[-8:]) < 0.8 * np.mean(losses[:8])


def test_half_of_the_old_weights(bundle):
    module, before = EngineModule(bundle), EngineModule(bundle)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(1.0)
    blended(module, before, 0.25)
    for own, old in zip(module.parameters(), before.parameters(), strict=True):
        torch.testing.assert_close(own, old + 0.75)
