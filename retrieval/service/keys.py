"""API keys: what they look like, where they are kept, and whether one that is shown is good.

A key reads `ft_<id>_<secret>`. The id is public: it names the key in lists and logs. Of the
secret only a hash is kept, so a key is shown once, when it is made. What a key opens is decided
in `access`.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import JSON, Column, Date, Integer, LargeBinary, Row, String, Table, select
from sqlalchemy.exc import DatabaseError

from finetag_model.errors import UsageError
from retrieval.service.store import changing, metadata

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine

Role = Literal["read", "write"]

EVERY = "*"
"""In place of names: every catalogue, those of later times too."""

_KEY = re.compile(r"ft_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_NOBODYS = secrets.token_bytes(32)  # compared with where an id is unknown; no text hashes to it

_keys = Table(
    "api_key",
    metadata,
    Column("id", String, primary_key=True),
    Column("secret_sha256", LargeBinary, nullable=False),
    Column("role", String, nullable=False),
    Column("catalogs", JSON, nullable=False),  # a list of names, or [EVERY]
    Column("note", String, nullable=False),
    # Seconds since 1970; `last_used` is a day, so that it is written once a day and key at most.
    Column("created", Integer, nullable=False),
    Column("expires", Integer),
    Column("revoked", Integer),
    Column("last_used", Date),
)


@dataclass(frozen=True)
class Key:
    """What is known of a key; not its secret.

    Attributes:
        id: the public part of it.
        role: what may be done with it.
        catalogs: the names of those it opens, or `EVERY` alone.
        note: what its maker wrote beside it.
        created: when it was made.
        expires: from when on it is no longer good; None: it stays good.
        revoked: since when it is no longer good; None: it was not revoked.
        last_used: the last day it was, in UTC.
    """

    id: str
    role: Role
    catalogs: tuple[str, ...]
    note: str
    created: datetime
    expires: datetime | None
    revoked: datetime | None
    last_used: date | None

    @property
    def is_good(self) -> bool:
        """Whether it opens anything now."""
        return self.revoked is None and (self.expires is None or datetime.now(UTC) < self.expires)


class Keys:
    """The keys of a service."""

    def __init__(self, store: Engine) -> None:
        """Keep keys in a database that `open_store` opened."""
        self._store = store

    def create(
        self,
        role: Role,
        catalogs: Sequence[str] = (EVERY,),
        *,
        note: str = "",
        days: float | None = None,
    ) -> str:
        """Make a key and return it; nobody can read it again later.

        Args:
            role: what may be done with it.
            catalogs: names of those it opens.
            note: what it is for.
            days: for which it is good; None: until it is revoked.
        """
        id_, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        now = datetime.now(UTC)
        made = {
            "id": id_,
            "secret_sha256": _hash(secret),
            "role": role,
            "catalogs": list(dict.fromkeys(catalogs)),
            "note": note,
            "created": int(now.timestamp()),
            "expires": None if days is None else int((now + timedelta(days=days)).timestamp()),
        }
        with changing(self._store) as connection:
            connection.execute(_keys.insert().values(made))
        return f"ft_{id_}_{secret}"

    def all(self) -> list[Key]:
        """Return every key ever made, the oldest first."""
        with self._store.connect() as connection:
            return [
                _key(row) for row in connection.execute(select(_keys).order_by(_keys.c.created))
            ]

    def revoke(self, id_: str) -> None:
        """Have a key open nothing any more, at once but for what `access` remembers of it.

        Raises:
            UsageError: there is no such key, or it was revoked before.
        """
        now = int(datetime.now(UTC).timestamp())
        good = (_keys.c.id == id_) & _keys.c.revoked.is_(None)
        with changing(self._store) as connection:
            found = connection.execute(_keys.update().where(good).values(revoked=now)).rowcount
        if not found:
            raise UsageError(
                f"there is no key {id_!r} to revoke; 'finetag-keys list' shows the ids of all"
            )

    def shown(self, text: str) -> Key | None:
        """Return the key that a text is, if it is a good one; note that it was used today."""
        match = _KEY.fullmatch(text)
        if match is None:
            return None
        id_, secret = match.groups()
        row = self._row(id_)
        # An unknown id takes as long as a wrong secret.
        same = hmac.compare_digest(_hash(secret), _NOBODYS if row is None else row.secret_sha256)
        if row is None or not same:
            return None
        key = _key(row)
        if not key.is_good:
            return None
        self._note_use(key)
        return key

    def good(self, id_: str) -> Key | None:
        """Return the key of an id, if it is good."""
        row = self._row(id_)
        key = None if row is None else _key(row)
        return key if key is not None and key.is_good else None

    def _row(self, id_: str) -> Row[Any] | None:
        with self._store.connect() as connection:
            return connection.execute(select(_keys).where(_keys.c.id == id_)).one_or_none()

    def _note_use(self, key: Key) -> None:
        today = datetime.now(UTC).date()
        if key.last_used == today:
            return
        with suppress(DatabaseError), changing(self._store) as connection:  # as of a full disk
            connection.execute(_keys.update().where(_keys.c.id == key.id).values(last_used=today))


def _hash(secret: str) -> bytes:
    # Slow, salted hashes are for passwords, which can be guessed. 256 random bits cannot be,
    # however fast each guess is.
    return hashlib.sha256(secret.encode()).digest()


def _key(row: Row[Any]) -> Key:
    return Key(
        id=row.id,
        role=row.role,
        catalogs=tuple(row.catalogs),
        note=row.note,
        created=datetime.fromtimestamp(row.created, UTC),
        expires=None if row.expires is None else datetime.fromtimestamp(row.expires, UTC),
        revoked=None if row.revoked is None else datetime.fromtimestamp(row.revoked, UTC),
        last_used=row.last_used,
    )
