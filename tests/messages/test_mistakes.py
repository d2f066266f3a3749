"""Every mistake under ``messages:`` is said with file, line, key, reason and what to do; no secret is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamreid.config import load_config
from streamreid.config.inputs import load_settings
from streamreid.errors import ConfigError
from tests.messages.test_logins import make_certificates

SECRET = "hidden-9182-word"

MISTAKES = [
    # addresses
    ("mqtt: {}", ":4: 'messages.mqtt.address' is missing"),
    ("mqtt:", ":4: messages.mqtt: write an address below it, or take it out"),
    ("kafka:", ":4: messages.kafka: write servers below it, or take it out"),
    ("mqtt: mqtt://10.0.0.5", ":4: messages.mqtt: write keys and values below it; known keys: address, "),
    ("mqtt: {address: 10.0.0.5}", ":4: messages.mqtt.address: write mqtt://HOST or mqtts://HOST, for example mqtt://1"),
    ("mqtt: {address: 'http://h'}", ":4: messages.mqtt.address: write mqtt://HOST or mqtts://HOST"),
    ("mqtt: {address: 'mqtt://'}", ":4: messages.mqtt.address: write mqtt://HOST"),
    ("webhook: {address: 'ftp://h/x'}", ":4: messages.webhook.address: write http://HOST or https://HOST"),
    ("mqtt: {address: 'mqtt://h:0'}", ":4: messages.mqtt.address: a port is between 1 and 65535"),
    ("redis: {address: 'redis://h:70000'}", ":4: messages.redis.address: a port is between 1 and 65535"),
    ("kafka: {servers: 'h:70000'}", ":4: messages.kafka.servers: a port is between 1 and 65535"),
    ("mqtt: {address: 'mqtt://h:abc'}", ":4: messages.mqtt.address: this is no host, or its port is no number"),
    ("nats: {address: 'nats://a,nats://b'}", ":4: messages.nats.address: this is no host, or its port is no number"),
    ("mqtt: {address: 'mqtt://h/topic'}", ":4: messages.mqtt.address: what follows host and port has no meaning"),
    ("redis: {address: 'redis://h/zero'}", ":4: messages.redis.address: what follows host and port has no meaning"),
    ("redis: {address: 'rediss://h?ssl_cert_reqs=none'}", ":4: messages.redis.address: what follows host and port"),
    ("kafka: {servers: h}", ":4: messages.kafka.servers: write HOST:PORT,HOST:PORT as one text"),
    ("kafka: {servers: [a:1, b:2]}", ":4: messages.kafka.servers: write HOST:PORT,HOST:PORT as one text"),
    # names
    ("mqtt: {address: 'mqtt://h', topic: 'a/#'}", ":4: messages.mqtt.topic: write a topic without '#'"),
    ("mqtt: {address: 'mqtt://h', topic: 'a/'}", ":4: messages.mqtt.topic: write a topic without"),
    ("mqtt: {address: 'mqtt://h', discovery_topic: a/b}", ":4: messages.mqtt.discovery_topic: write one level"),
    ("kafka: {servers: 'h:1', topic: a b}", ":4: messages.kafka.topic: a topic has up to 249 letters"),
    (
        "kafka: {servers: 'h:1', topic: ..}",
        ":4: messages.kafka.topic: kafka has no topics of this name; choose another",
    ),
    ("nats: {address: 'nats://h', subject: 'a.>'}", ":4: messages.nats.subject: a subject has letters"),
    ("nats: {address: 'nats://h', stream: a.b}", ":4: messages.nats.stream: the name of a stream has letters"),
    ("redis: {address: 'redis://h', stream: ''}", ":4: messages.redis.stream: string should have at least 1 character"),
    ("site: my shop", ":4: messages.site: write a name of up to 64 letters, digits, '_' and '-' (got 'my shop')"),
    ("site: shop", ":3: messages: say where messages go: mqtt, kafka, nats, redis or webhook"),
    # keys
    ("mqt: {address: 'mqtt://h'}", ":4: unknown key 'messages.mqt'; did you mean 'mqtt'?"),
    ("mqtt: {adress: 'mqtt://h'}", ":4: unknown key 'messages.mqtt.adress'; did you mean 'address'?"),
    ("mqtt: {host: h, port: 1883}", ":4: unknown key 'messages.mqtt.host'; did you mean 'address'?"),
    ("kafka: {brokers: 'h:1'}", ":4: unknown key 'messages.kafka.brokers'; did you mean 'servers'?"),
    ("webhook: {url: 'https://h'}", ":4: unknown key 'messages.webhook.url'; did you mean 'address'?"),
    ("mqtt: {address: 'mqtt://h', username: u}", ":4: unknown key 'messages.mqtt.username'; did you mean 'user'?"),
    # logins
    (
        f"mqtt: {{address: 'mqtt://u:{SECRET}@h', user: v, password: {SECRET}}}",
        ":4: messages.mqtt: a login stands in the address and another one in the keys user and password; keep one",
    ),
    (f"mqtt: {{address: 'mqtt://u@h', password: {SECRET}}}", ":4: messages.mqtt: a login stands in the address"),
    (f"mqtt: {{address: 'mqtt://h', password: {SECRET}}}", ":4: messages.mqtt: a password needs a user; add the key"),
    ("kafka: {servers: 'h:1', user: u}", ":4: messages.kafka: a user needs a password; add password: "),
    ("nats: {address: 'nats://u@h'}", ":4: messages.nats: a user needs a password; add password: "),
    (
        f"nats: {{address: 'nats://h', token: {SECRET}, user: u, password: {SECRET}}}",
        ":4: messages.nats: token and user are two logins; keep one of them",
    ),
    (f"webhook: {{address: 'https://u:{SECRET}@h', token: {SECRET}}}", ":4: messages.webhook: the address has a user"),
    ("kafka: {servers: 'h:1', mechanism: GSSAPI}", ":4: messages.kafka.mechanism: input should be 'PLAIN', 'SCRAM-"),
    (f"redis: {{address: 'redis://:{SECRET}/7@h'}}", ":4: messages.redis.address: user name or password hold a charac"),
    ("mqtt: {address: 'mqtt://h', user: u, password: '${NOT_SET_ANYWHERE}'}", ":4: environment variable 'NOT_SET_ANYW"),
    ("mqtt: {address: 'mqtt://h', user: u, password: '${EMPTY_WORD}'}", ":4: messages.mqtt.password: is empty; set "),
    (f'webhook: {{address: "https://h", token: "{SECRET}\\n"}}', ":4: messages.webhook.token: holds a line break"),
    (f"webhook: {{address: 'https://h', secret: whsec_{SECRET}}}", ":4: messages.webhook.secret: what follows whsec_ "),
    # certificates
    (
        "mqtt: {address: 'mqtts://h', tls: {ca: no.pem}}",
        ":4: messages.mqtt.tls.ca: cannot read '{folder}/no.pem': no s",
    ),
    ("mqtt: {address: 'mqtts://h', tls: {ca: junk.pem}}", ":4: messages.mqtt.tls.ca: '{folder}/junk.pem' holds no cer"),
    ("kafka: {servers: 'h:1', encrypted: yes, tls: {ca: no.pem}}", ":4: messages.kafka.tls.ca: cannot read '{folder}/"),
    (
        "nats: {address: 'tls://h', tls: {certificate: certificate.pem, key: junk.pem}}",
        ":4: messages.nats.tls.certificate: '{folder}/certificate.pem' and '{folder}/junk.pem' are no certificate and ",
    ),
    ("mqtt: {address: 'mqtts://h', tls: {key: key.pem}}", ":4: messages.mqtt.tls: certificate and key belong together"),
    ("mqtt: {address: 'mqtts://h', tls: ca.pem}", ":4: messages.mqtt.tls: write keys and values below it; known keys:"),
    (
        "mqtt: {address: 'mqtt://h', tls: {ca: certificate.pem}}",
        ":4: messages.mqtt: tls has certificates, but mqtt:// is not encrypted; write mqtts://, or take tls out",
    ),
    (
        "kafka: {servers: 'h:1', tls: {ca: certificate.pem}}",
        ":4: messages.kafka: tls has certificates, but the connect",
    ),
    # numbers
    ("mqtt: {address: 'mqtt://h', qos: 0}", ":4: messages.mqtt.qos: input should be 1 or 2 (got 0)"),
    ("mqtt: {address: 'mqtt://h', state_expiry: soon}", ":4: messages.mqtt.state_expiry: duration 'soon': write a n"),
    ("webhook: {address: 'https://h', batch: 0}", ":4: messages.webhook.batch: input should be greater than or equal "),
    ("webhook: {address: 'https://h', timeout: 0}", ":4: messages.webhook.timeout: input should be greater than 0"),
    ("redis: {address: 'redis://h', max_length: 0}", ":4: messages.redis.max_length: input should be greater than or "),
    ("outbox: {max_size: lots}", ":4: messages.outbox.max_size: write a number and a unit"),
    ("outbox: {max_age: -1}", ":4: messages.outbox.max_age: input should be greater than 0 (got -1)"),
    ("outbox: {close_seconds: 1000}", ":4: messages.outbox.close_seconds: input should be less than or equal to 600"),
]


@pytest.mark.parametrize(("text", "said"), MISTAKES, ids=[text[:60].replace(SECRET, "S") for text, _ in MISTAKES])
def test_a_mistake_is_said_with_its_place_and_what_to_do(
    text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMPTY_WORD", "")
    (tmp_path / "junk.pem").write_text("nothing of use")
    if "certificate.pem" in text:
        make_certificates(tmp_path)
    file = tmp_path / "cams.yaml"
    file.write_text(f"cameras:\n  - {{name: hall, uri: hall.mp4}}\nmessages:\n  {text}\n")
    with pytest.raises(ConfigError) as found:
        load_config(file)
    assert f"{file}{said.replace('{folder}', str(tmp_path))}" in str(found.value)
    assert SECRET not in str(found.value)


def test_all_mistakes_are_said_at_once(tmp_path: Path) -> None:
    file = tmp_path / "cams.yaml"
    file.write_text(
        "cameras: [{name: hall, uri: hall.mp4}]\n"
        "messages:\n"
        "  mqtt:\n    address: mqtt://h:0\n    qos: 7\n"
        "  redis: {address: 'redis://h', streem: x}\n"
    )
    with pytest.raises(ConfigError) as found:
        load_config(file)
    lines = str(found.value).splitlines()
    assert [line.split(":")[1] for line in lines] == ["4", "5", "6"]


def test_certificates_are_looked_for_beside_the_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    certificate, key = make_certificates(folder)
    section = (
        "messages:\n  mqtt:\n    address: mqtts://h\n"
        f"    tls: {{ca: certificate.pem, certificate: ./certificate.pem, key: '{key}'}}\n"
    )
    (folder / "cams.yaml").write_text("cameras: [{name: hall, uri: hall.mp4}]\n" + section)
    (folder / "settings.yaml").write_text(section)
    monkeypatch.chdir(tmp_path)
    mqtt = load_config("site/cams.yaml").messages.mqtt
    assert mqtt is not None
    assert Path(str(mqtt.tls.ca)) == Path(str(mqtt.tls.certificate)) == certificate
    assert mqtt.tls.key == str(key)
    assert load_settings("site/settings.yaml")["messages.mqtt"]["tls"]["ca"] == str(certificate)


@pytest.mark.parametrize(
    "section",
    [
        {"mqtt": {"address": "mqtt://user-only@h:1883"}},
        {"mqtt": {"address": "mqtt://[::1]:1883"}},
        {"redis": {"address": "redis://:a-long-word@h/2"}},
        {"redis": {"address": "redis://h", "password": "a-long-word"}},
        {"nats": {"address": "nats://h/"}},
        {"webhook": {"address": "https://h/a/b?c=d", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}},
    ],
)
def test_what_is_right_is_taken(section: dict[str, dict[str, str]]) -> None:
    from streamreid.config import Config

    config = Config.from_sources("a.mp4", messages=section)
    assert config.messages.brokers == tuple(section)
    again = config.with_settings({"messages.site": "shop"})
    assert again.messages.brokers == tuple(section)
