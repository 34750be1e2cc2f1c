"""What a service is told when it starts; handed to its worker processes as JSON."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from finetag_model.embedder import Runtime
from retrieval.service.logs import LogFormat

_VARIABLE = "FINETAG_SERVE"


class Limits(BaseModel):
    """What one request, or one client, may cost.

    Attributes:
        body_bytes: size of a request that searches, or keeps a picture.
        upload_bytes: size of a request that brings images or a table into a catalogue.
        pixels: of a picture that is searched with.
        decode_seconds: for reading one picture.
        request_seconds: until a request has arrived, and until it is answered.
        waiting: requests that may wait in one worker process; more are turned away.
        per_minute: requests of one client, of which ten thumbnails are one; 0: as many as it
            likes. The default lets several people behind one address scroll through 200 pages of
            50 hits together, and is still a fraction of what one small machine answers.
        pictures_bytes: of all kept pictures of one catalogue; the oldest make room.
        pictures_days: until a kept picture is thrown away.
    """

    model_config = ConfigDict(frozen=True)

    body_bytes: int = Field(20 << 20, gt=0)
    upload_bytes: int = Field(1 << 30, gt=0)
    pixels: int = Field(50_000_000, gt=0)
    decode_seconds: float = Field(10.0, gt=0)
    request_seconds: float = Field(30.0, gt=0)
    waiting: int = Field(200, gt=0)
    per_minute: int = Field(1200, ge=0)
    pictures_bytes: int = Field(1 << 30, gt=0)
    pictures_days: float = Field(7.0, gt=0)


class Settings(BaseModel):
    """What a service is told when it starts.

    Attributes:
        catalogs: the index folder of each catalogue, absolute, by the name it has in URLs.
        state: where keys, jobs and kept pictures are, absolute.
        model: the checkpoint that pictures are embedded with; None: the one shipped.
        runtime: see `load_embedder`.
        keys: whether every request needs an API key.
        hosts: names that requests may call the service by, beside those of this machine.
        fetch_urls: whether pictures may be named by URL.
        log_format: how it logs, and the processes of its jobs do.
        limits: see there.
    """

    model_config = ConfigDict(frozen=True)

    catalogs: dict[str, Path]
    state: Path
    model: Path | None = None
    runtime: Runtime = "auto"
    keys: bool = False
    hosts: tuple[str, ...] = ()
    fetch_urls: bool = False
    log_format: LogFormat = "json"
    limits: Limits = Limits()

    def hand_down(self) -> None:
        """Leave the settings for `inherited`, in this process and those it starts."""
        os.environ.update(self.handed_down())

    def handed_down(self) -> dict[str, str]:
        """Return the part of an environment that `inherited` reads."""
        return {_VARIABLE: self.model_dump_json()}

    @classmethod
    def inherited(cls) -> Settings:
        """Return the settings that `hand_down` left."""
        return cls.model_validate_json(os.environ[_VARIABLE])
