"""The section ``messages``: which brokers are told what the run finds out, and how much may wait for them."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator

from streamreid._sections import Section, basic
from streamreid.addresses import split_address
from streamreid.config.broker_sections import (
    FROM_ENVIRONMENT,
    Addressed,
    Login,
    Secret,
    TlsConfig,
    expected,
    remembered,
)
from streamreid.config.output import as_bytes, duration
from streamreid.errors import ConfigError
from streamreid.secrets import remember_secret

__all__ = [
    "KafkaConfig",
    "MessagesConfig",
    "MqttConfig",
    "NatsConfig",
    "OutboxConfig",
    "RedisConfig",
    "TlsConfig",
    "WebhookConfig",
    "site_name",
]

_LONG_PATH = 16
"""Characters from which the path of a webhook may be a secret, and is never shown."""

_WORD = r"[A-Za-z0-9_-]+"


def _as_seconds(value: Any) -> Any:
    try:
        return duration(value) if isinstance(value, str) else value
    except ConfigError as error:
        raise ValueError(str(error)) from None


class MqttConfig(Addressed, Login):
    """An MQTT 5 broker (Mosquitto, EMQX, HiveMQ; Home Assistant listens to one)."""

    needs = "user"

    schemes: ClassVar[dict[str, int]] = {"mqtt": 1883, "mqtts": 8883}
    example: ClassVar[str] = "mqtt://10.0.0.5 or mqtts://broker.example:8883"

    address: str = Field(
        description="mqtt://HOST[:1883], encrypted mqtts://HOST[:8883].",
        json_schema_extra=basic(),
    )
    topic: str = Field(
        default="streamreid",
        pattern=r"^[^#+\x00/$\s]([^#+\x00\s]*[^#+\x00\s/])?$",
        description="First part of every topic; the name of the site follows.",
        json_schema_extra=expected(
            "write a topic without '#', '+' and blanks, without '/' at its ends and '$' in front, such as shop/people"
        ),
    )
    qos: Literal[1, 2] = Field(default=1, description="Quality of service of events: 1 at least once, 2 exactly once.")
    home_assistant: bool = Field(
        default=False,
        description="Announce counts to Home Assistant (MQTT discovery), so that they appear there as sensors.",
    )
    discovery_topic: str = Field(
        default="homeassistant",
        pattern=r"^[^#+\x00/\s]+$",
        description="Where Home Assistant looks for announcements.",
        json_schema_extra=expected("write one level of a topic, without '/', '#', '+' and blanks"),
    )
    state_expiry: Annotated[float, BeforeValidator(_as_seconds)] = Field(
        default=86400.0,
        ge=1,
        le=4e9,
        description="The broker forgets the retained state of an identity after so long without news of it.",
        json_schema_extra={"x-unit": "s"},
    )
    tls: TlsConfig = Field(default=TlsConfig(), description="Certificates of the encrypted connection.")


class KafkaConfig(Login):
    """Apache Kafka and what speaks its protocol (Redpanda, Event Hubs)."""

    servers: str = Field(
        pattern=r"^\s*[^\s,:/]+:\d{1,5}(\s*,\s*[^\s,:/]+:\d{1,5})*\s*$",
        description="HOST:PORT of one or more brokers, separated by commas.",
        json_schema_extra=expected("write HOST:PORT,HOST:PORT as one text, for example 10.0.0.6:9092,10.0.0.7:9092"),
    )
    topic: str = Field(
        default="streamreid.events",
        pattern=r"^[A-Za-z0-9._-]{1,249}$",
        description="Topic; messages are keyed by identity, so that those of one person stay in order.",
        json_schema_extra=expected("a topic has up to 249 letters, digits, '.', '_' and '-'"),
    )
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="PLAIN", description="How user and password are shown to the broker (SASL)."
    )
    encrypted: bool = Field(default=False, description="Connect with TLS.")
    tls: TlsConfig = Field(default=TlsConfig(), description="Certificates of the encrypted connection.")

    @field_validator("servers")
    @classmethod
    def _ports(cls, text: str) -> str:
        for server in text.split(","):
            if not 0 < int(server.rpartition(":")[2]) < 65536:
                raise ValueError("a port is between 1 and 65535")
        return text

    @field_validator("topic")
    @classmethod
    def _name(cls, text: str) -> str:
        if text in (".", ".."):
            raise ValueError("Kafka has no topics of this name; choose another")
        return text

    @model_validator(mode="after")
    def _encryption(self) -> KafkaConfig:
        if self.tls and not self.encrypted:
            raise ValueError("tls has certificates, but the connection is not encrypted; write encrypted: true")
        return self


class NatsConfig(Addressed, Login):
    """NATS with JetStream."""

    schemes: ClassVar[dict[str, int]] = {"nats": 4222, "tls": 4222}
    example: ClassVar[str] = "nats://10.0.0.5:4222 or tls://nats.example:4222"

    address: str = Field(description="nats://HOST[:4222], encrypted tls://HOST[:4222].")
    token: Secret = Field(default=None, description=f"Token. {FROM_ENVIRONMENT % 'NATS_TOKEN'}")
    stream: str = Field(
        default="STREAMREID",
        pattern=rf"^{_WORD}$",
        description="Stream; it is made where no stream takes the subjects yet.",
        json_schema_extra=expected("the name of a stream has letters, digits, '_' and '-'"),
    )
    subject: str = Field(
        default="streamreid",
        pattern=rf"^{_WORD}(\.{_WORD})*$",
        description="First part of every subject; site, kind and number of what it is about follow.",
        json_schema_extra=expected("a subject has letters, digits, '_' and '-', with dots between, without wildcards"),
    )
    tls: TlsConfig = Field(default=TlsConfig(), description="Certificates of the encrypted connection.")

    _remember_token = field_validator("token")(remembered)

    @model_validator(mode="after")
    def _one_login(self) -> NatsConfig:
        found = split_address(self.address)
        if self.token is not None and (self.user or (found is not None and found.user)):
            raise ValueError("token and user are two logins; keep one of them")
        return self


class RedisConfig(Addressed, Login):
    """Redis (or Valkey) streams."""

    schemes: ClassVar[dict[str, int]] = {"redis": 6379, "rediss": 6379}
    example: ClassVar[str] = "redis://10.0.0.5:6379/0 or rediss://redis.example"
    path = re.compile(r"/?[0-9]*")
    needs = "password"

    address: str = Field(description="redis://HOST[:6379][/DATABASE], encrypted rediss://HOST[:6379].")
    stream: str = Field(default="streamreid:events", min_length=1, description="Key of the stream.")
    max_length: int | None = Field(
        default=1_000_000,
        ge=1,
        description="Redis drops the oldest entries of the stream above about so many; empty: never.",
    )
    tls: TlsConfig = Field(default=TlsConfig(), description="Certificates of the encrypted connection.")


class WebhookConfig(Addressed):
    """An HTTP address that messages are posted to."""

    schemes: ClassVar[dict[str, int]] = {"http": 80, "https": 443}
    example: ClassVar[str] = "https://hooks.example/people"
    path = re.compile(r".*", re.DOTALL)

    address: str = Field(description="http:// or https:// address.")
    secret: Secret = Field(
        default=None,
        description=f"Every request is signed with it (HMAC-SHA256). {FROM_ENVIRONMENT % 'WEBHOOK_SECRET'}",
    )
    token: Secret = Field(
        default=None, description=f"Sent as 'Authorization: Bearer TOKEN'. {FROM_ENVIRONMENT % 'WEBHOOK_TOKEN'}"
    )
    batch: int = Field(
        default=1,
        ge=1,
        le=1000,
        description="Messages per request at most; above 1 the body is a list (CloudEvents batch).",
    )
    timeout: float = Field(
        default=10.0, gt=0, le=300, description="Longest wait for an answer.", json_schema_extra={"x-unit": "s"}
    )
    tls: TlsConfig = Field(default=TlsConfig(), description="Certificates of the encrypted connection.")

    _remember = field_validator("secret", "token")(remembered)

    @field_validator("secret")
    @classmethod
    def _decodes(cls, secret: SecretStr | None) -> SecretStr | None:
        text = "" if secret is None else secret.get_secret_value()
        if text.startswith("whsec_"):
            try:
                key = base64.b64decode(text.removeprefix("whsec_"), validate=True)
            except (binascii.Error, ValueError):
                key = b""
            if not key:
                raise ValueError("what follows whsec_ is no base64; copy the whole secret, or take one without whsec_")
        return secret

    @model_validator(mode="after")
    def _one_login(self) -> WebhookConfig:
        found = split_address(self.address)
        if self.token is not None and found is not None and found.user:
            raise ValueError("the address has a user and there is a token: two logins; keep one of them")
        return self

    @field_validator("address", mode="before")
    @classmethod
    def _path_is_secret(cls, text: Any) -> Any:
        found = split_address(text) if isinstance(text, str) else None
        if found is not None and len(found.rest) >= _LONG_PATH:
            remember_secret(found.rest)  # it may be all that keeps strangers from posting there
        return text


class OutboxConfig(Section):
    """Messages that wait for a broker, in the file outbox.db of the results folder."""

    max_size: Annotated[int, BeforeValidator(as_bytes)] = Field(
        default=256_000_000,
        ge=10_000,
        description="Where more waits, the oldest messages are given up; they are counted.",
        json_schema_extra={"x-unit": "bytes"},
    )
    max_age: Annotated[float, BeforeValidator(_as_seconds)] = Field(
        default=604800.0,
        gt=0,
        description="What could not be delivered for so long is given up; it is counted.",
        json_schema_extra={"x-unit": "s"},
    )
    close_seconds: float = Field(
        default=10.0,
        ge=0,
        le=600,
        description="At the end of a run, so long is waited until all is delivered; what is left stays in the outbox.",
        json_schema_extra={"x-unit": "s"},
    )


_BROKERS = ("mqtt", "kafka", "nats", "redis", "webhook")


class MessagesConfig(Section):
    """Events for other programs, as CloudEvents over MQTT, Kafka, NATS, Redis or HTTP (extra `messages`)."""

    site: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="Name of the site in topics and messages; default: the name of the results folder.",
        json_schema_extra=expected("write a name of up to 64 letters, digits, '_' and '-'"),
    )
    mqtt: MqttConfig | None = Field(default=None, description="MQTT broker.", json_schema_extra=basic())
    kafka: KafkaConfig | None = Field(default=None, description="Kafka cluster.", json_schema_extra=basic())
    nats: NatsConfig | None = Field(default=None, description="NATS server.", json_schema_extra=basic())
    redis: RedisConfig | None = Field(default=None, description="Redis server.", json_schema_extra=basic())
    webhook: WebhookConfig | None = Field(default=None, description="HTTP receiver.", json_schema_extra=basic())
    outbox: OutboxConfig = Field(default=OutboxConfig(), description="What may wait for the brokers.")

    @property
    def brokers(self) -> tuple[str, ...]:
        """Which are configured, by the name of their key."""
        return tuple(name for name in _BROKERS if getattr(self, name) is not None)

    def contradictions(self) -> Iterable[tuple[tuple[str | int, ...], str]]:
        """Brokers of which only the name was written."""
        written = self.model_fields_set.intersection(_BROKERS)
        if len(written) == len(_BROKERS):  # not written by a user, but dumped
            return
        for name in _BROKERS:
            if name in written and getattr(self, name) is None:
                yield (name,), f"write {'servers' if name == 'kafka' else 'an address'} below it, or take it out"

    @model_validator(mode="after")
    def _somewhere(self) -> MessagesConfig:
        if not self.brokers and (self.site is not None or self.outbox != OutboxConfig()):
            raise ValueError("say where messages go: mqtt, kafka, nats, redis or webhook")
        return self


def site_name(text: str) -> str:
    """A name as topics and subjects can hold it."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-")[:64] or "site"
