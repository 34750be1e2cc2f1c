"""Who asks, told by the key or session that they show; remembered for some seconds.

What they may then do is in `access`.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from retrieval.service.keys import EVERY, Key, Keys, Role
from retrieval.service.sessions import Sessions

if TYPE_CHECKING:
    from sqlalchemy import Engine

REMEMBERED_SECONDS = 5.0
"""A key that is revoked, or a session that is ended, opens nothing after these."""

_MOST = 10_000  # callers remembered


@dataclass(frozen=True)
class Caller:
    """Who asks.

    Attributes:
        key: the id of their key; None where none is needed.
        role: what they may do.
        catalogs: the names of those they see, or `EVERY` alone.
    """

    key: str | None
    role: Role
    catalogs: tuple[str, ...]

    @classmethod
    def with_key(cls, key: Key) -> Caller:
        """Return who shows a key."""
        return cls(key.id, key.role, key.catalogs)

    @classmethod
    def in_session(cls, key: Key) -> Caller:
        """Return who shows the cookie of a session: it may never write.

        Browsers send cookies by themselves, so that a request may not be what its user wants.
        """
        return cls(key.id, "read", key.catalogs)

    def sees(self, catalog: str) -> bool:
        """Whether they may know of a catalogue."""
        return EVERY in self.catalogs or catalog in self.catalogs

    def writes(self, catalog: str) -> bool:
        """Whether they may change a catalogue."""
        return self.role == "write" and self.sees(catalog)


ANYONE = Caller(None, "write", (EVERY,))
"""Who asks where no keys are needed."""


@dataclass(frozen=True)
class Shown:
    """What somebody shows, good or not."""

    kind: Literal["key", "session"]
    text: str

    @property
    def digest(self) -> bytes:
        """What it is remembered by."""
        return hashlib.sha256(f"{self.kind} {self.text}".encode()).digest()


class Callers:
    """All who may ask."""

    def __init__(self, store: Engine) -> None:
        """Know them by the keys and sessions in a database that `open_store` opened."""
        self.keys = Keys(store)
        self.sessions = Sessions(store, self.keys)
        self._remembered: dict[bytes, tuple[Caller, float]] = {}

    def remembered(self, shown: Shown) -> Caller | None:
        """Return who was found to show this some seconds ago."""
        caller, until = self._remembered.get(shown.digest, (None, 0.0))
        return caller if time.monotonic() < until else None

    def find(self, shown: Shown) -> Caller | None:
        """Return who shows this, if it is good, and remember them; asks the database."""
        if shown.kind == "key":
            key = self.keys.shown(shown.text)
            caller = None if key is None else Caller.with_key(key)
        else:
            key = self.sessions.key(shown.text)
            caller = None if key is None else Caller.in_session(key)
        if caller is not None:
            if len(self._remembered) >= _MOST:
                self._remembered.clear()
            self._remembered[shown.digest] = caller, time.monotonic() + REMEMBERED_SECONDS
        return caller

    def forget(self, shown: Shown) -> None:
        """Remember them no longer."""
        self._remembered.pop(shown.digest, None)
