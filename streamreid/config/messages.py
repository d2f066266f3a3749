"""The section ``messages``: which brokers are told what the run finds out, and how much may wait for them."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator

from streamreid._sections import Section, as_text, basic
from streamreid.addresses import check_address, split_address
from streamreid.config.output import as_bytes, duration
from streamreid.errors import ConfigError
from streamreid.secrets import redact, remember_address, remember_secret

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

_FROM_ENVIRONMENT = "Take it from the environment: ${%s}."
_WORD = r"[A-Za-z0-9_-]+"


def _remembered(secret: SecretStr | None) -> SecretStr | None:
    if secret is not None:
        if not secret.get_secret_value():
            raise ValueError("is empty; set the environment variable that it comes from, or leave the key out")
        remember_secret(secret.get_secret_value())
    return secret


def _as_seconds(value: Any) -> Any:
    try:
        return duration(value) if isinstance(value, str) else value
    except ConfigError as error:
        raise ValueError(str(error)) from None


Secret = Annotated[SecretStr | None, BeforeValidator(as_text)]


class TlsConfig(Section):
    """Certificates of an encrypted connection. Without any, the broker must show one that this machine trusts."""

    ca: str | None = Field(default=None, description="File with the certificates that the broker's is checked by.")
    certificate: str | None = Field(default=None, description="File with the certificate that this program shows.")
    key: str | None = Field(default=None, description="File with the private key of that certificate.")

    @model_validator(mode="after")
    def _pair(self) -> TlsConfig:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together; give both or none")
        return self


class _Addressed(Section):
    """A broker at an address ``scheme://[user:password@]host[:port]``."""

    schemes: ClassVar[dict[str, int]]
    example: ClassVar[str]

    @field_validator("address", check_fields=False)
    @classmethod
    def _usable(cls, text: str) -> str:
        remember_address(text)
        text = check_address(text)
        found = split_address(text)
        if found is None or found.scheme not in cls.schemes or not found.host:
            raise ValueError(f"write {' or '.join(f'{s}://HOST' for s in cls.schemes)}, for example {cls.example}")
        if found.port is not None and not 0 < found.port < 65536:
            raise ValueError(f"a port is between 1 and 65535, for example {cls.example}")
        return text

    @property
    def port(self) -> int:
        """The address's port, or the scheme's usual one."""
        found = split_address(self.address)
        assert found is not None
        return found.port or self.schemes[found.scheme]

    @property
    def host(self) -> str:
        """The address's host."""
        found = split_address(self.address)
        assert found is not None
        return found.host

    @property
    def scheme(self) -> str:
        """The address's scheme, in lower case."""
        found = split_address(self.address)
        assert found is not None
        return found.scheme

    address: str

    def __repr__(self) -> str:
        return f"{type(self).__name__}(address={redact(self.address)!r})"

    __str__ = __repr__


class _Login(Section):
    """User and password."""

    user: str | None = Field(default=None, min_length=1, description="User name.")
    password: Secret = Field(default=None, description=f"Password. {_FROM_ENVIRONMENT % 'BROKER_PASSWORD'}")

    _remember_password = field_validator("password")(_remembered)

    @model_validator(mode="after")
    def _both(self) -> _Login:
        address = getattr(self, "address", "")
        inside = split_address(address) if address else None
        if inside is not None and inside.password and (self.user or self.password):
            raise ValueError("user and password are given twice: in the address and as keys; keep one of them")
        if self.password is not None and self.user is None and not isinstance(self, RedisConfig):
            raise ValueError("a password needs a user")
        return self


class MqttConfig(_Addressed, _Login):
    """An MQTT 5 broker (Mosquitto, EMQX, HiveMQ; Home Assistant listens to one)."""

    schemes: ClassVar[dict[str, int]] = {"mqtt": 1883, "mqtts": 8883}
    example: ClassVar[str] = "mqtt://10.0.0.5 or mqtts://broker.example:8883"

    address: str = Field(
        description="mqtt://HOST[:1883], encrypted mqtts://HOST[:8883].",
        json_schema_extra=basic(),
    )
    topic: str = Field(
        default="streamreid",
        pattern=r"^[^#+\x00/$\s][^#+\x00\s]*$",
        description="First part of every topic; the name of the site follows.",
    )
    qos: Literal[1, 2] = Field(default=1, description="Quality of service of events: 1 at least once, 2 exactly once.")
    home_assistant: bool = Field(
        default=False,
        description="Announce counts to Home Assistant (MQTT discovery), so that they appear there as sensors.",
    )
    discovery_topic: str = Field(
        default="homeassistant", pattern=r"^[^#+\x00/\s]+$", description="Where Home Assistant looks for announcements."
    )
    state_expiry: Annotated[float, BeforeValidator(_as_seconds)] = Field(
        default=86400.0,
        ge=1,
        le=4e9,
        description="The broker forgets the retained state of an identity after so long without news of it.",
        json_schema_extra={"x-unit": "s"},
    )
    tls: TlsConfig = Field(default=TlsConfig(), description="Certificates of the encrypted connection.")


