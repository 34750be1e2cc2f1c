"""The manifest of a generation: what its files are and which model filled them.

Nothing about images: those are in the database.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from finetag_model.embedder import ModelInfo
from finetag_model.errors import DataError
from finetag_model.vocabulary import Vocabulary
from indexer.layout import SCHEMA_VERSION

MANIFEST = "manifest.json"
VISUAL = "visual.faiss"
SCORES = "scores.npy"
IMAGE_IDS = "image_ids.npy"
_METRIC = "cosine"


@dataclass(frozen=True)
class Checksum:
    """What a file was when it was written."""

    bytes: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> Checksum:
        """Read a file through."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return cls(path.stat().st_size, digest)


@dataclass(frozen=True)
class Manifest:
    """A published generation.

    Attributes:
        generation: its number, from 1.
        created: time in UTC, ISO 8601.
        model: the model that made its scores and vectors.
        rows: how many images it holds.
        files: a checksum for each file beside the manifest.
    """

    generation: int
    created: str
    model: ModelInfo
    rows: int
    files: Mapping[str, Checksum]

    @property
    def vocabulary(self) -> Vocabulary:
        """The model's attributes, in score order."""
        return self.model.vocabulary

    def save(self, folder: Path) -> None:
        """Write the manifest into a generation's folder."""
        text = json.dumps(
            {
                "schema_version": SCHEMA_VERSION,
                "generation": self.generation,
                "created": self.created,
                "metric": _METRIC,
                "rows": self.rows,
                "files": {name: vars(checksum) for name, checksum in self.files.items()},
                "model": _model_fields(self.model),
            },
            indent=1,
        )
        (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Manifest:
        """Read the manifest of a generation's folder, and compare the sizes of its files.

        Raises:
            ValueError: the manifest or a file is missing, damaged or does not fit.
        """
        try:
            fields = json.loads((folder / MANIFEST).read_bytes())
            manifest = _from_json(fields)
        except FileNotFoundError:
            raise ValueError(f"{MANIFEST} is missing") from None
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, DataError) as error:
            raise ValueError(f"{MANIFEST} is damaged") from error
        if str(manifest.generation) != folder.name:
            raise ValueError(f"{MANIFEST} is of generation {manifest.generation}")
        for name, checksum in manifest.files.items():
            if not (folder / name).is_file():
                raise ValueError(f"{name} is missing")
            size = (folder / name).stat().st_size
            if size != checksum.bytes:
                raise ValueError(f"{name} has {size:,} bytes instead of {checksum.bytes:,}")
        return manifest

    def verify(self, folder: Path, model: ModelInfo, rows: int) -> None:
        """Read all files through, and compare everything with what it should be.

        Raises:
            ValueError: the generation is of another model or size, or a file has changed since
                it was written.
        """
        if (_model_fields(self.model), self.rows) != (_model_fields(model), rows):
            raise ValueError(f"{MANIFEST} does not describe this generation")
        for name, checksum in self.files.items():
            if Checksum.of(folder / name) != checksum:
                raise ValueError(f"{name} is damaged")


def _model_fields(model: ModelInfo) -> dict[str, Any]:
    return {
        "name": model.name,
        "digest": model.digest,
        "input_size": model.input_size,
        "visual_dim": model.visual_dim,
        "vocabulary": list(model.vocabulary.names),
        "thresholds": model.thresholds.tolist(),
    }


def _from_json(fields: dict[str, Any]) -> Manifest:
    if fields["schema_version"] != SCHEMA_VERSION or fields["metric"] != _METRIC:
        raise ValueError
    files = {name: Checksum(**checksum) for name, checksum in fields["files"].items()}
    if set(files) != {VISUAL, SCORES, IMAGE_IDS}:
        raise ValueError
    model = ModelInfo(
        **{
            **fields["model"],
            "vocabulary": Vocabulary(tuple(fields["model"]["vocabulary"])),
            "thresholds": np.array(fields["model"]["thresholds"], dtype=np.float32),
        }
    )
    whole = (fields["generation"], fields["rows"], model.input_size, model.visual_dim)
    sizes = (checksum.bytes for checksum in files.values())
    if not all(type(number) is int and number > 0 for number in (*whole, *sizes)):
        raise ValueError
    if model.thresholds.shape != (len(model.vocabulary),):
        raise ValueError
    return Manifest(fields["generation"], fields["created"], model, fields["rows"], files)
