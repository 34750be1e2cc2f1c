"""Sessions of the page: a browser shows its key once, and after that a random token in a cookie.

The cookie is not the key, so who gets hold of one cannot write with it, and it dies of itself.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from typing import TYPE_CHECKING

from sqlalchemy import Column, Integer, LargeBinary, String, Table, select

from retrieval.service.store import changing, metadata

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from retrieval.service.keys import Key, Keys

SECONDS = 12 * 60 * 60
"""For which a session lasts, if its key does."""

_sessions = Table(
    "session",
    metadata,
    Column("token_sha256", LargeBinary, primary_key=True),
    Column("key", String, nullable=False),  # the id of an `api_key`
    Column("expires", Integer, nullable=False),  # seconds since 1970
)


class Sessions:
    """The sessions of a service."""

    def __init__(self, store: Engine, keys: Keys) -> None:
        """Keep sessions in the database that has the keys."""
        self._store, self._keys = store, keys

    def begin(self, key: Key) -> str:
        """Return the token of a new session; sessions that are over are forgotten."""
        token, now = secrets.token_urlsafe(32), int(time.time())
        session = {"token_sha256": _hash(token), "key": key.id, "expires": now + SECONDS}
        with changing(self._store) as connection:
            connection.execute(_sessions.delete().where(_sessions.c.expires <= now))
            connection.execute(_sessions.insert().values(session))
        return token

    def key(self, token: str) -> Key | None:
        """Return the key that a session was begun with, if both are good."""
        now = int(time.time())
        # Found by its hash: how long that takes says nothing of the token.
        found = select(_sessions.c.key).where(
            _sessions.c.token_sha256 == _hash(token), _sessions.c.expires > now
        )
        with self._store.connect() as connection:
            id_ = connection.execute(found).scalar_one_or_none()
        return None if id_ is None else self._keys.good(id_)

    def end(self, token: str) -> None:
        """End a session, if there is one."""
        with changing(self._store) as connection:
            ended = _sessions.c.token_sha256 == _hash(token)
            connection.execute(_sessions.delete().where(ended))


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
