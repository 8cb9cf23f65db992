"""Where an account answers: scheme, host and port, and nothing else of a URL. No I/O.

What a URL holds beside them may be a password, so no message repeats it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from connector.pipedrive.client import LOOPBACK

EXAMPLE: Final = "https://acme.pipedrive.com"
URL: Final = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<user>[^/?#]*@)?"
    r"(?P<host>\[[^\]/?#]*\]|[^:/?#]*)(?P<port>:[^/?#]*)?"
    r"(?P<path>/[^?#]*)?(?P<query>\?[^#]*)?(?P<fragment>#.*)?",
    re.IGNORECASE,
)
LABEL: Final = r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?"
NAME: Final = re.compile(rf"{LABEL}(\.{LABEL})*\.?")
LONGEST_SHOWN: Final = 32
NAMED_SECRET: Final = re.compile(
    r"(\w*(?:password|passwd|pwd|token|secret)\w*\s*=).*", re.IGNORECASE
)
USER_INFO: Final = re.compile(r"[^\s/'\"]*:[^\s'\"@]*@")
BEFORE_HOST: Final = re.compile(r"(?:(?<=//)|(?<![^\s'\"]))[^\s/'\"]*@")
"""What stands before a host: at the beginning of a word or after //, where no folder is."""
BARE_AT: Final = re.compile(r"://[^:/]*:[^@]*@([^?]*|[^=]*)@")
"""An @ after that of a password: in none of the values that follow a question mark."""


@dataclass(frozen=True)
class Parts:
    """What a URL holds; text that is not there is empty, a host or port that cannot be is None."""

    scheme: str
    host: str | None
    port: int | str | None
    has_user: bool
    others: tuple[str, ...]

    @property
    def origin(self) -> str:
        """Scheme, host and port, as the client needs them."""
        return f"{self.scheme}://{self.host}" + (f":{self.port}" if self.port else "")


def parse_origin(value: str) -> str:
    """Returns the origin that a URL names; blanks around it and one slash at its end may go.

    Raises:
        ValueError: It is no origin; the message says what to leave out or to write.
    """
    parts = _split(value.strip().removesuffix("/"))
    if problems := list(_problems(parts)):
        raise ValueError("; ".join(problems))
    return parts.origin


def redact(text: str) -> str:
    """Hides what may be a password in text about a connection, such as a driver's error.

    A driver takes the first @ for a password's end, so the rest of one stands before its host.
    """
    return BEFORE_HOST.sub("…@", _without_passwords(text))


def may_hold_password(text: str) -> bool:
    """Tells whether text about a connection has a password where one belongs."""
    return _without_passwords(text) != text


def has_bare_at(url: str) -> bool:
    """Tells whether a URL's password has an @, after which a driver would look for a host."""
    return BARE_AT.search(url) is not None


def _without_passwords(text: str) -> str:
    return USER_INFO.sub("…@", NAMED_SECRET.sub(r"\1…", text))


def _split(text: str) -> Parts:
    if strange := re.search(r"[^!-~]|\\", text):
        raise ValueError(f"holds {strange[0]!r}, which no address has; write it like {EXAMPLE}")
    found = URL.fullmatch(text)
    if found is None or found["scheme"].lower() not in {"http", "https"} or not found["host"]:
        raise ValueError(f"is no URL; write it like {EXAMPLE}")
    others = tuple(part for name in ("path", "query", "fragment") if (part := found[name]))
    has_user = bool(found["user"]) or any("@" in part for part in others)
    host, port = _host(found["host"].lower()), _port(found["port"])
    return Parts(found["scheme"].lower(), host, port, has_user, others)


def _problems(parts: Parts) -> Iterator[str]:
    if parts.has_user:
        yield "is more than scheme, host and port; leave out the user name and the password"
    elif parts.others:
        shown = " and ".join(_shown(part) for part in parts.others)
        yield f"is more than scheme, host and port; leave out {shown}"
    if parts.host is None:
        yield f"has a host that cannot be; write it like {EXAMPLE}"
    if parts.port is None:
        yield "has a port that cannot be; give a number from 1 to 65535, or none"
    if parts.scheme == "http" and (parts.host or "").strip("[]") not in LOOPBACK:
        yield "would send the token unencrypted; use https"


def _host(text: str) -> str | None:
    if not text.startswith("["):
        return text if NAME.fullmatch(text) and len(text) <= 253 else None
    try:
        return f"[{ipaddress.IPv6Address(text[1:-1]).compressed}]" if "%" not in text else None
    except ValueError:
        return None


def _port(text: str | None) -> int | str | None:
    if text is None:
        return ""
    number = text[1:]
    return int(number) if re.fullmatch(r"\d{1,5}", number) and 0 < int(number) < 65536 else None


def _shown(part: str) -> str:
    """Shows the name of what has to go: what follows an equals sign may be a secret."""
    name, equals, _ = part.partition("=")
    return f"{name[:LONGEST_SHOWN]}{'=…' if equals else '…' if len(name) > LONGEST_SHOWN else ''}"
