"""What callers can tell apart by the class of an error."""

import pytest

from streamreid import errors

CLASSES = [getattr(errors, name) for name in errors.__all__]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_says_how_a_command_and_a_request_end(kind):
    assert issubclass(kind, errors.StreamReIDError)
    assert kind.exit_code in (2, 3)
    assert kind.http_status in (404, 409, 422, 500, 503)
    assert kind.__name__ in (errors.__doc__ or "")


def test_cameras_that_are_there_or_not():
    missing, there = errors.CameraNotFound("yard", ["hall", "gate"]), errors.CameraExists("hall")
    assert (missing.http_status, str(missing)) == (404, "there is no camera 'yard'; cameras: hall, gate")
    assert "cameras: none" in str(errors.CameraNotFound("yard", []))
    assert (there.http_status, there.exit_code) == (409, 2)
    assert "there is a camera 'hall' already" in str(there)
    assert errors.GalleryBusy.http_status == 503
