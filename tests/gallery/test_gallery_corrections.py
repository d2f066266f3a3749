"""What is corrected in a gallery is undone to the last row, in both databases."""

import pytest

from streamreid.errors import CorrectionError
from tests.gallery.conftest import STAMP, batch


@pytest.fixture
def filled(opener):
    store = opener()
    store.claim(STAMP)
    store.write(batch(1, 2, run="one"))
    store.write(batch(2, 3, run="two", camera="yard", first_track=5))
    yield store
    store.close()


def state(store):
    rows = {(a.run, a.camera, a.track_id): a.global_id for a in store.track_records().values()}
    people = {r.global_id: (r.name, r.staff) for r in store.identities()}
    return rows, people, {(c.kind, c.one, c.other) for c in store.constraints()}


def test_everything_is_undone_newest_first(filled):
    before = state(filled)
    filled.rename(1, "Anna")
    filled.tag_staff(2)
    filled.separate(1, 3)
    row = next(r for r, a in filled.track_records([2]).items() if a.run == "two")
    new = filled.split(2, [row])
    filled.merge(1, 2)
    assert filled.resolve(2) == 1
    assert state(filled)[1] == {1: ("Anna", True), 3: ("", False), new: ("", False)}
    assert [filled.undo().kind for _ in range(5)] == ["merge", "split", "different", "staff", "rename"]
    assert state(filled) == before
    with pytest.raises(CorrectionError, match="no correction to undo"):
        filled.undo()


def test_an_older_one_is_undone_by_its_number_if_that_makes_sense(filled):
    filled.merge(1, 2)
    filled.merge(1, 3)
    first, second = (c.number for c in filled.corrections())
    assert filled.undo(first).other == 2
    assert filled.resolve(2) == 2
    assert filled.resolve(3) == 1
    with pytest.raises(CorrectionError, match=f"no correction {first} that can be undone"):
        filled.undo(first)
    filled.forget([3])
    assert second not in {c.number for c in filled.corrections()}  # nothing is kept of who was forgotten
