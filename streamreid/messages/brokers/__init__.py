"""One file per kind of broker; its client library is imported when it is used."""
