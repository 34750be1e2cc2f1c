"""What each choice of the training is worth, several seeds each: heads, labels, losses, averages.

    python benchmarks/ablations.py --data CUB_200_2011 --validation fully_labelled.txt \
        --reference full_labels.txt --trunk-weights mobilenet_v2.safetensors --normalise unit

Only heads are trained, on kept features of a fixed trunk: that is quick enough for many variants
and seeds, and says nothing of what fine-tuning would make of them. Training images are all that
are not listed with --validation, cut to the bird; every variant differs from the base in one thing.
What was not worth keeping is defined in `ablation_variants`, not in the package.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import astuple, replace
from pathlib import Path

import click
import numpy as np
import torch
from ablation_variants import (
    HEADS,
    AsymmetricTraining,
    Mirrored,
    beside_species,
    shuffled_inside,
)
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from tables import figures_table
from torch import nn

from finetag_model.config import NORMALISATIONS, FineTagConfig
from finetag_model.console import Command, data_option, progress_console, validation_option
from finetag_model.cub import CubDataset, read_cub, read_full_labels
from finetag_model.features import Maps, fit_narrow, keep_maps
from finetag_model.metrics import evaluate
from finetag_model.network import AttributeNetwork
from finetag_model.pictures import Picture, cropped
from finetag_model.pretrained import pretrained_network
from finetag_model.recipe import LabelPolicy
from finetag_model.training import Stage, StageTraining, apply, initialise_head, to_tensor
from finetag_model.unknown_labels import count_unknown

Array = NDArray[np.float32]
FOLDS = 5
CHUNK = 64


@click.command(cls=Command)
@data_option
@validation_option
@click.option("--reference", type=click.Path(path_type=Path), required=True)
@click.option("--trunk-weights", type=click.Path(path_type=Path))
@click.option("--normalise", type=click.Choice(list(NORMALISATIONS)), default="imagenet")
@click.option("--input-size", type=click.IntRange(min=64), default=225, show_default=True)
@click.option("--epochs", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--only", multiple=True, help="Names of variants; all.")
def main(
    data: Path,
    validation: Path | None,
    reference: Path,
    trunk_weights: Path | None,
    normalise: str,
    input_size: int,
    epochs: int,
    seeds: int,
    only: tuple[str, ...],
) -> None:
    """Train each variant with each seed and print mean and spread of its metrics."""
    cub = read_cub(data)
    mean, std = NORMALISATIONS[normalise]
    config = FineTagConfig(len(cub.vocabulary), input_size=input_size, mean=mean, std=std)
    network = pretrained_network(config, trunk_weights, "convolutions", seed=0)
    with tempfile.TemporaryDirectory() as folder:
        lab = Laboratory(cub, cub.validation(validation), network, Path(folder), epochs)
        chosen = variants(lab, read_full_labels(reference, len(cub.vocabulary)))
        names = [name for name in chosen if not only or name in only]
        table = figures_table(
            f"{len(lab.train):,} photographs to train on, {len(lab.measured)} to measure on, "
            f"{input_size} px, {epochs} epochs of the head; mean of {seeds} seeds (deviation)",
            ["variant", "W_MAP", "AVGPREC", "macro mAP"],
        )
        console = progress_console()
        for name in track(names, "Training", console=console, transient=True):
            figures = np.array([chosen[name](seed) for seed in range(seeds)])
            cells = zip(figures.mean(axis=0), figures.std(axis=0), strict=True)
            table.add_row(name, *(f"{mean:.4f} ({spread:.4f})" for mean, spread in cells))
            console.print(f"{name}: {figures.mean(axis=0).round(4)}", highlight=False)
        Console().print(table)


class Laboratory:
    """Kept features of all photographs, and how a head is trained and measured on them.

    Attributes:
        train, measured: rows of `cub`, int64.
    """

    def __init__(
        self,
        cub: CubDataset,
        validation: NDArray[np.bool_],
        network: AttributeNetwork,
        folder: Path,
        epochs: int,
    ) -> None:
        self.cub = cub
        self.train, self.measured = np.flatnonzero(~validation), np.flatnonzero(validation)
        self.base = Stage(layer=len(network.trunk), epochs=epochs, dropout=0.3, presence_weight=0.1)
        self._network, self._folder = network, folder
        crops = [cropped(cub, row) for row in [*self.train.tolist(), *self.measured.tolist()]]
        fit_narrow(network, crops[: len(self.train)], seed=0)
        self._maps = self._keep("plain", crops)
        self._mirrored = self._keep(
            "mirrored", [Mirrored(crop.path, crop.box) for crop in crops[len(self.train) :]]
        )

    def _keep(self, name: str, pictures: list[Picture]) -> Maps:
        """Return the maps that heads take, narrowed once and for all; float16, mapped."""
        path = self._folder / f"{name}.npy"
        wide = keep_maps(self._network, self.base.layer, pictures, path, progress_console().print)
        shape = (len(wide), self._network.config.width, *wide.shape[2:])
        narrowed = np.lib.format.open_memmap(
            self._folder / f"{name}-narrow.npy", "w+", np.float16, shape
        )
        with torch.inference_mode():
            for start in range(0, len(wide), CHUNK):
                x = to_tensor(wide[start : start + CHUNK], torch.device("cpu"))
                narrowed[start : start + CHUNK] = self._network.narrow(x).numpy()
        return narrowed

    def fit(
        self,
        labels: Array,
        seed: int,
        *,
        head: str = "bilinear",
        stage: Stage | None = None,
        training: type[StageTraining] = StageTraining,
        rows: NDArray[np.int64] | None = None,
    ) -> AttributeNetwork:
        """Train a head on the maps of `rows`, by default of all training photographs.

        Args:
            labels: float32 (all photographs in the order of the maps, outputs of the head).
            seed: of weights and batches.
            head: a key of `HEADS`.
            stage: how; the base.
            training: whose objective is made small.
            rows: of the maps.
        """
        network = HEADS[head](replace(self._network.config, attributes=labels.shape[1]))
        network.trunk, network.narrow = self._network.trunk, nn.Identity()
        initialise_head(network, seed)
        sources = [np.arange(len(self.train)) if rows is None else rows]
        work = training(network, self._maps, labels, sources, stage or self.base, seed)
        for _ in range(work.stage.epochs):
            work.run_epoch()
        work.finish()
        return network

    def logits(self, network: AttributeNetwork, *, of: str = "measured") -> Array:
        """Return the logits of photographs: `measured`, `mirrored` or `train`ed on."""
        cut = len(self.train)
        maps = {
            "train": self._maps[:cut],
            "measured": self._maps[cut:],
            "mirrored": self._mirrored,
        }[of]
        return apply(network, maps, self.base.layer)[0]

    def measure(self, logits: Array, presence: Array | None = None) -> tuple[float, float, float]:
        """Return W_MAP, AVGPREC and macro mAP of the measured photographs."""
        labels = self.cub.presence[self.measured] if presence is None else presence
        return astuple(evaluate(logits, labels))


Variant = Callable[[int], tuple[float, float, float]]


def variants(lab: Laboratory, reference: Array) -> dict[str, Variant]:
    """Return by name what trains and measures a variant with a seed."""
    cub, base = lab.cub, lab.base
    policy = LabelPolicy("conditional", reference)

    def padded(trained_on: Array) -> Array:
        # Rows past the training photographs are only there to keep the order of the maps.
        return np.concatenate([trained_on, cub.presence[lab.measured]])

    def labels(of: LabelPolicy) -> Array:
        return padded(of.apply(cub, lab.train))

    filled = policy.fill(cub, lab.train)
    known = padded(filled)

    def shared(share: float) -> Array:
        return padded(replace(policy, species_share=share).blend(filled, cub, lab.train))

    def plain(seed: int, **different: object) -> tuple[float, float, float]:
        return lab.measure(lab.logits(lab.fit(known, seed, **different)))  # type: ignore[arg-type]

    def with_labels(given: Array) -> Variant:
        return lambda seed: lab.measure(lab.logits(lab.fit(given, seed)))

    def mirrored(seed: int) -> tuple[float, float, float]:
        network = lab.fit(known, seed)
        both = lab.logits(network) + lab.logits(network, of="mirrored")
        return lab.measure(both / 2)

    def distilled(seed: int) -> tuple[float, float, float]:
        teachers = [lab.logits(lab.fit(known, 100 + 3 * seed + i), of="train") for i in range(3)]
        probability = 1 / (1 + np.exp(-np.mean(teachers, axis=0)))
        taught = padded((known[: len(lab.train)] + probability) / 2)
        return lab.measure(lab.logits(lab.fit(taught, seed)))

    def with_species(seed: int) -> tuple[float, float, float]:
        of = cub.class_ids[np.concatenate([lab.train, lab.measured])]
        species = np.unique(of)
        both = np.concatenate([known, (of[:, None] == species).astype(np.float32)], axis=1)
        network = lab.fit(both, seed, training=beside_species(len(species)))
        return lab.measure(lab.logits(network)[:, : known.shape[1]])

    def shuffled(seed: int) -> tuple[float, float, float]:
        order = shuffled_inside(cub.class_ids[lab.train], seed)
        return lab.measure(lab.logits(lab.fit(padded(known[order]), seed)))

    def of_others(seed: int) -> tuple[float, float, float]:
        order = shuffled_inside(cub.class_ids[lab.measured], seed)
        return lab.measure(lab.logits(lab.fit(known, seed)), cub.presence[lab.measured][order])

    def of_species(seed: int) -> tuple[float, float, float]:
        kind = cub.class_ids
        means = {
            each: known[: len(lab.train)][kind[lab.train] == each].mean(axis=0)
            for each in np.unique(kind[lab.measured])
        }
        return lab.measure(np.stack([means[each] for each in kind[lab.measured]]))

    def folds(certainty: bool) -> Variant:
        own = known.copy()
        if certainty:
            softened = LabelPolicy(certainty=True).apply(cub, lab.measured)
            own[len(lab.train) :] = softened
        return lambda seed: _cross_validated(lab, own, seed)

    return {
        "base: bilinear, LSEP + 0.1 cross-entropy, conditional": plain,
        "head: pooled + linear": lambda seed: plain(seed, head="pooled"),
        "head: fully connected 2 x 512 (VGG16+rank)": lambda seed: plain(
            seed, head="rank", stage=replace(base, classify_rate=1e-3, descriptor_rate=3e-4)
        ),
        "head: iSQRT-COV, 128 channels": lambda seed: plain(seed, head="isqrt"),
        "head: attention by group": lambda seed: plain(seed, head="groups"),
        "unknown labels: ignored": with_labels(labels(LabelPolicy())),
        "unknown labels: negative": with_labels(labels(LabelPolicy("negative"))),
        "unknown labels: counted beside the highest": with_labels(
            padded(count_unknown(cub.presence[lab.train], reference, cub.vocabulary))
        ),
        "loss: LSEP alone (the paper)": lambda seed: plain(
            seed, stage=replace(base, presence_weight=0)
        ),
        "loss: LSEP + cross-entropy": lambda seed: plain(
            seed, stage=replace(base, presence_weight=1)
        ),
        "loss: ASL": lambda seed: plain(seed, training=AsymmetricTraining),
        "labels: species' mean, half": with_labels(shared(0.5)),
        "labels: species' mean, all": with_labels(shared(1)),
        "labels: half of three teachers": distilled,
        "auxiliary species head": with_species,
        "EMA 0.99": lambda seed: plain(seed, stage=replace(base, ema=0.99)),
        "mean with the mirrored picture": mirrored,
        "control: knowing the species, its mean labels": of_species,
        "control: trained on labels shuffled inside species": shuffled,
        "control: measured on labels shuffled inside species": of_others,
        f"{FOLDS} folds of the measured alone, labels as they are": folds(certainty=False),
        f"{FOLDS} folds of the measured alone, by certainty": folds(certainty=True),
    }


def _cross_validated(lab: Laboratory, labels: Array, seed: int) -> tuple[float, float, float]:
    """Train on four fifths of the measured photographs, whose certainties are known."""
    fold = np.random.default_rng(seed).permutation(len(lab.measured)) % FOLDS
    logits = np.empty((len(lab.measured), labels.shape[1]), dtype=np.float32)
    # As many steps as with all photographs would take hours; this few pictures need fewer.
    stage = replace(lab.base, epochs=20)
    for number in range(FOLDS):
        rows = len(lab.train) + np.flatnonzero(fold != number)
        network = lab.fit(labels, seed, stage=stage, rows=rows)
        logits[fold == number] = lab.logits(network)[fold == number]
    return lab.measure(logits)


if __name__ == "__main__":
    main()
