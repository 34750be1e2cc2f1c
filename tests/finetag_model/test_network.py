from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from finetag_model.config import NORMALISATIONS, FineTagConfig
from finetag_model.errors import CheckpointError
from finetag_model.network import FineTag, Vgg16Rank, new_network, signed_sqrt


@pytest.fixture(scope="module")
def paper() -> FineTag:
    """The network of the paper: its shapes, without the memory and the time of its numbers."""
    with torch.device("meta"):
        return FineTag(FineTagConfig(attributes=312, trunk="vgg16"))


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    random = np.random.default_rng(0)
    return torch.from_numpy(random.integers(0, 256, (3, 16, 16, 3), dtype=np.uint8))


def parameters(*modules: torch.nn.Module) -> int:
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def test_parameters_are_those_of_the_paper(paper: FineTag) -> None:
    head = (512 * 20 + 20) + (10_240 * 312 + 312)
    assert head == 3_205_452
    assert parameters(paper.reduce, paper.classify) == head
    assert parameters(paper.narrow) == 0
    assert parameters(paper.trunk) == 14_714_688
    assert parameters(paper) == 17_920_140


def test_shapes_are_those_of_the_paper(paper: FineTag) -> None:
    photographs = torch.zeros(2, 224, 224, 3, dtype=torch.uint8, device="meta")
    features = paper.features(photographs)
    assert features.shape == (2, 512, 14, 14)
    assert paper.descriptor(features).shape == (2, 10_240)
    assert paper(photographs).shape == (2, 312)


def test_every_trunk_gives_the_bilinear_feature_its_size() -> None:
    with torch.device("meta"):
        network = FineTag(FineTagConfig(attributes=312, trunk="mobilenet_v2"))
        photographs = torch.zeros(1, 224, 224, 3, dtype=torch.uint8)
    assert network.narrow.weight.shape == (512, 1280, 1, 1)
    assert network.descriptor(network.features(photographs)).shape == (1, 10_240)


def test_the_rival_is_vgg16_with_its_fully_connected_layers() -> None:
    with torch.device("meta"):
        rival = new_network(FineTagConfig(attributes=312, trunk="vgg16", head="rank"))
        photographs = torch.zeros(2, 448, 448, 3, dtype=torch.uint8)
    head = (25_088 * 4096 + 4096) + (4096 * 4096 + 4096) + (4096 * 312 + 312)
    assert head == 120_824_120
    assert parameters(*rival.descriptor_layers, rival.classify) == head
    assert parameters(rival) == 135_538_808
    assert rival.descriptor(rival.features(photographs)).shape == (2, 4096)
    assert rival(photographs).shape == (2, 312)


@pytest.mark.parametrize("side", [4, 14, 21])
def test_the_rivals_descriptor_is_fc7_of_torchvision(tiny_rival: Vgg16Rank, side: int) -> None:
    features = torch.randn(2, 4, side, side, generator=torch.Generator().manual_seed(0))
    fc6, fc7 = tiny_rival.descriptor_layers
    vgg16 = nn.Sequential(
        *(nn.MaxPool2d(2, 2), nn.AdaptiveAvgPool2d((7, 7)), nn.Flatten()),
        *(fc6, nn.ReLU(), nn.Dropout(), fc7, nn.ReLU()),
    ).eval()
    descriptor = tiny_rival.descriptor(features)
    torch.testing.assert_close(descriptor, vgg16(features))
    torch.testing.assert_close(tiny_rival.head(features), tiny_rival.classify(descriptor))


def test_dropout_leaves_out_a_share_of_the_descriptor(
    tiny_network: FineTag, tiny_rival: Vgg16Rank
) -> None:
    features = torch.rand(50, 4, 14, 14, generator=torch.Generator().manual_seed(0))
    for network in (tiny_network, tiny_rival):
        torch.manual_seed(0)
        whole, part = network.descriptor(features), network.descriptor(features, 0.5)
        left_out = (part == 0)[whole > 0].float().mean().item()
        assert left_out == pytest.approx(0.5, abs=0.1)


