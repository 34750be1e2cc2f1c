"""Pictures kept for a while, so that a search can be paged, refined and shared by link.

They lie on the disk, since a search may be answered by another worker process than the one that
took the picture. Their names are random and come from here alone.
"""

from __future__ import annotations

import re
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from finetag_model.errors import ExpiredError
from finetag_model.files import plain_write_errors, replacing
from retrieval.service.metrics import PICTURES_BYTES

if TYPE_CHECKING:
    from retrieval.service.settings import Limits

_TOKEN = re.compile(r"[A-Za-z0-9_-]{22}")
_DAY = 24 * 60 * 60


@dataclass(frozen=True)
class Kept:
    """A picture that was kept: the token that names it, and until when."""

    token: str
    expires: datetime


class Pictures:
    """The kept pictures of all catalogues; each catalogue has its own."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        """Keep pictures below a folder, which is made when it is needed."""
        self._folder, self._limits = folder, limits

    def keep(self, catalog: str, data: bytes) -> Kept:
        """Keep the bytes of a picture; the oldest make room.

        Raises:
            FineTagError: it cannot be written.
        """
        token = secrets.token_urlsafe(16)
        folder = self._folder / catalog
        with plain_write_errors(folder, "make room, or name another folder with --state"):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with replacing(folder / token) as partial:
                partial.write_bytes(data)
        self._make_room(folder)
        expires = time.time() + self._limits.pictures_days * _DAY
        return Kept(token, datetime.fromtimestamp(expires, UTC))

    def path(self, catalog: str, token: str) -> Path:
        """Return the file of a kept picture.

        Raises:
            ExpiredError: there is none, or no longer: who was given a token cannot know which.
        """
        path = self._folder / catalog / token
        if not _TOKEN.fullmatch(token) or not path.is_file():
            raise ExpiredError("the picture is no longer kept, or never was; upload it again")
        return path

    def _make_room(self, folder: Path) -> None:
        oldest = time.time() - self._limits.pictures_days * _DAY
        found = []
        for path in folder.iterdir():
            try:
                status = path.stat()
            except FileNotFoundError:  # another process made room
                continue
            found.append((status.st_mtime, status.st_size, path))
        room = self._limits.pictures_bytes
        kept = 0
        for modified, size, path in sorted(found, reverse=True):
            room -= size
            if room < 0 or modified < oldest:
                path.unlink(missing_ok=True)
            else:
                kept += size
        PICTURES_BYTES.labels(folder.name).set(kept)
