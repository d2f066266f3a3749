"""What the sections of all brokers share: address, login, certificates."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator
from pydantic.config import JsonDict

from streamreid._sections import Section, as_text
from streamreid.addresses import check_address, split_address
from streamreid.secrets import redact, remember_address, remember_secret

__all__ = ["FROM_ENVIRONMENT", "Addressed", "Login", "Secret", "TlsConfig", "expected", "remembered"]

FROM_ENVIRONMENT = "Take it from the environment: ${%s}."
_HOST = re.compile(r"[^\s,:/\[\]@?#%]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def remembered(secret: SecretStr | None) -> SecretStr | None:
    """A secret that from now on is hidden in every text.

    Raises:
        ValueError: It is empty or cannot be sent.
    """
    if secret is not None:
        text = secret.get_secret_value()
        if not text:
            raise ValueError("is empty; set the environment variable that it comes from, or leave the key out")
        remember_secret(text)
        if _CONTROL.search(text):
            raise ValueError("holds a line break or another control character; take it out")
    return secret


def expected(words: str) -> JsonDict:
    """What a text that does not match the pattern of its field has to be."""
    return {"x-expected": words}


Secret = Annotated[SecretStr | None, BeforeValidator(as_text)]


class TlsConfig(Section):
    """Certificates of an encrypted connection, in PEM form; relative paths start at the YAML's folder. Without any, the
    broker must show one that this machine trusts."""

    ca: str | None = Field(default=None, description="File with the certificates that the broker's is checked by.")
    certificate: str | None = Field(default=None, description="File with the certificate that this program shows.")
    key: str | None = Field(default=None, description="File with the private key of that certificate.")

    @model_validator(mode="after")
    def _pair(self) -> TlsConfig:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together; give both or none")
        return self

    def __bool__(self) -> bool:
        return any((self.ca, self.certificate, self.key))


class Addressed(Section):
    """A broker at an address ``scheme://[user:password@]host[:port]``."""

    schemes: ClassVar[dict[str, int]]
    """Usual port by scheme; the encrypted one is the last."""

    example: ClassVar[str]
    path: ClassVar[re.Pattern[str]] = re.compile(r"/?")
    """What may follow host and port."""

    @field_validator("address", check_fields=False)
    @classmethod
    def _usable(cls, text: str) -> str:
        remember_address(text)
        text = check_address(text)
        found = split_address(text)
        if found is None or found.scheme not in cls.schemes or not found.host:
            raise ValueError(f"write {' or '.join(f'{s}://HOST' for s in cls.schemes)}, for example {cls.example}")
        if not (_HOST.fullmatch(found.host) or _is_ipv6(found.host)):
            raise ValueError(f"this is no host, or its port is no number; write one host, for example {cls.example}")
        if found.port is not None and not 0 < found.port < 65536:
            raise ValueError(f"a port is between 1 and 65535, for example {cls.example}")
        if not cls.path.fullmatch(found.rest):
            raise ValueError(f"what follows host and port has no meaning; take it out, for example {cls.example}")
        return text

    @model_validator(mode="after")
    def _encrypted(self) -> Addressed:
        if getattr(self, "tls", None) and self.scheme != list(self.schemes)[-1]:
            raise ValueError(
                f"tls has certificates, but {self.scheme}:// is not encrypted; write {list(self.schemes)[-1]}://, or "
                "take tls out"
            )
        return self

    @property
    def port(self) -> int:
        """The address's port, or the scheme's usual one."""
        found = split_address(self.address)
        assert found is not None
        return found.port or self.schemes[found.scheme]

    @property
    def host(self) -> str:
        """The address's host, without the brackets of IPv6."""
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


class Login(Section):
    """User and password."""

    user: str | None = Field(default=None, min_length=1, description="User name.")
    password: Secret = Field(default=None, description=f"Password. {FROM_ENVIRONMENT % 'BROKER_PASSWORD'}")

    _remember_password = field_validator("password")(remembered)

    needs: ClassVar[Literal["both", "user", "password"]] = "both"
    """What a login cannot do without."""

    @model_validator(mode="after")
    def _both(self) -> Login:
        address = getattr(self, "address", "")
        inside = split_address(address) if address else None
        in_address = inside is not None and bool(inside.user or inside.password)
        if in_address and (self.user or self.password):
            raise ValueError(
                "a login stands in the address and another one in the keys user and password; keep one of them"
            )
        user = self.user or (inside.user if inside else None)
        password = self.password or (inside.password if inside else None)
        if password and not user and self.needs != "password":
            raise ValueError("a password needs a user; add the key user")
        if user and not password and self.needs != "user":
            raise ValueError("a user needs a password; add password: ${BROKER_PASSWORD}")
        return self


def _is_ipv6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False