def test_an_unknown_head_is_refused() -> None:
    config = FineTagConfig(1, head="linear")  # type: ignore[arg-type]  # as a file may hold it
    with pytest.raises(CheckpointError, match="unknown head 'linear'; known: bilinear, rank"):
        new_network(config)


def test_an_unknown_trunk_is_refused() -> None:
    with pytest.raises(CheckpointError, match="unknown trunk 'resnet'; known: mobilenet_v2, vgg16"):
        FineTag(FineTagConfig(1, trunk="resnet"))


def test_pooling_is_the_mean_outer_product_over_locations(tiny_network: FineTag) -> None:
    network = tiny_network.double()
    features = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 4, 5, 3)))
    weight = network.reduce.weight.detach().numpy()[:, :, 0, 0]
    bias = network.reduce.bias.detach().numpy()
    result = network.descriptor(features).detach().numpy()
    for image, row in zip(features.numpy(), result, strict=True):
        pooled = np.zeros((4, 2))
        for y in range(5):
            for x in range(3):
                location = image[:, y, x]
                pooled += np.outer(location, weight @ location + bias)
        pooled = pooled.ravel() / (5 * 3)
        rooted = np.sign(pooled) * np.sqrt(np.abs(pooled))
        np.testing.assert_allclose(row, rooted / np.linalg.norm(rooted), atol=1e-8)


def test_pooling_knows_no_places(tiny_network: FineTag) -> None:
    features = torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    turned = features.flatten(2).flip(2).view(1, 4, 4, 4)
    torch.testing.assert_close(tiny_network.descriptor(turned), tiny_network.descriptor(features))


def test_the_whole_is_its_parts(tiny_network: FineTag, pixels: torch.Tensor) -> None:
    features = tiny_network.features(pixels)
    assert features.shape == (3, 4, 4, 4)
    bilinear = tiny_network.descriptor(features)
    assert bilinear.shape == (3, 8)
    torch.testing.assert_close(bilinear.norm(dim=1), torch.ones(3))
    logits = tiny_network(pixels)
    assert logits.shape == (3, 6)
    torch.testing.assert_close(logits, tiny_network.head(features))
    torch.testing.assert_close(logits, tiny_network.classify(bilinear))


@pytest.mark.parametrize("layer", range(5))
def test_below_and_above_any_layer_make_the_whole(
    tiny_network: FineTag, pixels: torch.Tensor, layer: int
) -> None:
    maps = tiny_network.below(pixels, layer)
    torch.testing.assert_close(
        tiny_network.above(maps, layer), tiny_network.features(pixels), rtol=0, atol=0
    )


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_pixels_are_normalised_channel_by_channel(
    tiny_trunk: str, pixels: torch.Tensor, normalisation: str
) -> None:
    mean, std = NORMALISATIONS[normalisation]
    network = FineTag(FineTagConfig(6, tiny_trunk, 4, 2, 16, mean, std))
    expected = (pixels.numpy() / 255 - np.array(mean)) / np.array(std)
    seen: list[torch.Tensor] = []
    network.trunk[0].register_forward_pre_hook(lambda _, inputs: seen.extend(inputs))
    network.features(pixels)
    network.above(network.below(pixels, 0), 0)
    assert len(seen) == 2
    for images in seen:
        np.testing.assert_allclose(
            images.numpy(), expected.transpose(0, 3, 1, 2), rtol=1e-4, atol=1e-5
        )


def test_normalisation_is_no_part_of_the_weights(tiny_network: FineTag) -> None:
    assert not {"mean", "std"} & set(tiny_network.state_dict())


def test_the_signed_root_keeps_its_gradient_finite() -> None:
    x = torch.tensor([-4.0, 0.0, 1e-12, 9.0], dtype=torch.float64, requires_grad=True)
    y = signed_sqrt(x)
    np.testing.assert_allclose(y.detach().numpy(), [-2, 0, 0, 3], atol=2e-5)
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert (x.grad >= 0).all()


def test_an_empty_map_has_a_finite_gradient(tiny_network: FineTag) -> None:
    features = torch.zeros(1, 4, 2, 2, requires_grad=True)
    tiny_network.head(features).sum().backward()
    assert features.grad is not None
    assert features.grad.isfinite().all()
