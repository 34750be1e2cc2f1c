"""Where the next page begins: a short text of one search of one generation, to be handed back."""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from dataclasses import dataclass

from finetag_model.errors import ExpiredError, UsageError

_LAYOUT = struct.Struct("<QQqd8s")


@dataclass(frozen=True)
class Cursor:
    """The end of a page.

    Attributes:
        generation: of the index.
        shown: how many hits there were on this page and those before.
        row: of the last hit.
        score: of the last hit.
        search: what was asked, as `fingerprint` gives it.
    """

    generation: int
    shown: int
    row: int
    score: float
    search: bytes

    def __str__(self) -> str:
        fields = (self.generation, self.shown, self.row, self.score, self.search)
        return base64.urlsafe_b64encode(_LAYOUT.pack(*fields)).decode().rstrip("=")

    @classmethod
    def read(cls, text: str, generation: int, search: bytes) -> Cursor:
        """Undo `str`, for an index of this generation and a search with this fingerprint.

        Raises:
            UsageError: it is no cursor, or of another search.
            ExpiredError: it is of another generation.
        """
        cursor = cls._decoded(text)
        if cursor is None:
            raise UsageError(f"{text[:60]!r} is not a cursor; take the one that a page ends with")
        if cursor.generation != generation:
            raise ExpiredError(
                f"the cursor is of generation {cursor.generation} of the index, which is at "
                f"{generation} now: the hits may be others, so search from the first page again"
            )
        if cursor.search != search:
            raise UsageError(
                "the cursor is of another search; only the limit may differ from page to page"
            )
        return cursor

    @classmethod
    def _decoded(cls, text: str) -> Cursor | None:
        try:
            data = base64.b64decode(f"{text}{'=' * (-len(text) % 4)}", b"-_", validate=True)
            return cls(*_LAYOUT.unpack(data))
        except (binascii.Error, struct.error, ValueError):
            return None

    @classmethod
    def generation_of(cls, text: str) -> int | None:
        """Return the generation that a cursor is of; None if it is no cursor."""
        cursor = cls._decoded(text)
        return None if cursor is None else cursor.generation


def fingerprint(*parts: object) -> bytes:
    """Return 8 bytes that tell searches apart."""
    digest = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else repr(part).encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.digest()[:8]
