"""This machine's clock is set while people are remembered: nobody is erased before their time, and hardly after it."""

import pytest

from streamreid._age_clock import BELIEVED_SECONDS, AgeClock
from streamreid.gallery import Retention

HOUR, DAY = 3600.0, 86_400.0
KEEP = Retention(24 * HOUR)


class Machine:
    """A clock that can be set, beside one that only counts."""

    def __init__(self, clock):
        self.clock, self.passed = clock, 0.0

    def __call__(self):
        return self.passed

    def wait(self, seconds):
        self.passed += seconds
        self.clock.now += seconds

    def set(self, by):
        self.clock.now += by


@pytest.fixture
def machine(clock):
    return Machine(clock)


@pytest.fixture
def stored(opener, make, machine):
    """A store in which an earlier run left somebody, and this process somebody else."""
    earlier = opener(steady=machine)
    earlier.claim(make.stamp)
    earlier.write(make.batch(1, run="earlier"))
    store = opener(steady=machine)
    store.write(make.batch(2, run="now"))
    return store


def left(store):
    store.expire(KEEP)
    return [record.global_id for record in store.identities()]


@pytest.mark.parametrize("by", [2 * DAY, -2 * DAY])
def test_a_clock_that_is_wrong_for_an_hour_erases_nobody(stored, machine, make, by):
    machine.set(by)
    assert left(stored) == [1, 2]
    machine.wait(HOUR)
    stored.write(make.batch(3, run="now", first_track=3))
    assert left(stored) == [1, 2, 3]
    machine.set(-by)
    assert left(stored) == [1, 2, 3]
    machine.wait(22.9 * HOUR)
    assert left(stored) == [1, 2, 3]


@pytest.mark.parametrize("by", [2 * DAY, -2 * DAY])
def test_what_this_process_stored_is_as_old_as_it_is(stored, machine, make, by):
    machine.set(by)
    assert left(stored) == [1, 2]
    machine.wait(23.9 * HOUR)
    assert 2 in left(stored)
    machine.wait(max(by, 0.0) and BELIEVED_SECONDS - 23.9 * HOUR)
    machine.wait(0.2 * HOUR)
    assert 2 not in left(stored)
    stored.write(make.batch(3, run="now", first_track=3))
    assert 3 in left(stored)


def test_a_clock_set_forward_is_believed_after_a_day_and_said_at_once(stored, machine, caplog):
    machine.set(30 * DAY)
    assert left(stored) == [1, 2]
    assert left(stored) == [1, 2]
    assert [r.message for r in caplog.records].count(caplog.records[0].message) == 1
    assert "clock was set forward by 2592000 s" in caplog.text
    machine.wait(BELIEVED_SECONDS + 1)
    assert left(stored) == []


def test_a_new_start_believes_the_clock(stored, opener, machine):
    machine.set(30 * DAY)
    assert left(opener(steady=machine)) == []


def test_time_servers_and_clocks_that_are_passed_in_are_no_steps(clock):
    machine = Machine(clock)
    ages = AgeClock(clock, machine)
    machine.set(0.9)
    assert ages.step == 0.0
    ages = AgeClock(clock)
    clock.now += 10 * DAY
    assert (ages.step, ages.now()) == (0.0, clock.now)
    real = AgeClock()
    assert real.step == 0.0
