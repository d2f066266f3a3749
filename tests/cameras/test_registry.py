"""What a user is told about live cameras while a run goes on."""

import logging

from streamreid.cameras import status_log
from streamreid.sources import SourceStatus


def test_each_trouble_is_told_once_and_so_is_its_end(monkeypatch):
    texts = []
    logger = logging.Logger("test")
    logger.handle = lambda record: texts.append(record.getMessage())
    monkeypatch.setattr(status_log, "log", logger)
    tell = status_log.StatusLogger()
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
    assert texts == [
        "camera 'gate' lost: refused by rtsp://u:***@h/1",
        "camera 'gate' lost: no route",
        "camera 'gate' is there again",
    ]
