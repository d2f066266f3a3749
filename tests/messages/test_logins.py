"""Wrong passwords, encryption, and secrets that appear nowhere."""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import json
import logging
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streamreid.config import Config
from streamreid.runs.doctor import check_brokers
from streamreid.secrets import redact, redact_data
from streamreid.sinks.base import FinalIdentities
from tests.messages.conftest import MakeSink, link, tracks_of
from tests.support.brokers import Receiver, program, wait_until

Start = Callable[..., Any]

WRONG, RIGHT = "not-the-pass-9182", "the-right-pass-7364"


@pytest.fixture
def guarded(start_broker: Start, tmp_path: Path) -> Callable[[str], Any]:
    """A broker that wants user ``anna`` with the right password."""

    def start(name: str) -> Any:
        if name == "mqtt":
            program("mosquitto")
            file = tmp_path / "passwords"
            subprocess.run(["mosquitto_passwd", "-b", "-c", str(file), "anna", RIGHT], check=True)
            broker = start_broker(name, f"password_file {file}", anonymous=False)
            broker.subscribe(user="anna", password=RIGHT)
            return broker
        if name == "nats":
            broker = start_broker(name, "--user", "anna", "--pass", RIGHT)
            broker.login = {"user": "anna", "password": RIGHT}
            return broker
        broker = start_broker(name, "--requirepass", RIGHT)
        broker.login = {"password": RIGHT}
        return broker

    return start


@pytest.mark.parametrize("name", ["mqtt", "nats", "redis"])
def test_a_wrong_password_is_said_without_showing_it_and_nothing_is_lost(
    name: str,
    guarded: Callable[[str], Any],
    make_sink: MakeSink,
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = guarded(name)
    section = broker.section()
    section[name] |= {"password": WRONG} if name == "redis" else {"user": "anna", "password": WRONG}
    with caplog.at_level(logging.DEBUG):
        sink = make_sink(section, live=False, close_seconds=0.2)
        sink.tell([link(n) for n in range(1, 11)])
        wait_until(lambda: sink.states[0].error is not None)
        sink.close(FinalIdentities())
        (check,) = check_brokers(Config.from_sources("a.mp4", messages=section))
    assert check.error is not None
    said = f"{sink.states[0]} {check} {caplog.text}"
    assert any(word in str(sink.states[0].error).lower() for word in ("refuse", "authorized"))
    assert WRONG not in said
    section[name]["password"] = RIGHT
    assert check_brokers(Config.from_sources("a.mp4", messages=section))[0].error is None
    again = make_sink(section, live=False)
    again.close(FinalIdentities())
    assert again.states[0].waiting == 0
    wait_until(lambda: tracks_of(broker.received()) == {"identity/1": list(range(1, 11))})


def test_secrets_are_in_no_text_of_the_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BROKER_PASSWORD", RIGHT)
    (tmp_path / "c.yaml").write_text(
        "cameras: [{name: hall, uri: hall.mp4}]\n"
        "messages:\n"
        "  mqtt: {address: 'mqtt://anna:${BROKER_PASSWORD}@10.0.0.5'}\n"
        "  webhook: {address: 'https://h.example/x', secret: '${BROKER_PASSWORD}', token: plainly-written-77}\n"
    )
    from streamreid.config import load_config
    from streamreid.secrets import redact, redact_data

    config = load_config(tmp_path / "c.yaml")
    shown = f"{config!r} {json.dumps(redact_data(json.loads(config.model_dump_json())))} {redact('plainly-written-77')}"
    assert RIGHT not in shown
    assert "plainly-written-77" not in shown


def test_the_path_of_a_webhook_may_be_its_secret_and_is_shown_nowhere() -> None:
    address = "https://hooks.example/services/T0123456789/sw0rdfish"
    config = Config.from_dict(
        {"cameras": [{"name": "hall", "uri": "a.mp4"}], "messages": {"webhook": {"address": address}}}
    )
    assert config.messages.webhook is not None
    assert config.messages.webhook.address == address
    shown = json.dumps(redact_data(config.model_dump(mode="json"))) + redact(f"cannot post to {address}") + repr(config)
    assert "hooks.example" in shown
    assert "sw0rdfish" not in shown


def test_webhooks_are_signed(start_broker: Start, make_sink: MakeSink) -> None:
    receiver: Receiver = start_broker("webhook")
    section = receiver.section()
    section["webhook"] |= {"secret": RIGHT, "token": "bearer-token-55"}
    sink = make_sink(section)
    sink.event(link(1))
    sink.close(FinalIdentities())
    for headers, body in receiver.requests:
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        digest = base64.b64encode(hmac.new(RIGHT.encode(), signed, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{digest}"
        assert headers["authorization"] == "Bearer bearer-token-55"
        assert headers["webhook-id"] == json.loads(body)["id"]
        assert headers["content-type"] == "application/cloudevents+json"


def make_certificates(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that is its own authority, and its key."""
    import ipaddress

    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.timezone.utc)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
    return certificate, private


@pytest.mark.parametrize("name", ["mqtt", "nats"])
def test_an_encrypted_connection_needs_a_certificate_that_is_trusted(
    name: str, start_broker: Start, tmp_path: Path
) -> None:
    certificate, key = make_certificates(tmp_path)
    if name == "mqtt":
        broker = start_broker(name, f"certfile {certificate}\nkeyfile {key}", anonymous=False)
        broker.anonymous = True
        broker.stop()
        broker.start()
        section = {"mqtt": {"address": f"mqtts://127.0.0.1:{broker.port}"}}
    else:
        broker = start_broker(name, "--tls", "--tlscert", str(certificate), "--tlskey", str(key))
        section = {"nats": {"address": f"tls://127.0.0.1:{broker.port}"}}
    (check,) = check_brokers(Config.from_sources("a.mp4", messages=section))
    assert check.error is not None
    assert "certificate" in check.error
    section[name]["tls"] = {"ca": str(certificate)}
    (check,) = check_brokers(Config.from_sources("a.mp4", messages=section))
    assert check.error is None
