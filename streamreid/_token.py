"""Which texts can be a bearer token: whoever asks sends it in a header, and HTTP clients cannot send every text
there."""

from __future__ import annotations

__all__ = ["checked_token"]

_MOST = 4096
"""Characters: the limit of all headers of a request together is 16 KiB."""


def checked_token(text: str) -> str:
    """``text`` without blanks around it.

    Args:
        text: What was set as the token.

    Raises:
        ValueError: It is empty, or no client could send it, so that nobody would ever be let in. The message never
            holds the token.
    """
    token = text.strip()
    if not token:
        raise ValueError(
            "the token is empty, so anybody would be let in; give it a value, or leave it out to serve this machine "
            "only"
        )
    if token.startswith("${") and token.endswith("}"):
        raise ValueError(
            "the token is the name of a variable and not its value; variables are replaced in YAML files only"
        )
    if token[0] in "\"'" or token[-1] in "\"'":
        raise ValueError(
            "the token has quotation marks around it that belong to it; an environment file needs none: remove them"
        )
    if any(c.isspace() for c in token):
        raise ValueError("the token has a blank or a line break inside; clients send one word, so it would never match")
    if not (token.isascii() and token.isprintable()):
        raise ValueError(
            "the token has characters outside printable ASCII; clients send these in different ways, so it would "
            "never match"
        )
    if len(token) > _MOST:
        raise ValueError(f"the token is {len(token)} characters long; at most {_MOST} are understood")
    return token
