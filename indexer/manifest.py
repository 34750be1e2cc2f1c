"""The manifest of a generation: what its files are and which model filled them.

Nothing about single images: those are in the files it lists.
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
from indexer.approximation import Approximation

FORMAT = 3
"""Of the generation's files; one of another format is written anew by the next update."""

MANIFEST = "manifest.json"
VISUAL = "visual.faiss"
SCORES = "scores.npy"
MASKS = "masks.npy"
IMAGE_IDS = "image_ids.npy"
PERCEPTUAL = "perceptual.npy"
HASH_BYTES = 16
"""Of a perceptual hash."""
RECORDS = "records.jsonl"
OFFSETS = "record_offsets.npy"
FIELDS = "fields.safetensors"
STATE = "state.json"
IVF = "visual.ivf"
"""Only where the manifest tells of an approximate index."""
FILES = (VISUAL, SCORES, MASKS, IMAGE_IDS, PERCEPTUAL, RECORDS, OFFSETS, FIELDS, STATE)
_METRIC = "cosine"
_PREPROCESSING = "upright, sRGB over white, squashed to a square by bilinear interpolation"


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
        root: the catalogue folder, absolute.
        model: the model that made its scores and vectors.
        rows: how many images it holds.
        files: a checksum for each file beside the manifest.
        approximation: the approximate index among them; None if searches are exact.
    """

    generation: int
    created: str
    root: Path
    model: ModelInfo
    rows: int
    files: Mapping[str, Checksum]
    approximation: Approximation | None = None

    @property
    def vocabulary(self) -> Vocabulary:
        """The model's attributes, in score order."""
        return self.model.vocabulary

    def save(self, folder: Path) -> None:
        """Write the manifest into a generation's folder."""
        text = json.dumps(
            {
                "format": FORMAT,
                "generation": self.generation,
                "created": self.created,
                "root": str(self.root),
                "metric": _METRIC,
                "preprocessing": _PREPROCESSING,
                "rows": self.rows,
                "files": {name: vars(checksum) for name, checksum in self.files.items()},
                "approximation": self.approximation and self.approximation.as_dict(),
                "model": model_fields(self.model),
            },
            indent=1,
        )
        (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path, sha256: str | None = None) -> Manifest:
        """Read the manifest of a generation's folder, whatever has become of its files.

        Args:
            folder: the generation's.
            sha256: what the manifest file must hash to; None takes it as it is.

        Raises:
            ValueError: the manifest is missing, damaged or does not fit.
        """
        try:
            data = (folder / MANIFEST).read_bytes()
            manifest = _from_json(json.loads(data))
        except FileNotFoundError:
            raise ValueError(f"{MANIFEST} is missing") from None
        except _UnfitError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, DataError) as error:
            raise ValueError(f"{MANIFEST} is damaged") from error
        if sha256 not in {None, hashlib.sha256(data).hexdigest()}:
            raise ValueError(f"{MANIFEST} is damaged")
        if str(manifest.generation) != folder.name:
            raise ValueError(f"{MANIFEST} is of generation {manifest.generation}")
        return manifest

    @classmethod
    def load(cls, folder: Path, sha256: str | None = None) -> Manifest:
        """Do as `read`, and compare the sizes of the files.

        Raises:
            ValueError: the manifest or a file is missing, damaged or does not fit.
        """
        manifest = cls.read(folder, sha256)
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
        if (model_fields(self.model), self.rows) != (model_fields(model), rows):
            raise ValueError(f"{MANIFEST} does not describe this generation")
        if damaged := self.damaged(folder):
            raise ValueError(f"{damaged[0]} is damaged")

    def damaged(self, folder: Path) -> list[str]:
        """Read all files through; return the names of those that have changed since."""
        return [name for name in self.files if not self.is_whole(folder, name)]

    def is_whole(self, folder: Path, name: str) -> bool:
        """Read one file through; say whether it is as it was written."""
        path = folder / name
        return path.is_file() and Checksum.of(path) == self.files[name]


def model_fields(model: ModelInfo) -> dict[str, Any]:
    """Return what is known of a model, as JSON takes it."""
    return {
        "name": model.name,
        "digest": model.digest,
        "input_size": model.input_size,
        "visual_dim": model.visual_dim,
        "vocabulary": list(model.vocabulary.names),
        "thresholds": model.thresholds.tolist(),
    }


class _UnfitError(ValueError):
    """A manifest that is whole, but not of this version."""


def _from_json(fields: dict[str, Any]) -> Manifest:
    if fields["format"] != FORMAT:
        raise _UnfitError(
            f"{MANIFEST} has format {fields['format']}, and this FineTag reads {FORMAT}"
        )
    if (fields["metric"], fields["preprocessing"]) != (_METRIC, _PREPROCESSING):
        raise _UnfitError(f"{MANIFEST} tells of pictures prepared, or compared, in another way")
    files = {name: Checksum(**checksum) for name, checksum in fields["files"].items()}
    told = fields["approximation"]
    approximation = None if told is None else Approximation.from_dict(told)
    if set(files) != {*FILES, *([IVF] if approximation else [])}:
        raise ValueError
    model = model_of(fields["model"])
    whole = (fields["generation"], fields["rows"], model.input_size, model.visual_dim)
    sizes = (checksum.bytes for checksum in files.values())
    root = Path(fields["root"])
    if not all(type(number) is int and number > 0 for number in (*whole, *sizes)):
        raise ValueError
    if model.thresholds.shape != (len(model.vocabulary),):
        raise ValueError
    generation, created, rows = (fields[name] for name in ("generation", "created", "rows"))
    return Manifest(generation, created, root, model, rows, files, approximation)


def model_of(fields: dict[str, Any]) -> ModelInfo:
    """Undo `model_fields`; on damaged fields it raises nearly anything."""
    return ModelInfo(
        **{
            **fields,
            "vocabulary": Vocabulary(tuple(fields["vocabulary"])),
            "thresholds": np.array(fields["thresholds"], dtype=np.float32),
        }
    )
