"""Results of people who walk as a test says, without pictures."""

import numpy as np

from streamreid.types import Frame, FrameResult, Tracks

SIZE = (1000, 500)


def result(camera, index, time, people, *, size=SIZE, world=None, visibility=None, names=None, probability=1.0):
    """A frame.

    Args:
        people: ``{track_id: (global_id, x, y)}`` with the feet in shares of the picture; a fourth value is the height.
    """
    boxes, ids, who = [], [], []
    for track, (global_id, x, y, *height) in people.items():
        h = (height[0] if height else 0.2) * size[1]
        boxes.append([x * size[0] - 0.2 * h, y * size[1] - h, x * size[0] + 0.2 * h, y * size[1]])
        ids.append(track)
        who.append(global_id)
    n = len(ids)
    return FrameResult(
        Frame.without_image(camera, index, time, size=size),
        Tracks(
            np.array(ids, np.int64),
            np.array(boxes, np.float32).reshape(-1, 4),
            np.ones(n, np.float32),
            np.arange(n),
        ),
        np.array(who, np.int64),
        np.full(n, probability, np.float32),
        np.ones((n, 1), np.float32) if visibility is None else np.asarray(visibility, np.float32),
        None if world is None else np.asarray(world, np.float32).reshape(n, 2),
        names=names or {},
    )


def walk(monitor, frames, *, camera="a", start=0.0, step=0.1, first=0, **more):
    """Feed frames, each a ``{track_id: (global_id, x, y)}``; the events."""
    events = []
    for i, people in enumerate(frames):
        events += monitor.observe(result(camera, first + i, start + i * step, people, **more))
    return events


def kinds(events, place=None):
    """Kinds of events, without those of the whole site."""
    return [e.kind for e in events if e.place != "everywhere" and place in (None, e.place)]


def path(track, who, xs, y=0.8):
    """One person per frame, at these shares of the width; None where nobody is shown."""
    return [{} if x is None else {track: (who, x, y)} for x in xs]
