from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from finetag_model.features import Maps
from finetag_model.loss import lsep_loss
from finetag_model.network import AttributeNetwork, FineTag, Vgg16Rank
from finetag_model.training import Stage, StageTraining, apply, initialise_head, varied

IMAGES = 90
HEAD = Stage(layer=4, epochs=6, classify_rate=0.2, batch=16)
ALL = Stage(layer=0, epochs=2, batch=16)


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    """Plain pictures; image i has the colour i % 3 above and i // 3 % 3 below."""
    random = np.random.default_rng(0)
    colors = np.array([[220, 40, 40], [40, 220, 40], [40, 40, 220]])
    i = np.arange(IMAGES)
    halves = np.stack([colors[i % 3], colors[i // 3 % 3]], axis=1)
    images = halves.repeat(8, axis=1)[:, :, None].repeat(16, axis=2)
    return (images + random.integers(-30, 30, images.shape)).astype(np.uint8)


@pytest.fixture(scope="module")
def presence() -> NDArray[np.float32]:
    i = np.arange(IMAGES)[:, None]
    labels = np.concatenate([i % 3 == range(3), i // 3 % 3 == range(3)], axis=1).astype(np.float32)
    labels[::7, 3:] = np.nan
    return labels


@pytest.fixture
def network(tiny_network: FineTag) -> FineTag:
    initialise_head(tiny_network, seed=0)
    return tiny_network


def maps_below(network: AttributeNetwork, layer: int, pixels: NDArray[np.uint8]) -> Maps:
    with torch.inference_mode():
        maps = network.below(torch.from_numpy(pixels), layer).numpy()
    return maps.astype(np.float16) if layer else maps


def prepared(
    network: AttributeNetwork,
    stage: Stage,
    pixels: NDArray[np.uint8],
    presence: NDArray[np.float32],
    sources: list[NDArray[np.int64]] | None = None,
    seed: int = 0,
) -> StageTraining:
    rows = [np.arange(IMAGES)] if sources is None else sources
    return StageTraining(
        network, maps_below(network, stage.layer, pixels), presence, rows, stage, seed
    )


def train(
    network: AttributeNetwork,
    stage: Stage,
    pixels: NDArray[np.uint8],
    presence: NDArray[np.float32],
    sources: list[NDArray[np.int64]] | None = None,
    seed: int = 0,
) -> list[float]:
    """Train all epochs of a stage in place; return the loss of each."""
    training = prepared(network, stage, pixels, presence, sources, seed)
    losses = [training.run_epoch() for _ in range(stage.epochs)]
    training.finish()
    return losses


def changed(before: AttributeNetwork, after: AttributeNetwork) -> set[str]:
    """Return the parts of the network that have other weights than before."""
    old, new = before.state_dict(), after.state_dict()
    return {name.rpartition(".")[0] for name in old if not torch.equal(old[name], new[name])}


def test_the_head_learns_and_the_rest_stays(
    network: FineTag, pixels: NDArray[np.uint8], presence: NDArray[np.float32]
) -> None:
    before = copy.deepcopy(network)
    losses = train(network, HEAD, pixels, presence)
    assert losses[-1] < 0.8 * losses[0]
    assert changed(before, network) == {"reduce", "classify"}


@pytest.mark.parametrize(
    ("layer", "parts"), [(0, {"trunk.0", "trunk.2"}), (1, {"trunk.2"}), (2, {"trunk.2"})]
)
def test_the_layers_from_one_on_are_trained(
    network: FineTag,
    pixels: NDArray[np.uint8],
    presence: NDArray[np.float32],
    layer: int,
    parts: set[str],
) -> None:
    before = copy.deepcopy(network)
    train(network, replace(ALL, layer=layer), pixels, presence)
    assert changed(before, network) == {"reduce", "classify", "narrow"} | parts


def test_the_rival_learns_end_to_end(
    tiny_rival: Vgg16Rank, pixels: NDArray[np.uint8], presence: NDArray[np.float32]
) -> None:
    before = copy.deepcopy(tiny_rival)
    losses = train(tiny_rival, replace(ALL, epochs=12, trunk_rate=3e-3), pixels, presence)
    assert changed(before, tiny_rival) == {"trunk.0", "trunk.2", "narrow", "fc6", "fc7", "classify"}
    assert losses[-1] < losses[0]


def test_a_seed_always_gives_the_same_network(
    network: FineTag, pixels: NDArray[np.uint8], presence: NDArray[np.float32]
) -> None:
    copies = [copy.deepcopy(network) for _ in range(3)]
    for each, seed in zip(copies, (1, 1, 2), strict=True):
        train(each, ALL, pixels, presence, seed=seed)
    assert not changed(copies[0], copies[1])
    assert changed(copies[0], copies[2])


def test_only_the_rows_given_are_trained_on(
    network: FineTag, pixels: NDArray[np.uint8], presence: NDArray[np.float32]
) -> None:
    rows = np.arange(0, IMAGES, 2)
    other = copy.deepcopy(network)
    spoiled = presence.copy()
    spoiled[1::2] = 1 - spoiled[1::2]
    train(network, HEAD, pixels, presence, [rows])
    train(other, HEAD, pixels, spoiled, [rows])
    assert not changed(network, other)


def test_an_epoch_takes_equally_many_of_each_source(
    network: FineTag,
    pixels: NDArray[np.uint8],
    presence: NDArray[np.float32],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[NDArray[np.float32]] = []

    def watch(logits: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
        seen.append(batch.numpy())
        return lsep_loss(logits, batch)

    monkeypatch.setattr("finetag_model.training.lsep_loss", watch)
    marked = presence.copy()
    marked[:, 0] = np.arange(IMAGES) < 12  # tells the two sources apart
    sources = [np.arange(12), np.arange(12, IMAGES)]
    train(network, replace(HEAD, epochs=3, batch=8), pixels, marked, sources)
    epochs = np.concatenate(seen).reshape(3, 24, -1)
    assert (epochs[:, :, 0].sum(axis=1) == 12).all()


@pytest.mark.parametrize("epochs", [1, 2, 5, 6])
def test_a_few_pictures_make_one_small_batch(
    network: FineTag, pixels: NDArray[np.uint8], presence: NDArray[np.float32], epochs: int
) -> None:
    stage = Stage(layer=4, epochs=epochs, batch=64)
    losses = train(network, stage, pixels, presence, [np.arange(7)])
    assert len(losses) == epochs
    assert np.isfinite(losses).all()


def test_maps_are_moved_and_mirrored_with_their_edges_repeated(
    network: FineTag,
    pixels: NDArray[np.uint8],
    presence: NDArray[np.float32],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[torch.Tensor] = []
    above = network.above
    monkeypatch.setattr(network, "above", lambda x, layer: (seen.append(x), above(x, layer))[1])
    train(network, replace(ALL, epochs=12, batch=1, shift=1), pixels[:1], presence, [np.arange(1)])
    (maps,) = maps_below(network, 0, pixels[:1]).astype(np.float32)
    padded = np.pad(maps, ((0, 0), (1, 1), (1, 1)), mode="edge")
    height, width = maps.shape[1:]
    allowed = [
        padded[:, y : y + height, x : x + width][:, :, ::step]
        for y in range(3)
        for x in range(3)
        for step in (1, -1)
    ]
    found = [[np.array_equal(one, x[0].numpy()) for one in allowed] for x in seen]
    assert len(seen) == 12
    assert all(map(any, found))
    assert len({each.index(True) for each in found}) > 4


def test_mixed_precision_trains_nearly_the_same_network_in_float32(
    network: FineTag, pixels: NDArray[np.uint8], presence: NDArray[np.float32]
) -> None:
    full, mixed = network, copy.deepcopy(network)
    losses = [
        train(trained, replace(ALL, epochs=4, mixed_precision=precision), pixels, presence)[-1]
        for trained, precision in ((full, False), (mixed, True))
    ]
    assert losses[0] == pytest.approx(losses[1], rel=0.05)
    assert changed(full, mixed)
    assert all(tensor.dtype == torch.float32 for tensor in mixed.state_dict().values())


@pytest.mark.parametrize("ema", [0.0, 0.9])
@pytest.mark.parametrize("stopped_after", [1, 3, 4])
def test_a_stage_that_was_stopped_goes_on_to_the_same_network(
    network: FineTag,
    pixels: NDArray[np.uint8],
    presence: NDArray[np.float32],
    ema: float,
    stopped_after: int,
) -> None:
    stage = replace(ALL, epochs=4, shift=1, crop=0.7, ema=ema)
    at_once, stopped, resumed = network, copy.deepcopy(network), copy.deepcopy(network)
    train(at_once, stage, pixels, presence, seed=5)
    first = prepared(stopped, stage, pixels, presence, seed=5)
    for _ in range(stopped_after):
        first.run_epoch()
    second = prepared(resumed, stage, pixels, presence, seed=5)
    second.restore(first.state())
    assert second.epoch == stopped_after
    while second.epoch < stage.epochs:
        second.run_epoch()
    second.finish()
    assert not changed(at_once, resumed)
    assert changed(at_once, stopped) or (stopped_after == 4 and not ema)


def test_ema_keeps_the_mean_of_the_weights_along_the_way(
    network: FineTag, pixels: NDArray[np.uint8], presence: NDArray[np.float32]
) -> None:
    stage = replace(ALL, epochs=1, batch=45, ema=0.75)  # two steps
    weights: list[torch.Tensor] = []
    training = prepared(network, stage, pixels, presence)
    training._optimizer.register_step_post_hook(
        lambda *_: weights.append(network.classify.weight.detach().clone())
    )
    training.run_epoch()
    first, second = weights
    training.finish()
    # The average begins with the weights after the first step.
    torch.testing.assert_close(network.classify.weight.detach(), 0.75 * first + 0.25 * second)


def test_the_held_out_loss_is_that_of_the_pictures_as_they_are(
    network: FineTag, pixels: NDArray[np.uint8], presence: NDArray[np.float32]
) -> None:
    training = prepared(network, replace(ALL, shift=1, crop=0.5, dropout=0.5), pixels, presence)
    rows = np.arange(3, 40)
    logits, _ = apply(network, maps_below(network, 0, pixels[rows]), 0)
    expected = lsep_loss(torch.from_numpy(logits), torch.from_numpy(presence[rows]))
    assert training.loss_of(rows) == pytest.approx(expected.item(), rel=1e-5)


def test_a_crop_is_a_part_of_the_picture_of_at_least_its_share() -> None:
    grid = np.arange(20 * 20, dtype=np.uint8).reshape(1, 1, 20, 20) % 251
    random = np.random.default_rng(0)
    stage = replace(ALL, crop=0.6)
    sizes = set()
    for _ in range(60):
        part = varied(grid, stage, random)
        height, width = part.shape[2:]
        sizes.add(height)
        assert height == width >= 12
        mirrored = part[..., ::-1]
        windows = np.lib.stride_tricks.sliding_window_view(grid[0, 0], (height, width))
        assert any((windows == one[0, 0]).all((2, 3)).any() for one in (part, mirrored))
    assert {12, 20} < sizes


def test_unknown_and_single_sided_labels_do_no_harm(
    network: FineTag, pixels: NDArray[np.uint8], presence: NDArray[np.float32]
) -> None:
    labels = presence.copy()
    labels[:30] = np.nan
    labels[30:40] = 1
    train(network, ALL, pixels, labels)
    assert all(tensor.isfinite().all() for tensor in network.state_dict().values())


def test_cross_entropy_makes_logits_comparable_across_images(
    network: FineTag, pixels: NDArray[np.uint8], presence: NDArray[np.float32]
) -> None:
    ranking, both = network, copy.deepcopy(network)
    train(ranking, HEAD, pixels, presence)
    train(both, replace(HEAD, presence_weight=1.0), pixels, presence)
    maps = maps_below(network, 4, pixels)

    def mean_logit(trained: FineTag) -> float:
        return float(apply(trained, maps, 4)[0].mean())

    # Two of six labels are present: cross-entropy moves the logits down, a ranking does not care.
    assert mean_logit(both) < mean_logit(ranking) - 0.1


def test_apply_is_the_network(network: FineTag, pixels: NDArray[np.uint8]) -> None:
    with torch.inference_mode():
        bilinear = network.descriptor(network.features(torch.from_numpy(pixels))).numpy()
        logits = network(torch.from_numpy(pixels)).numpy()
    for layer in (0, 2, 4):
        got_logits, got_bilinear = apply(network, maps_below(network, layer, pixels), layer)
        assert got_logits.dtype == got_bilinear.dtype == np.float32
        np.testing.assert_allclose(got_bilinear, bilinear, atol=5e-3)
        np.testing.assert_allclose(got_logits, logits, atol=5e-3)


def test_a_new_head_is_small_and_comes_from_its_seed(tiny_network: FineTag) -> None:
    heads = []
    for seed in (3, 3, 4):
        initialise_head(tiny_network, seed)
        heads.append(copy.deepcopy(tiny_network))
    assert not changed(heads[0], heads[1])
    assert changed(heads[0], heads[2]) == {"reduce", "classify"}
    assert heads[0].classify.weight.abs().max() < 0.1
    assert not heads[0].classify.bias.any()
