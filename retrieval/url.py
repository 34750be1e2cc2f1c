"""Read a URL strictly, and show it without what may be secret; nothing is fetched here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv6Address
from urllib.parse import quote, urlsplit

from finetag_model.console import printable
from finetag_model.errors import UsageError

MAX_LENGTH = 8192
"""Characters of a URL; signed ones are long, but servers take hardly more than this."""

_DEFAULT_PORTS = {"http": 80, "https": 443}
_MALFORMED = "its host or port is not well-formed"
_SHOWN = 200  # characters of a URL in a message

_AUTHORITY = re.compile(
    r"(?:\[(?P<six>[0-9a-f:.]+)\]|(?P<name>[^\[\]:@%]+))(?::(?P<port>[0-9]{1,5})?)?", re.IGNORECASE
)
# Names with an underscore are no host names, but are in use.
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
# Programs do not agree what these mean in a URL; halves of a surrogate pair mean nothing, save
# those that stand for the bytes of a command line.
_BARRED = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udc7f\udd00-\udfff]")


@dataclass(frozen=True)
class Url:
    """A URL of http or https, taken apart.

    Attributes:
        scheme: `http` or `https`.
        host: in ASCII and lower case; an IPv6 address is without brackets.
        port: 80, 443 or from 1024.
        target: path and query, in ASCII; the fragment is dropped.
    """

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """The host, with the port unless it is the scheme's own, as in the header Host."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


def is_url(text: str) -> bool:
    """Say whether a text is meant as a URL rather than as a path."""
    return text.lower().startswith(("http://", "https://"))


def shown_url(text: str) -> str:
    """Return a URL fit for a message: without name and password, query and fragment."""
    bare = re.split(r"[?#]", re.sub(r"//[^/?#]*@", "//", text, count=1), maxsplit=1)[0]
    return printable(bare if len(bare) <= _SHOWN else f"{bare[:_SHOWN]}…")


def read_url(text: str) -> Url:
    """Take a URL apart.

    Raises:
        UsageError: it is none that may be fetched; the message is the reason alone.
    """
    if len(text) > MAX_LENGTH:
        raise UsageError(f"it is longer than {MAX_LENGTH:,} characters")
    if _BARRED.search(text):
        raise UsageError("it holds a control character or a backslash")
    try:
        scheme, netloc, path, query, _ = urlsplit(text)
    except ValueError as error:
        raise UsageError(_MALFORMED) from error
    if scheme not in _DEFAULT_PORTS:
        raise UsageError("it is not of http or https")
    if "@" in netloc:
        raise UsageError("it holds a name or password, which are not sent")
    authority = _AUTHORITY.fullmatch(netloc)
    if authority is None:
        raise UsageError(_MALFORMED)
    port = int(authority["port"] or _DEFAULT_PORTS[scheme])
    if port not in _DEFAULT_PORTS.values() and not 1024 <= port <= 65535:
        raise UsageError(f"port {port} is not 80, 443 or from 1024 to 65535")
    host = _address(authority["six"]) if authority["six"] else _name(authority["name"])
    target = _escaped(path or "/") + (f"?{_escaped(query)}" if query else "")
    return Url(scheme, host, port, target)


def _address(text: str) -> str:
    try:
        return str(IPv6Address(text))
    except ValueError as error:
        raise UsageError(_MALFORMED) from error


def _name(text: str) -> str:
    """Return a host name as DNS knows it: lower case, without a last dot, in ASCII."""
    name = text.lower()
    if not name.isascii():
        import idna  # noqa: PLC0415  (large tables, which few URLs need)

        try:
            name = idna.encode(name, uts46=True).decode()
        except ValueError as error:
            raise UsageError("its host is not a name that can exist") from error
    name = name.removesuffix(".")
    if len(name) > 253 or not _HOST.fullmatch(name):
        raise UsageError("its host is not a name that can exist")
    return name


def _escaped(part: str) -> str:
    """Escape what must not stand in a request; escapes that are there stay."""
    return quote(part, safe="/%:@!$&'()*+,;=?~", errors="surrogateescape")
