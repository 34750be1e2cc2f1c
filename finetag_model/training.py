"""Training of what lies above a layer of the trunk, on kept maps of what lies below it.

With all of the trunk below it only the head is trained; with layer 0, everything. Where the
maps come from is `features`; which pictures are trained on is decided by the caller. A stage can
be stopped after any epoch and gone on with to the same result: nothing random outlives an epoch,
and `StageTraining.state` holds the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from finetag_model.features import Maps
from finetag_model.loss import lsep_loss, presence_loss
from finetag_model.network import AttributeNetwork

EVALUATION_BATCH = 16


@dataclass(frozen=True)
class Stage:
    """One run of training.

    Attributes:
        layer: the trunk's layers from this one on are trained; all of the trunk's layers
            below means that only the head is.
        epochs: passes over the smallest source of pictures.
        trunk_rate: highest learning rate of the trunk's trained layers and the narrow one.
        descriptor_rate: highest learning rate of `AttributeNetwork.descriptor_layers`.
        classify_rate: highest learning rate of the linear layer.
        dropout: of `AttributeNetwork.descriptor`.
        presence_weight: of `presence_loss`, beside the ranking loss; 0 is the paper.
        shift: cells by which the maps are moved at most, each way, their edges repeated.
        crop: smallest share of a picture's sides that is cut out and scaled to the whole; 1
            cuts nothing. Of layer 0 only, whose maps are the pictures.
        ema: decay, each step, of the running average of the weights that the stage ends
            with; 0 ends with the last weights.
        mixed_precision: whether the trunk's trained layers compute in bfloat16, which is twice
            as fast where there are instructions for it; weights and losses stay float32.
        batch: images a step.
        weight_decay: of AdamW.
    """

    layer: int
    epochs: int
    trunk_rate: float = 7e-4
    descriptor_rate: float = 1e-3
    classify_rate: float = 1e-2
    dropout: float = 0.3
    presence_weight: float = 0.0
    shift: int = 0
    crop: float = 1.0
    ema: float = 0.0
    mixed_precision: bool = False
    batch: int = 64
    weight_decay: float = 1e-4


def initialise_head(network: AttributeNetwork, seed: int) -> None:
    """Give the head random weights from which a linear layer on unit vectors learns fast."""
    torch.manual_seed(seed)
    for layer in network.descriptor_layers:
        layer.reset_parameters()
    nn.init.normal_(network.classify.weight, std=0.01)
    nn.init.zeros_(network.classify.bias)


class State(NamedTuple):
    """What a stage that was stopped needs to go on: arrays, and plain JSON values."""

    tensors: Mapping[str, Tensor]
    values: Mapping[str, Any]


class StageTraining:
    """One stage at work: the network, its optimiser, and how many epochs are done.

    Attributes:
        epoch: how many are done.
        steps: of an epoch.
    """

    def __init__(
        self,
        network: AttributeNetwork,
        maps: Maps,
        presence: NDArray[np.float32],
        sources: Sequence[NDArray[np.int64]],
        stage: Stage,
        seed: int,
    ) -> None:
        """Prepare to train the network in place, on the device it is on.

        Args:
            network: its trunk below `stage.layer` is not touched.
            maps: (M, ...), what `network.below(..., stage.layer)` makes of M pictures.
            presence: float32 (M, N), as `lsep_loss` takes it.
            sources: the rows of both to train on, int64, by where they come from. An epoch
                takes as many of each source as the smallest has.
            stage: how.
            seed: of order, flips, shifts, crops and dropout.
        """
        self.network, self.stage, self.epoch = network, stage, 0
        self._maps, self._presence, self._sources, self._seed = maps, presence, sources, seed
        self._share = min(map(len, sources))
        self._batch = min(stage.batch, self._share * len(sources))
        self.steps = self._share * len(sources) // self._batch
        above = network.trunk[stage.layer :]
        groups = [
            *((layer.parameters(), stage.descriptor_rate) for layer in network.descriptor_layers),
            (network.classify.parameters(), stage.classify_rate),
        ]
        if len(above):
            groups += [
                (above.parameters(), stage.trunk_rate),
                (network.narrow.parameters(), stage.trunk_rate),
            ]
        trained = [list(parameters) for parameters, _ in groups]
        network.requires_grad_(False)  # no gradient is worked out for what stays as it is
        for parameter in chain.from_iterable(trained):
            parameter.requires_grad_()
        self._optimizer = torch.optim.AdamW(
            [{"params": parameters} for parameters in trained], weight_decay=stage.weight_decay
        )
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimizer,
            [rate for _, rate in groups],
            total_steps=max(stage.epochs * self.steps, 6),  # of 5, pct_start makes it divide by 0
            pct_start=0.2,
        )
        self._average: AveragedModel | None = None
        if stage.ema:
            average = get_ema_multi_avg_fn(stage.ema)  # type: ignore[no-untyped-call]
            self._average = AveragedModel(network, multi_avg_fn=average)

    def run_epoch(self) -> float:
        """Train for one more epoch; return its mean loss."""
        self.epoch += 1
        # Seeded anew, so that an epoch is the same whether the ones before ran in this process.
        random = np.random.default_rng([self._seed, self.epoch])
        torch.manual_seed(int(random.integers(2**62)))
        total = 0.0
        for rows in self._batches(random):
            maps = varied(self._maps[rows], self.stage, random)
            loss = self._loss(self.network, rows, maps, self.stage.dropout)
            self._optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()
            self._schedule.step()
            if self._average is not None:
                self._average.update_parameters(self.network)
            total += loss.item()
        return total / self.steps

    def loss_of(self, rows: NDArray[np.int64]) -> float:
        """Return the mean loss of rows as they are, without dropout; with the averaged weights."""
        network, total = self._kept(), 0.0
        with torch.inference_mode():
            for start in range(0, len(rows), EVALUATION_BATCH):
                batch = rows[start : start + EVALUATION_BATCH]
                loss = self._loss(network, batch, self._maps[batch], dropout=0)
                total += loss.item() * len(batch)
        return total / len(rows)

    def objective(self, logits: Tensor, presence: Tensor) -> Tensor:
        """Return the loss that is made small, a scalar, of logits and labels (B, N)."""
        loss = lsep_loss(logits, presence)
        if self.stage.presence_weight:
            loss = loss + self.stage.presence_weight * presence_loss(logits, presence)
        return loss

    def finish(self) -> None:
        """Give the network the weights that the stage ends with."""
        kept = self._kept()
        if kept is not self.network:
            self.network.load_state_dict(kept.state_dict())

    def state(self) -> State:
        """Return all that `restore` needs, to be kept before the next epoch."""
        optimizer = self._optimizer.state_dict()
        tensors = {f"network.{name}": x for name, x in self.network.state_dict().items()}
        if self._average is not None:
            average = self._average.state_dict().items()
            tensors |= {f"average.{name}": x for name, x in average}
        for number, moments in optimizer["state"].items():
            tensors |= {f"optimizer.{number}.{name}": x for name, x in moments.items()}
        values = {
            "epoch": self.epoch,
            "groups": optimizer["param_groups"],
            "schedule": {
                name: value
                for name, value in self._schedule.state_dict().items()
                if isinstance(value, int | float | bool | list)
            },
        }
        return State(tensors, values)

    def restore(self, state: State) -> None:
        """Go on from what `state` returned in a process that was stopped."""
        parts: dict[str, dict[str, Tensor]] = {"network": {}, "average": {}, "optimizer": {}}
        for name, tensor in state.tensors.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = tensor
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in parts["optimizer"].items():
            number, _, moment = name.partition(".")
            moments.setdefault(int(number), {})[moment] = tensor
        self.network.load_state_dict(parts["network"])
        if self._average is not None:
            self._average.load_state_dict(parts["average"])
        self._optimizer.load_state_dict({"state": moments, "param_groups": state.values["groups"]})
        self._schedule.load_state_dict(dict(state.values["schedule"]))
        self.epoch = state.values["epoch"]

    def _batches(self, random: np.random.Generator) -> Iterator[NDArray[np.int64]]:
        rows = random.permutation(
            np.concatenate(
                [random.choice(source, self._share, replace=False) for source in self._sources]
            )
        )
        for step in range(self.steps):
            # Ascending rows read a mapped file forwards.
            yield np.sort(rows[step * self._batch : (step + 1) * self._batch])

    def _kept(self) -> AttributeNetwork:
        """Return the network that the stage would end with now."""
        if self._average is None or not self.epoch:
            return self.network
        average = self._average.module
        assert isinstance(average, AttributeNetwork)  # noqa: S101  (a copy of `network`)
        return average

    def _loss(
        self, network: AttributeNetwork, rows: NDArray[np.int64], maps: Maps, dropout: float
    ) -> Tensor:
        stage, device = self.stage, network.classify.weight.device
        x = to_tensor(maps, device)
        if x.shape[2:] != self._maps.shape[2:]:
            x = F.interpolate(x, self._maps.shape[2:], mode="bilinear", antialias=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=stage.mixed_precision):
            features = network.above(x, stage.layer)
        logits = network.classify(network.descriptor(features.float(), dropout))
        return self.objective(logits, torch.from_numpy(self._presence[rows]).to(device))


def apply(
    network: AttributeNetwork, maps: Maps, layer: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the logits (M, N) and descriptors (M, F), of length 1, of kept maps; float32."""
    logits, descriptors = [], []
    device = network.classify.weight.device
    with torch.inference_mode():
        for start in range(0, len(maps), EVALUATION_BATCH):
            x = to_tensor(maps[start : start + EVALUATION_BATCH], device)
            descriptor = network.descriptor(network.above(x, layer))
            descriptors.append(F.normalize(descriptor).cpu().numpy())
            logits.append(network.classify(descriptor).cpu().numpy())
    return np.concatenate(logits), np.concatenate(descriptors)


def varied(maps: Maps, stage: Stage, random: np.random.Generator) -> Maps:
    """Cut or move the maps of a batch, and mirror half of the batches.

    None of that changes an attribute. Colours are attributes: they are left as they are.
    """
    share = random.uniform(stage.crop, 1)
    rows, columns = (
        _part(cells, round(share * cells), stage.shift, random) for cells in maps.shape[2:]
    )
    if random.random() < 0.5:
        columns = columns[::-1]
    # Several times faster than one fancy index over both axes.
    part: Maps = maps.take(rows, axis=2).take(columns, axis=3)
    return part


def _part(cells: int, kept: int, shift: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Return which cells along a side are seen: `kept` in a row, moved by up to `shift`."""
    first = random.integers(0, cells - kept + 1) + random.integers(-shift, shift + 1)
    seen: NDArray[np.int64] = np.clip(np.arange(first, first + kept), 0, cells - 1)
    return seen


def to_tensor(maps: Maps, device: torch.device) -> Tensor:
    """Return kept maps as a network takes them: float32, channels last, on its device."""
    x = torch.from_numpy(np.array(maps)).to(device).float()  # torch wants no read-only memory
    return x.contiguous(memory_format=torch.channels_last)
