"""The files named under ``messages``: found beside the YAML, and readable before a run begins."""

from __future__ import annotations

from pathlib import Path

from streamreid._yaml import Lines, Location
from streamreid.config.messages import MessagesConfig, TlsConfig
from streamreid.errors import ConfigError

__all__ = ["find_certificates", "with_certificates"]


def with_certificates(config: MessagesConfig, path: Path, lines: Lines) -> MessagesConfig:
    """The section with absolute paths of certificates; relative ones are resolved against the YAML's folder.

    Args:
        config: As it was read.
        path: Of the YAML file.
        lines: Line numbers of its keys.

    Raises:
        ConfigError: A file is missing or holds no certificate or key; one line per mistake, with its place.
    """
    found, mistakes = find_certificates(config, path, lines)
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    return found


def find_certificates(config: MessagesConfig, path: Path, lines: Lines) -> tuple[MessagesConfig, list[str]]:
    """The same without raising: the section, and one line per mistake."""
    mistakes: list[str] = []
    update: dict[str, object] = {}
    for name in config.brokers:
        section = getattr(config, name)
        if not section.tls:
            continue
        files = {key: _beside(path, file) for key, file in section.tls if file is not None}
        tls: TlsConfig = section.tls.model_copy(update={key: str(file) for key, file in files.items()})
        wrong = _missing(files) or _unusable(tls)
        update[name] = section.model_copy(update={"tls": tls})
        mistakes += [
            f"{path}:{_line(lines, ('messages', name, 'tls', key))}: messages.{name}.tls.{key}: {text}"
            for key, text in wrong
        ]
    return config.model_copy(update=update) if update else config, mistakes


def _beside(path: Path, file: str) -> Path:
    found = Path(file).expanduser()
    return found if found.is_absolute() else (path.parent / found).absolute()


def _missing(files: dict[str, Path]) -> list[tuple[str, str]]:
    wrong: list[tuple[str, str]] = []
    for key, file in files.items():
        try:
            with file.open("rb"):
                pass
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            wrong.append(
                (key, f"cannot read '{file}': {reason}; relative paths are resolved against the YAML's folder")
            )
    return wrong


def _unusable(tls: TlsConfig) -> list[tuple[str, str]]:
    import ssl  # most runs read no certificates

    wrong: list[tuple[str, str]] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if tls.ca is not None:
        try:
            context.load_verify_locations(tls.ca)
        except (OSError, ssl.SSLError):
            wrong.append(("ca", f"'{tls.ca}' holds no certificates; they are needed in PEM form (BEGIN CERTIFICATE)"))
    if tls.certificate is not None:
        try:
            context.load_cert_chain(tls.certificate, tls.key, password="")
        except (OSError, ssl.SSLError, ValueError):
            wrong.append(
                (
                    "certificate",
                    f"'{tls.certificate}' and '{tls.key}' are no certificate and its private key, without a password, "
                    "in PEM form",
                )
            )
    return wrong


def _line(lines: Lines, location: Location) -> int:
    while location and location not in lines:
        location = location[:-1]
    return lines.get(location, 1)
