"""Which altered copies of photographs are called near duplicates, and which other photographs.

    python benchmarks/near_duplicates.py CUB_200_2011/images

Of some photographs, drawn at random, copies are made in many ways, and hashed and embedded from
their bytes as an index does. All photographs are compared with one another, too: pairs that are
close enough are listed, to look at. FOLDER is any folder of images.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance
from rich.console import Console
from rich.progress import track
from rich.table import Table

from finetag_model.console import Command, model_option, printable, progress_console
from finetag_model.embedder import Embedder, load_embedder
from finetag_model.errors import ImageError, UsageError
from finetag_model.images import load_rgb, readable_suffixes
from indexer.building import BATCH
from indexer.decode import Picture, read_picture
from indexer.near_duplicates import DISTANCE, SIMILARITY

DISTANCES = (7, 11, DISTANCE, 19, 23, 27)
"""Bits that are tried as the greatest distance."""
_BLOCK = 512
"""Photographs whose hashes are compared with all others' at a time."""

Pairs = NDArray[np.int64]


def _encoded(image: Image.Image, kind: str = "JPEG", quality: int = 90) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, quality=quality)
    return file.getvalue()


def _resized(share: float) -> Callable[[Image.Image], bytes]:
    return lambda image: _encoded(
        image.resize([max(1, round(side * share)) for side in image.size], Image.Resampling.LANCZOS)
    )


def _cropped(share: float) -> Callable[[Image.Image], bytes]:
    def crop(image: Image.Image) -> bytes:
        left, top = (round(side * share) for side in image.size)
        return _encoded(image.crop((left, top, image.width - left, image.height - top)))

    return crop


def _brightened(factor: float) -> Callable[[Image.Image], bytes]:
    return lambda image: _encoded(ImageEnhance.Brightness(image).enhance(factor))


def _turned_in_hue(image: Image.Image) -> bytes:
    values = np.array(image.convert("HSV"))
    values[..., 0] += 43  # of 256
    return _encoded(Image.fromarray(values, "HSV").convert("RGB"))


ALTERED: Mapping[str, Callable[[Image.Image], bytes]] = {
    "JPEG quality 90": _encoded,
    "JPEG quality 75": lambda image: _encoded(image, quality=75),
    "JPEG quality 50": lambda image: _encoded(image, quality=50),
    "PNG": lambda image: _encoded(image, "PNG"),
    "WebP quality 75": lambda image: _encoded(image, "WEBP", quality=75),
    "resized to 80%": _resized(0.8),
    "resized to 50%": _resized(0.5),
    "brightness 110%": _brightened(1.1),
    "brightness 90%": _brightened(0.9),
    "brightness 120%": _brightened(1.2),
    "brightness 80%": _brightened(0.8),
    "cropped by 1% a side": _cropped(0.01),
    "cropped by 2.5% a side": _cropped(0.025),
    "grey": lambda image: _encoded(image.convert("L")),
    "hue turned by 60 degrees": _turned_in_hue,
}
"""Ways to copy an RGB image as a file. The last is another product rather than a copy."""


@click.command(cls=Command)
@click.argument("folder", type=click.Path(path_type=Path))
@model_option
@click.option("--copied", type=click.IntRange(min=1), default=50, help="Photographs copied; 50.")
@click.option("--seed", type=int, default=0, show_default=True, help="They are drawn with it.")
def main(folder: Path, model: Path | None, copied: int, seed: int) -> None:
    """Measure the rule of near duplicates on the images in FOLDER."""
    embedder = load_embedder(model)
    side = embedder.model.input_size
    suffixes = readable_suffixes()
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in suffixes)
    names, hashes = [], []
    for path in track(paths, "Hashing", console=progress_console(), transient=True):
        try:
            perceptual = read_picture(path.read_bytes(), side).perceptual
        except ImageError:
            continue
        if perceptual is not None:
            names.append(path)
            hashes.append(np.frombuffer(perceptual, np.uint8))
    if not names:
        raise UsageError(f"{folder} has no image that is not plain")
    drawn = np.random.default_rng(seed).permutation(len(names))[:copied]

    table = Table(title_justify="left", caption_justify="left")
    table.title = f"{len(drawn):,} photographs of {len(names):,}: which copies are found"
    table.caption = f"At a similarity of {SIMILARITY} or more, and in brackets at any."
    table.add_column("bits apart, at most")
    for distance in DISTANCES:
        table.add_column(str(distance), justify="right")
    found: dict[str, list[tuple[int, float]]] = {name: [] for name in ALTERED}
    for at in track(drawn.tolist(), "Copying", console=progress_console(), transient=True):
        for name, measured in _copies(names[at], embedder):
            found[name].append(measured)
    for name, measured in found.items():
        table.add_row(name, *_counts(np.array(measured).reshape(-1, 2).T))
    pairs, bits = _close(np.stack(hashes))
    alike = _similarities(names, pairs, embedder)
    table.add_section()
    table.add_row("pairs of photographs", *_counts(np.stack([bits, alike])))
    Console().print(table)
    for (one, two), apart, cosine in zip(pairs, bits, alike, strict=True):
        if apart <= DISTANCE:
            click.echo(f"{apart} bits, {cosine:.3f}: {_name(names[one])} {_name(names[two])}")


