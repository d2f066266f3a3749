"""What a user is told about live cameras while a run goes on."""

import logging

from streamreid.pipeline.cameras import _Teller
from streamreid.sources import SourceStatus


def test_each_trouble_is_told_once_and_so_is_its_end(caplog):
    tell = _Teller()
    logging.getLogger("streamreid").propagate = True
    with caplog.at_level(logging.WARNING, logger="streamreid"):
        for state, reason in [
            ("connecting", ""),
            ("lost", "refused by rtsp://u:secret@h/1"),
            ("connecting", ""),
            ("lost", "refused by rtsp://u:secret@h/1"),
            ("lost", "no route"),
            ("connected", ""),
            ("connected", ""),
        ]:
            tell(SourceStatus("gate", state, reason))
    texts = [r.getMessage() for r in caplog.records]
    assert texts == [
        "camera 'gate' lost: refused by rtsp://u:***@h/1",
        "camera 'gate' lost: no route",
        "camera 'gate' is there again",
    ]
