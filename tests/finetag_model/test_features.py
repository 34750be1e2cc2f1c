from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from finetag_model.errors import DataError, FineTagError, ImageError
from finetag_model.features import BATCH, fit_narrow, keep_maps
from finetag_model.network import FineTag
from finetag_model.pictures import Picture


@pytest.fixture
def pictures(tmp_path: Path) -> list[Picture]:
    """More pictures than a batch holds, and not a multiple of it."""
    random = np.random.default_rng(0)
    made = []
    for number in range(BATCH + 5):
        path = tmp_path / f"{number}.png"
        Image.fromarray(random.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(path)
        made.append(Picture(path))
    return made


def pixels(pictures: list[Picture]) -> torch.Tensor:
    return torch.from_numpy(np.stack([picture.pixels(16) for picture in pictures]))


@pytest.mark.parametrize("layer", [0, 2, 4])
def test_kept_maps_are_what_the_network_makes(
    tiny_network: FineTag, pictures: list[Picture], tmp_path: Path, layer: int
) -> None:
    path = tmp_path / "maps.npy"
    maps = keep_maps(tiny_network, layer, pictures, path, lambda line: None)
    with torch.inference_mode():
        expected = tiny_network.below(pixels(pictures), layer).numpy()
    assert maps.dtype == (np.float16 if layer else np.uint8)  # below layer 0 lie the pixels
    np.testing.assert_allclose(maps, expected, rtol=2e-3, atol=1e-3)
    np.testing.assert_array_equal(np.load(path), maps)


def test_there_must_be_pictures(tiny_network: FineTag, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no pictures to train on"):
        keep_maps(tiny_network, 4, [], tmp_path / "maps.npy", lambda line: None)
    assert not (tmp_path / "maps.npy").exists()


def test_an_unreadable_picture_is_named(
    tiny_network: FineTag, pictures: list[Picture], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_text("no image")
    with pytest.raises(ImageError, match=r"broken\.jpg is not an image"):
        keep_maps(
            tiny_network, 4, [*pictures, Picture(broken)], tmp_path / "m.npy", lambda line: None
        )


def test_a_full_disk_is_one_line_and_leaves_nothing(
    tiny_network: FineTag, pictures: list[Picture], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, before[1]))  # maps take 16 kB
    try:
        with pytest.raises(FineTagError, match=r"^cannot keep the maps of 21 pictures in .*--run$"):
            keep_maps(tiny_network, 0, pictures, folder / "maps.npy", lambda line: None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(folder.iterdir())


def test_narrowing_keeps_the_directions_of_most_energy(
    tiny_network: FineTag, pictures: list[Picture]
) -> None:
    fit_narrow(tiny_network, pictures, seed=0)
    with torch.inference_mode():
        maps = tiny_network.below(pixels(pictures)).double()
    columns = maps.transpose(0, 1).flatten(1).numpy()
    energies, directions = np.linalg.eigh(columns @ columns.T)
    weight = tiny_network.narrow.weight.detach().numpy()[:, :, 0, 0]
    assert weight.shape == (4, 8)
    np.testing.assert_allclose(weight @ weight.T, np.eye(4), atol=1e-5)
    kept = np.linalg.norm(weight.astype(np.float64) @ columns, axis=1) ** 2
    np.testing.assert_allclose(kept, energies[::-1][:4], rtol=1e-3)
    projected = weight.T @ weight
    np.testing.assert_allclose(projected, directions[:, -4:] @ directions[:, -4:].T, atol=5e-3)


def test_a_trunk_of_the_right_width_needs_no_narrowing(tiny_network: FineTag) -> None:
    tiny_network.narrow = nn.Identity()
    fit_narrow(tiny_network, [Picture(Path("is never opened.png"))], seed=0)
    assert isinstance(tiny_network.narrow, nn.Identity)
