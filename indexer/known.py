"""The contents an index has embedded already, small enough to ask about from several threads."""

from __future__ import annotations

import numpy as np
from sqlalchemy import Connection, func, select

from indexer.schema import embedding

_LENGTH = 32  # bytes of a SHA-256


class Known:
    """A frozen set of content hashes; 32 bytes each."""

    def __init__(self, connection: Connection, model_digest: str) -> None:
        """Read the hashes of all contents that the model has embedded."""
        of_model = embedding.c.model_digest == model_digest
        with connection.begin():
            query = select(func.count()).select_from(embedding).where(of_model)
            self._hashes = np.empty(connection.scalar(query) or 0, dtype=f"S{_LENGTH}")
            rows = select(embedding.c.content_hash).where(of_model)
            streamed = rows.execution_options(yield_per=10_000)
            for i, content_hash in enumerate(connection.scalars(streamed)):
                self._hashes[i] = bytes.fromhex(content_hash)
        self._hashes.sort()

    def __contains__(self, digest: bytes) -> bool:
        """Say whether a content is known, given its SHA-256 of 32 bytes."""
        at = np.searchsorted(self._hashes, np.bytes_(digest))
        # NumPy leaves out zeros at the end, of both alike: all hashes have the same length.
        return bool(at < len(self._hashes) and self._hashes[at] == digest.rstrip(b"\0"))
