"""Events for listeners of any speed."""

import threading

from streamreid.serving.event_stream import EventHub


def test_everybody_hears_what_they_want_in_order():
    hub = EventHub()
    for n in range(5):
        hub.publish("identity" if n % 2 else "camera", {"n": n})
    events, number, lost = hub.after(0, ["camera"])
    assert [(e.number, e.data["n"]) for e in events] == [(1, 0), (3, 2), (5, 4)]
    assert (number, lost) == (5, 0)
    assert hub.after(number, ["camera"]) == ([], 5, 0)
    hub.publish("identity", {"n": 5})
    assert [e.number for e in hub.after(number, ["identity", "camera"])[0]] == [6]


def test_who_is_late_is_told_how_much_was_missed():
    hub = EventHub(length=10)
    for n in range(25):
        hub.publish("camera", {"n": n})
    events, number, lost = hub.after(3, ["camera"])
    assert [e.number for e in events] == list(range(16, 26))
    assert (number, lost) == (25, 12)


def test_publishing_never_waits_for_listeners():
    hub = EventHub(length=100)
    with hub.listening(["people"]):
        assert hub.wanted("people")
        assert not hub.wanted("camera")
        assert hub.listeners == 1
        publisher = threading.Thread(target=lambda: [hub.publish("people", {}) for _ in range(10_000)])
        publisher.start()
        publisher.join(20)
        assert not publisher.is_alive()
    assert hub.number == 10_000
    assert not hub.wanted("people")
