"""Maps of the lower trunk, computed once and kept on disk, to train what is above on a CPU.

The lower layers do not change in training, so running them once for each picture is enough.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from finetag_model.ahead import ahead
from finetag_model.errors import DataError, FineTagError
from finetag_model.export import export_module
from finetag_model.files import replacing
from finetag_model.network import AttributeNetwork
from finetag_model.pictures import Picture
from finetag_model.runtime_onnx import cpu_session

Maps = NDArray[np.float16] | NDArray[np.uint8]
"""Maps of M pictures, (M, channels, h, w): float16, or uint8 where they are the pixels."""

BATCH = 16
PCA_IMAGES = 1600


def fit_narrow(network: AttributeNetwork, pictures: Sequence[Picture], seed: int) -> None:
    """Set `network.narrow` to the main directions of the trunk's channels (PCA, not centred).

    The bilinear feature is then that of the full map, less the directions of least energy.
    Does nothing for a trunk that already has the width.
    """
    if isinstance(network.narrow, nn.Identity):
        return
    channels = network.narrow.in_channels
    energy = torch.zeros(channels, channels, dtype=torch.float64)
    chosen = np.random.default_rng(seed).permutation(len(pictures))[:PCA_IMAGES]
    for maps in _run(network, None, [pictures[i] for i in chosen]):
        columns = torch.from_numpy(maps).transpose(0, 1).flatten(1)  # (channels, B h w)
        energy += (columns @ columns.T).double()
    directions = torch.linalg.eigh(energy).eigenvectors.flip(1)[:, : network.config.width]
    with torch.no_grad():
        network.narrow.weight.copy_(directions.T[:, :, None, None])


def keep_maps(
    network: AttributeNetwork,
    layer: int,
    pictures: Sequence[Picture],
    path: Path,
    progress: Callable[[str], None],
) -> Maps:
    """Write `network.below(..., layer)` of each picture to a .npy file; return it mapped.

    A file that is there already is taken as it is: only whole ones are ever put in place.

    Raises:
        DataError: there are no pictures.
        ImageError: one cannot be read.
        FineTagError: the file cannot be written.
    """
    if not pictures:
        raise DataError("there are no pictures to train on")
    if not path.exists():
        try:
            with replacing(path) as partial, partial.open("wb") as file:
                _write_maps(network, layer, pictures, file, progress)
        except OSError as error:
            raise FineTagError(
                f"cannot keep the maps of {len(pictures):,} pictures in {path.parent}: "
                f"{error.strerror}; free some space or name another folder with --run"
            ) from None
    maps: Maps = np.load(path, mmap_mode="r")
    return maps


def _write_maps(
    network: AttributeNetwork,
    layer: int,
    pictures: Sequence[Picture],
    file: BinaryIO,
    progress: Callable[[str], None],
) -> None:
    """Write a .npy file. Not through a mapping: a full disk would end the process there."""
    done = 0
    for maps in _run(network, layer, pictures):
        kept = maps if maps.dtype == np.uint8 else maps.astype(np.float16)
        if not done:
            header = {
                "descr": np.lib.format.dtype_to_descr(kept.dtype),
                "fortran_order": False,
                "shape": (len(pictures), *maps.shape[1:]),
            }
            np.lib.format.write_array_header_1_0(file, header)
        file.write(kept.tobytes())
        done += len(maps)
        if done % (64 * BATCH) == 0:
            progress(f"maps below layer {layer}: {done:,} of {len(pictures):,}")


class _Below(nn.Module):
    """`AttributeNetwork.below` as a module of its own, for the export."""

    def __init__(self, network: AttributeNetwork, layer: int | None) -> None:
        super().__init__()
        self.network = network
        self._layer = layer

    def forward(self, pixels: Tensor) -> Tensor:
        return self.network.below(pixels, self._layer)


def _run(
    network: AttributeNetwork, layer: int | None, pictures: Sequence[Picture]
) -> Iterator[NDArray[np.float32] | NDArray[np.uint8]]:
    """Yield `network.below(..., layer)` of the pictures, a batch at a time."""
    size = network.config.input_size
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / "below.onnx"
        export_module(_Below(network, layer).eval(), size, graph, outputs=["maps"])
        session = cpu_session(graph)
        # Pictures are read in threads while the session runs.
        with closing(ahead(lambda picture: picture.pixels(size), pictures)) as pixels:
            while batch := list(islice(pixels, BATCH)):
                yield session.run(["maps"], {"pixels": np.stack(batch)})[0]
