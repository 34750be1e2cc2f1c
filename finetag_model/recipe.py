"""From annotated pictures to a checkpoint: what is trained on, held out and calibrated with.

`cli_train` parses the options and calls `train`; the steps themselves live in their modules.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import numpy as np
import torch
from numpy.typing import NDArray

from finetag_model.annotations import read_annotations
from finetag_model.calibration import Calibration
from finetag_model.cub import CubDataset
from finetag_model.errors import DataError
from finetag_model.features import fit_narrow, keep_maps
from finetag_model.images import image_size
from finetag_model.labels import Unknown, share_among_species, soften
from finetag_model.network import AttributeNetwork
from finetag_model.pictures import Picture, cropped
from finetag_model.platt import fit_calibration
from finetag_model.projection import Projection, fit_projection
from finetag_model.run_folder import Epoch, RunFolder
from finetag_model.training import Stage, StageTraining, apply
from finetag_model.unknown_labels import estimate_unknown
from finetag_model.vocabulary import Vocabulary

VISUAL_DIM = 256
"""The usual length of the visual vectors; `benchmarks/lookalikes.py` compares it with others."""

WHOLE_SHARE = 0.8
"""A box that covers less than this share of its photograph gives a second, whole picture."""


@dataclass(frozen=True)
class TrainingSet:
    """Pictures and their labels, of one source.

    Attributes:
        pictures: M of them.
        presence: float32 (M, N), probability that the attribute is present, NaN unknown; what
            is trained on.
        recorded: the same before it was softened or shared; what scores are calibrated to.
        subjects: int64 (M,); pictures of one subject are held out together. Photographs of
            CUB have their ids from 1, pictures of annotated folders -1, -2, ..., the same
            one the same in all of them.
    """

    pictures: Sequence[Picture]
    presence: NDArray[np.float32]
    recorded: NDArray[np.float32]
    subjects: NDArray[np.int64]


@dataclass(frozen=True)
class LabelPolicy:
    """What the labels of photographs are taken for.

    Attributes:
        unknown: what an unknown label is; `conditional` needs `reference`.
        reference: float32 (K, N), full labels of images that are not trained on, or None.
        certainty: whether a label counts as right with the probability that its annotator's
            certainty stands for.
        species_share: share of each label that is the mean over its species.
    """

    unknown: Unknown = "ignored"
    reference: NDArray[np.float32] | None = None
    certainty: bool = False
    species_share: float = 0.0

    def fill(self, cub: CubDataset, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the labels of some images as recorded, unknown ones as they are taken for."""
        presence = cub.presence[rows]
        if self.unknown == "conditional":
            assert self.reference is not None  # noqa: S101  (the command has seen to it)
            return estimate_unknown(presence, self.reference, cub.vocabulary)
        return np.nan_to_num(presence) if self.unknown == "negative" else presence

    def blend(
        self, filled: NDArray[np.float32], cub: CubDataset, rows: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Return what to train on of labels that `fill` gave, softened and shared."""
        if self.certainty:
            presence = cub.presence[rows]
            softened = soften(presence, cub.certainty[rows])
            filled = np.where(np.isnan(presence), filled, softened)
        if self.species_share:
            filled = share_among_species(filled, cub.class_ids[rows], self.species_share)
        return filled

    def apply(self, cub: CubDataset, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the labels to train on of some images, float32 (len(rows), N)."""
        return self.blend(self.fill(cub, rows), cub, rows)


def photographs(cub: CubDataset, leave_out: NDArray[np.bool_], policy: LabelPolicy) -> TrainingSet:
    """Take the photographs of CUB-200-2011 for training, cut to the bird and whole.

    Args:
        cub: the data set.
        leave_out: bool (M,), the images that metrics will be measured on.
        policy: what their labels are taken for.
    """
    rows = np.flatnonzero(~leave_out)
    recorded = policy.fill(cub, rows)
    presence = policy.blend(recorded, cub, rows)
    areas = np.array([math.prod(image_size(cub.paths[row])) for row in rows.tolist()])
    with_margin = np.flatnonzero(cub.boxes[rows, 2:].prod(axis=1) < WHOLE_SHARE * areas)
    pictures = [cropped(cub, row) for row in rows.tolist()]
    pictures += [Picture(cub.paths[row]) for row in rows[with_margin].tolist()]
    shown = np.concatenate([np.arange(len(rows)), with_margin])
    return TrainingSet(pictures, presence[shown], recorded[shown], cub.image_ids[rows[shown]])


def annotated(files: Sequence[Path], vocabulary: Vocabulary) -> list[TrainingSet]:
    """Take all pictures of annotated folders for training, each folder a source."""
    subjects: dict[Path, int] = {}
    sources = []
    for file in files:
        folder = read_annotations(file, vocabulary)
        numbers = [subjects.setdefault(path.resolve(), -1 - len(subjects)) for path in folder.paths]
        pictures = [Picture(path) for path in folder.paths]
        labels, subjects_of = folder.presence, np.array(numbers, dtype=np.int64)
        sources.append(TrainingSet(pictures, labels, labels, subjects_of))
    return sources


@dataclass(frozen=True)
class Recipe:
    """What decides a training besides its data.

    Attributes:
        stages: run one after the other.
        held_out: share of the subjects that the network is not trained on, for the
            calibration.
        visual_dim: D, the length of the visual vectors; None is `VISUAL_DIM`, or as many as
            there are pictures to train on if those are fewer.
        seed: of everything random.
        continued: whether the network was trained before, so that its narrow layer is not
            fitted anew.
    """

    stages: Sequence[Stage]
    held_out: float = 0.1
    visual_dim: int | None = None
    seed: int = 0
    continued: bool = False


def train(
    network: AttributeNetwork,
    sources: Sequence[TrainingSet],
    recipe: Recipe,
    run: RunFolder,
    say: Callable[[str], None],
) -> tuple[Calibration, Projection]:
    """Train a network whose trunk is pretrained, in place, on a GPU where there is one.

    Calibration and thresholds are fitted on the held-out subjects.

    Args:
        network: as `pretrained_network` makes it.
        sources: what to train on; `Stage` says how several are balanced.
        recipe: how.
        run: where maps, metrics and state are kept; a run that was stopped goes on after its
            last whole epoch, to the result it would have had.
        say: takes a line of progress now and then.

    Raises:
        DataError: there are too few pictures.
        ImageError: a picture cannot be read.
        FineTagError: the run folder cannot be written.
    """
    pictures = [picture for source in sources for picture in source.pictures]
    presence = np.concatenate([source.presence for source in sources])
    recorded = np.concatenate([source.recorded for source in sources])
    held_out = _hold_out(np.concatenate([source.subjects for source in sources]), recipe)
    of_source = np.repeat(np.arange(len(sources)), [len(source.pictures) for source in sources])
    rows = [np.flatnonzero(~held_out & (of_source == i)) for i in range(len(sources))]
    if not held_out.any() or not all(map(len, rows)):
        raise DataError(
            f"{len(pictures):,} pictures are too few: each source must have some to train on, "
            "and some are held out to calibrate on"
        )
    trained = int((~held_out).sum())
    visual_dim = recipe.visual_dim or min(VISUAL_DIM, trained)
    if trained < visual_dim:  # found out now, not after the training
        raise DataError(
            f"visual vectors of {visual_dim} dimensions need as many pictures to train "
            f"on, and there are {trained}; lower --visual-dim"
        )
    say(f"{trained:,} pictures to train on, {held_out.sum():,} to calibrate on")
    network.to(memory_format=torch.channels_last)  # how convolutions on a CPU run fastest
    if run.saved is None and not recipe.continued:
        fit_narrow(network, pictures, recipe.seed)
    for number, stage in enumerate(recipe.stages, start=1):
        last = number == len(recipe.stages)
        if run.saved is not None and number < run.saved[0]:
            continue  # a later stage holds what became of this one
        maps = keep_maps(network, stage.layer, pictures, run.maps(number), say)
        network.to(best_device())
        training = StageTraining(network, maps, presence, rows, stage, recipe.seed + number - 1)
        if run.saved is not None and number == run.saved[0]:
            training.restore(run.saved[1])
            say(f"stage {number}: going on after epoch {training.epoch} of {stage.epochs}")
        _run_stage(training, number, np.flatnonzero(held_out), run, say)
        if last:
            logits, descriptors = apply(network, maps, stage.layer)
        network.cpu()
        del maps, training  # Windows cannot remove a file that is mapped
    projection = fit_projection(descriptors[~held_out], visual_dim, recipe.seed)
    return fit_calibration(logits[held_out], recorded[held_out]), projection


def best_device() -> torch.device:
    """Return the device to train on: the first GPU, or the CPU where there is none."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _run_stage(
    training: StageTraining,
    number: int,
    held_out: NDArray[np.int64],
    run: RunFolder,
    say: Callable[[str], None],
) -> None:
    epochs = training.stage.epochs
    while training.epoch < epochs:
        start = monotonic()
        loss = training.run_epoch()
        held_out_loss = training.loss_of(held_out)
        seconds = monotonic() - start
        epoch = Epoch(number, training.epoch, loss, held_out_loss, round(seconds, 1))
        run.save(number, training.state(), epoch)
        say(
            f"epoch {training.epoch} of {epochs}: loss {loss:.4f}, held out {held_out_loss:.4f}; "
            f"{(epochs - training.epoch) * seconds:,.0f} s left"
        )
    training.finish()


def _hold_out(subjects: NDArray[np.int64], recipe: Recipe) -> NDArray[np.bool_]:
    each = np.unique(subjects)
    chosen = np.random.default_rng(recipe.seed).random(len(each)) < recipe.held_out
    return np.isin(subjects, each[chosen])