def _name(path: Path) -> str:
    return printable(str(path))


def _copies(path: Path, embedder: Embedder) -> Iterator[tuple[str, tuple[int, float]]]:
    """Yield of each copy how it was made, its bits apart and its similarity to the original."""
    image, side = load_rgb(path), embedder.model.input_size
    original = read_picture(path.read_bytes(), side)
    copies = {name: read_picture(alter(image), side) for name, alter in ALTERED.items()}
    vectors = _vectors([original, *copies.values()], embedder)
    for (name, copy), vector in zip(copies.items(), vectors[1:], strict=True):
        yield name, (_bits_apart(original, copy), float(vector @ vectors[0]))


def _bits_apart(one: Picture, two: Picture) -> int:
    if one.perceptual is None or two.perceptual is None:
        return 128
    differing = np.frombuffer(one.perceptual, np.uint8) ^ np.frombuffer(two.perceptual, np.uint8)
    return int(np.bitwise_count(differing).sum())


def _vectors(pictures: list[Picture], embedder: Embedder) -> NDArray[np.float32]:
    return embedder.embed(np.stack([picture.pixels for picture in pictures])).visual


def _counts(measured: NDArray[np.float64]) -> list[str]:
    """Return, for each distance, how many are within it and similar, and how many within it."""
    bits, alike = measured
    within = [bits <= distance for distance in DISTANCES]
    return [f"{(each & (alike >= SIMILARITY)).sum():,} ({each.sum():,})" for each in within]


def _close(hashes: NDArray[np.uint8]) -> tuple[Pairs, NDArray[np.int64]]:
    """Return all pairs within the greatest distance, closest first, (n, 2), and their bits (n,)."""
    words = hashes.view(np.uint64)
    pairs, bits = [np.empty((0, 2), np.int64)], [np.empty(0, np.int64)]
    for start in range(0, len(words), _BLOCK):
        block = words[start : start + _BLOCK, np.newaxis]
        apart = np.bitwise_count(block ^ words).sum(axis=2, dtype=np.int64)
        one, two = np.nonzero(apart <= max(DISTANCES))
        later = start + one < two
        pairs.append(np.stack([start + one[later], two[later]], axis=1))
        bits.append(apart[one[later], two[later]])
    order = np.argsort(np.concatenate(bits), kind="stable")
    return np.concatenate(pairs)[order], np.concatenate(bits)[order]


def _similarities(paths: list[Path], pairs: Pairs, embedder: Embedder) -> NDArray[np.float64]:
    """Return the cosine similarity of each pair; only photographs in pairs are embedded."""
    rows, places = np.unique(pairs, return_inverse=True)
    vectors = np.empty((len(rows), embedder.model.visual_dim), np.float32)
    side = embedder.model.input_size
    starts = range(0, len(rows), BATCH)
    for start in track(starts, "Comparing", console=progress_console(), transient=True):
        batch = [paths[row].read_bytes() for row in rows[start : start + BATCH]]
        pictures = [read_picture(data, side) for data in batch]
        vectors[start : start + len(pictures)] = _vectors(pictures, embedder)
    one, two = vectors[places.reshape(-1, 2)].transpose(1, 0, 2)
    return np.einsum("nd,nd->n", one, two).astype(np.float64)


if __name__ == "__main__":
    main()
