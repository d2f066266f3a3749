"""Leases: one owner at a time, fences that grow, durations that nobody's wall clock changes."""

import pickle
import threading
import time
from contextlib import suppress
from dataclasses import replace

import pytest

from streamreid.cluster.leases import LeaseChange, LeaseHeld, LeasesAway, SiteLeases, owned_twice
from streamreid.errors import DataError


class Seconds:
    """Seconds that a test lets pass."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture(params=["site", "postgresql"])
def make(request, tmp_path):
    """Makes leases of so many seconds over one and the same store."""
    made = []

    def leases(seconds=0.5):
        if request.param == "site":
            if not made:
                made.append(SiteLeases(tmp_path / "leases.jsonl", seconds=seconds))
            return made[0]
        from streamreid.cluster.postgres_leases import PostgresLeases

        made.append(PostgresLeases(request.getfixturevalue("database"), seconds=seconds))
        return made[-1]

    yield leases
    for item in made:
        item.close()


def test_a_camera_has_one_owner_until_its_lease_ends(make):
    leases = make(0.5)
    first = leases.acquire("gate", "a")
    assert first.expires <= time.monotonic() + 0.5
    with pytest.raises(LeaseHeld, match="belongs to worker 'a'") as held:
        leases.acquire("gate", "b")
    assert held.value.owner == "a"
    assert str(pickle.loads(pickle.dumps(held.value))) == str(held.value)
    assert leases.acquire("hall", "b").fence == 1
    time.sleep(0.6)
    assert leases.renew([first]) == {}
    second = leases.acquire("gate", "b")
    assert second.fence > first.fence
    leases.release(first)  # too late: nothing happens
    assert leases.owners()["gate"].worker == "b"
    kinds = [(c.worker, c.kind) for c in leases.log() if c.camera == "gate"]
    assert kinds == [("a", "acquire"), ("a", "expire"), ("b", "acquire")]
    assert owned_twice(leases.log()) == []


def test_a_lease_lasts_as_long_as_it_is_renewed(make):
    leases = make(0.6)
    lease = leases.acquire("gate", "a")
    for _ in range(4):
        time.sleep(0.2)
        lease = leases.renew([lease])["gate"]
    with pytest.raises(LeaseHeld):
        leases.acquire("gate", "b")
    assert leases.renew([replace(lease, worker="b"), replace(lease, fence=lease.fence + 1)]) == {}
    leases.release(lease)
    assert leases.acquire("gate", "b").fence == lease.fence + 1
    assert owned_twice(leases.log()) == []


def test_leases_of_a_worker_that_is_gone_are_revoked_at_once(make):
    leases = make(60)
    for camera in ("gate", "hall"):
        leases.acquire(camera, "a")
    leases.acquire("yard", "b")
    assert sorted(leases.revoke("a")) == ["gate", "hall"]
    assert leases.acquire("gate", "b").fence == 2
    assert set(leases.owners()) == {"gate", "yard"}
    assert owned_twice(leases.log()) == []


def test_the_same_worker_gets_a_new_fence(make):
    leases = make(60)
    first, second = leases.acquire("gate", "a"), leases.acquire("gate", "a")
    assert second.fence == first.fence + 1
    assert leases.renew([first]) == {}
    assert set(leases.renew([second])) == {"gate"}
    assert owned_twice(leases.log()) == []


def test_many_who_ask_at_once(make):
    stores = [make(60) for _ in range(4)]
    got = []

    def ask(number):
        with suppress(LeaseHeld):
            got.append(stores[number % 4].acquire("gate", f"w{number}"))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1
    assert owned_twice(stores[0].log()) == []


def test_a_site_that_is_started_again_keeps_owners(tmp_path):
    clock = Seconds()
    before = SiteLeases(tmp_path / "leases.jsonl", seconds=10, clock=clock)
    lease = before.acquire("gate", "a")
    before.release(before.acquire("hall", "a"))
    clock.now += 2
    with (tmp_path / "leases.jsonl").open("a") as file:
        file.write('{"at": 1')  # the process was killed while it wrote
    after = SiteLeases(tmp_path / "leases.jsonl", seconds=10, clock=clock)
    with pytest.raises(LeaseHeld):
        after.acquire("gate", "b")
    assert set(after.renew([lease])) == {"gate"}
    assert after.acquire("hall", "b").fence == 2
    clock.now += 10.1
    assert after.acquire("gate", "b").fence == lease.fence + 1
    assert owned_twice(after.log()) == []
    assert [c.at for c in after.log()] == sorted(c.at for c in after.log())


def test_a_file_that_is_no_log(tmp_path):
    (tmp_path / "leases.jsonl").write_text("hello\n")
    with pytest.raises(DataError, match="no log of leases"):
        SiteLeases(tmp_path / "leases.jsonl")


def test_the_log_shows_when_a_camera_was_owned_twice():
    def change(at, worker, fence, kind="acquire"):
        return LeaseChange(at, "gate", worker, fence, kind)

    fine = [change(1, "a", 1), change(2, "a", 1, "release"), change(2, "b", 2)]
    assert owned_twice(fine) == []
    assert owned_twice([change(1, "a", 1), change(2, "b", 2)])
    assert owned_twice([change(1, "a", 1), change(3, "a", 1, "expire"), change(2, "b", 2)])
    assert owned_twice([change(1, "a", 2), change(2, "a", 2, "release"), change(3, "b", 2)])


def test_a_server_that_cannot_be_reached():
    pytest.importorskip("psycopg", reason="needs psycopg: pip install 'streamreid[postgres]'")
    from streamreid.cluster.postgres_leases import PostgresLeases

    with pytest.raises(LeasesAway, match=r"postgresql://anna:\*\*\*@127.*is the server running") as error:
        PostgresLeases("postgresql://anna:geheim@127.0.0.1:1/people")
    assert "geheim" not in str(error.value)


def test_a_worker_that_is_not_heard_of_keeps_its_lease_to_the_end_and_gets_no_other(make):
    leases = make(0.5)
    lease = leases.acquire("gate", "a")
    leases.withdraw("a")
    leases.withdraw("a")
    assert leases.renew([lease]) == {}
    with pytest.raises(LeaseHeld):
        leases.acquire("gate", "b")
    with pytest.raises(LeasesAway, match="hears of it again"):
        leases.acquire("door", "a")
    time.sleep(0.55)
    with pytest.raises(LeasesAway):
        leases.acquire("gate", "a")
    second = leases.acquire("gate", "b")
    assert second.fence > lease.fence
    leases.allow("a")
    door = leases.acquire("door", "a")
    assert set(leases.renew([door])) == {"door"}
    assert leases.fences() == {"gate": second.fence, "door": door.fence}
    assert owned_twice(leases.log()) == []