class KafkaConfig(_Login):
    """Apache Kafka and what speaks its protocol (Redpanda, Event Hubs)."""

    servers: str = Field(
        pattern=r"^\s*[^\s,:/]+:\d{1,5}(\s*,\s*[^\s,:/]+:\d{1,5})*\s*$",
        description="HOST:PORT of one or more brokers, separated by commas.",
    )
    topic: str = Field(
        default="streamreid.events",
        pattern=r"^[A-Za-z0-9._-]{1,249}$",
        description="Topic; messages are keyed by identity, so that those of one person stay in order.",
    )
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="PLAIN", description="How user and password are shown to the broker (SASL)."
    )
    encrypted: bool = Field(default=False, description="Connect with TLS.")
    tls: TlsConfig = Field(default=TlsConfig(), description="Certificates of the encrypted connection.")


class NatsConfig(_Addressed, _Login):
    """NATS with JetStream."""

    schemes: ClassVar[dict[str, int]] = {"nats": 4222, "tls": 4222}
    example: ClassVar[str] = "nats://10.0.0.5:4222 or tls://nats.example:4222"

    address: str = Field(description="nats://HOST[:4222], encrypted tls://HOST[:4222].")
    token: Secret = Field(default=None, description=f"Token. {_FROM_ENVIRONMENT % 'NATS_TOKEN'}")
    stream: str = Field(
        default="STREAMREID",
        pattern=rf"^{_WORD}$",
        description="Stream; it is made where no stream takes the subjects yet.",
    )
    subject: str = Field(
        default="streamreid",
        pattern=rf"^{_WORD}(\.{_WORD})*$",
        description="First part of every subject; site, kind and number of what it is about follow.",
    )
    tls: TlsConfig = Field(default=TlsConfig(), description="Certificates of the encrypted connection.")

    _remember_token = field_validator("token")(_remembered)


class RedisConfig(_Addressed, _Login):
    """Redis (or Valkey) streams."""

    schemes: ClassVar[dict[str, int]] = {"redis": 6379, "rediss": 6379}
    example: ClassVar[str] = "redis://10.0.0.5:6379/0 or rediss://redis.example"

    address: str = Field(description="redis://HOST[:6379][/DATABASE], encrypted rediss://HOST[:6379].")
    stream: str = Field(default="streamreid:events", min_length=1, description="Key of the stream.")
    max_length: int | None = Field(
        default=1_000_000,
        ge=1,
        description="Redis drops the oldest entries of the stream above about so many; empty: never.",
    )
    tls: TlsConfig = Field(default=TlsConfig(), description="Certificates of the encrypted connection.")


class WebhookConfig(_Addressed):
    """An HTTP address that messages are posted to."""

    schemes: ClassVar[dict[str, int]] = {"http": 80, "https": 443}
    example: ClassVar[str] = "https://hooks.example/people"

    address: str = Field(description="http:// or https:// address.")
    secret: Secret = Field(
        default=None,
        description=f"Every request is signed with it (HMAC-SHA256). {_FROM_ENVIRONMENT % 'WEBHOOK_SECRET'}",
    )
    token: Secret = Field(
        default=None, description=f"Sent as 'Authorization: Bearer TOKEN'. {_FROM_ENVIRONMENT % 'WEBHOOK_TOKEN'}"
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

    _remember = field_validator("secret", "token")(_remembered)


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


class MessagesConfig(Section):
    """Events for other programs, as CloudEvents over MQTT, Kafka, NATS, Redis or HTTP (extra `messages`)."""

    site: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="Name of the site in topics and messages; default: the name of the results folder.",
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
        return tuple(n for n in ("mqtt", "kafka", "nats", "redis", "webhook") if getattr(self, n) is not None)

    @model_validator(mode="after")
    def _somewhere(self) -> MessagesConfig:
        if not self.brokers and (self.site is not None or self.outbox != OutboxConfig()):
            raise ValueError("say where messages go: mqtt, kafka, nats, redis or webhook")
        return self


def site_name(text: str) -> str:
    """A name as topics and subjects can hold it."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-")[:64] or "site"
