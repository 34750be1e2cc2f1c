from __future__ import annotations

import pytest
import torch

from finetag_model.config import FineTagConfig
from finetag_model.errors import CheckpointError
from finetag_model.network import FineTag


@pytest.fixture(scope="module")
def paper() -> FineTag:
    return FineTag(FineTagConfig(attributes=312, trunk="vgg16")).eval()


def parameters(*modules: torch.nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


def test_parameters_are_those_of_the_paper(paper: FineTag) -> None:
    assert parameters(paper.reduce, paper.classify) == 3_205_452
    assert parameters(paper.trunk) == 14_714_688
    assert parameters(paper.narrow) == 0


def test_the_vgg16_trunk_ends_before_pool5_in_a_relu(paper: FineTag) -> None:
    with torch.inference_mode():
        maps = paper.below(torch.randint(0, 255, (1, 224, 224, 3), dtype=torch.uint8))
    assert maps.shape == (1, 512, 14, 14)
    assert maps.min() == 0


def test_pooling_is_the_mean_outer_product_over_locations(tiny_network: FineTag) -> None:
    network = tiny_network.double()
    x = torch.randn(2, 4, 3, 5, dtype=torch.float64)
    with torch.no_grad():
        r = network.reduce(x)
        naive = torch.zeros(2, 4, 2, dtype=torch.float64)
        for image in range(2):
            for i in range(3):
                for j in range(5):
                    naive[image] += torch.outer(x[image, :, i, j], r[image, :, i, j]) / 15
        rooted = naive.flatten(1).sign() * naive.flatten(1).abs().sqrt()
        want = rooted / rooted.norm(dim=1, keepdim=True)
        torch.testing.assert_close(network.bilinear(x), want, atol=1e-4, rtol=1e-4)


def test_below_and_above_any_layer_make_the_whole(tiny_network: FineTag) -> None:
    pixels = torch.randint(0, 255, (2, 16, 16, 3), dtype=torch.uint8)
    with torch.inference_mode():
        want = tiny_network(pixels)
        assert want.shape == (2, 6)
        for layer in range(len(tiny_network.trunk) + 1):
            features = tiny_network.above(tiny_network.below(pixels, layer), layer)
            torch.testing.assert_close(tiny_network.head(features), want)


def test_pixels_are_normalised_as_configured() -> None:
    config = FineTagConfig(1, input_size=32, mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 1.0))
    network = FineTag(config)
    white = torch.full((1, 32, 32, 3), 255, dtype=torch.uint8)
    assert network.below(white, 0).amin(dim=(0, 2, 3)).tolist() == [1, 3, 1]


def test_an_empty_map_has_a_finite_gradient(tiny_network: FineTag) -> None:
    x = torch.zeros(1, 4, 2, 2, requires_grad=True)
    tiny_network.bilinear(x).sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_an_unknown_trunk_is_refused() -> None:
    with pytest.raises(CheckpointError, match="known: mobilenet_v2, vgg16"):
        FineTag(FineTagConfig(1, trunk="resnet"))
