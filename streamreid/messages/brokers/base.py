"""What the brokers share: confirmations that are waited for as long as some come, errors in words."""

from __future__ import annotations

import importlib.util
import ssl
import time
from collections.abc import Callable

from streamreid.config.messages import TlsConfig
from streamreid.errors import MissingExtraError
from streamreid.messages.delivery import BrokerError
from streamreid.secrets import redact

__all__ = ["CONNECT_SECONDS", "PATIENCE_SECONDS", "RECALL_SECONDS", "describe", "need", "tls_context", "wait_for"]

CONNECT_SECONDS = 5.0
"""Longest time for a connection and a login."""

PATIENCE_SECONDS = 10.0
"""A broker that confirms nothing for so long is given up and connected to anew."""


RECALL_SECONDS = 2.5
"""What a broker confirmed so shortly before its connection was lost is sent again, because it may be lost with the
broker: mosquitto confirms before it passes on and before it saves, Redis before it writes while the disk is busy (for
up to two seconds, https://redis.io/docs/latest/operate/oss_and_stack/management/persistence, ``everysec``)."""


def need(module: str, what: str) -> None:
    """See whether a client library is there, without importing it: that takes tenths of a second, which the delivery's
    thread spends and not the run.

    Args:
        module: Its package.
        what: What it is needed for.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        found = importlib.util.find_spec(module) is not None
    except ValueError:  # somebody says in sys.modules that there is none
        found = False
    if not found:
        raise MissingExtraError(module, "messages", what)


def wait_for(done: Callable[[], bool], progress: Callable[[], int], pause: Callable[[float], object]) -> bool:
    """Wait for confirmations as long as some come; whether all came.

    Args:
        done: Whether waiting is over.
        progress: A number that grows with every confirmation.
        pause: Waits for something to come, for so many seconds at most.
    """
    last, since = progress(), time.monotonic()
    while not done():
        pause(0.1)
        if (now := progress()) != last:
            last, since = now, time.monotonic()
        elif time.monotonic() - since > PATIENCE_SECONDS:
            return done()
    return True


def tls_context(config: TlsConfig, where: str) -> ssl.SSLContext:
    """For a connection that checks the broker's certificate and name.

    Raises:
        BrokerError: A file cannot be read.
    """
    try:
        context = ssl.create_default_context(cafile=config.ca)
        if config.certificate is not None:
            context.load_cert_chain(config.certificate, config.key)
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(str(f) for f in (config.ca, config.certificate, config.key) if f)
        raise BrokerError(f"{where}: the certificates cannot be read ({files}): {error}") from None
    return context


def describe(error: BaseException) -> str:
    """An error of a client library in words: its own, or its class where it has none."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate of the broker is not trusted ({error.verify_message}); set tls.ca"
    if isinstance(error, (TimeoutError,)) and not str(error):
        return "no answer in time"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused; is the broker running?"
    return redact(str(error).strip() or type(error).__name__)
