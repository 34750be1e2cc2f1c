"""Where in a picture a score comes from, in closed form; what to paint of it is in `overlay`.

The bilinear feature is a mean over locations (network.py), so it is a sum of what each gives:

    z_k = sum_l z_kl,    z_kl = x_cl r_jl / (h w)  for the channel k = (c, j)

and the logit before its bias is sum_k w_k s(z_k) / |s(z)|, s the signed square root. Each channel's
term is shared out among the locations, and a location's evidence is the sum of its shares. Sharing
in proportion, z_kl / z_k, has no bound where a channel's locations cancel. So it is damped:

    share_kl = (z_k z_kl + d² a_k |z_kl|) / (z_k² + d² a_k²),    a_k = sum_l |z_kl|

The shares of a channel still add up to exactly 1, so the evidence adds up to the logit without its
bias; they are the proportional ones where |z_k| >> d a_k, and never above 1 / d in size. Both
terms are of the form x_l' M r_l, so nothing of the size (C, r, h, w) is ever made. Other rules
were measured beside this one: see `docs/explain.md`.

The network itself runs in either runtime, see `embedder`; nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from finetag_model.checkpoint import Checkpoint
from finetag_model.embedder import Grid, Network, open_network
from finetag_model.errors import CheckpointError
from finetag_model.images import to_pixels

Doubles = NDArray[np.float64]

DAMPING = 0.01
"""d above. On drawn birds 0.001 localises as well, and from 0.1 on maps grow blurred."""


@dataclass(frozen=True)
class HeatMap:
    """Where the score of one attribute comes from.

    Attributes:
        attribute: its name in the vocabulary, `group=value`.
        probability: the calibrated score, 0 to 1, of the whole picture.
        evidence: float32 (h, w), in units of the logit: what each location adds to the score or,
            where negative, takes from it. The sum is the logit less its bias.
        input_size: side in pixels of the square that the picture was scaled to.
        grid: where in that square the locations lie.
    """

    attribute: str
    probability: float
    evidence: NDArray[np.float32]
    input_size: int
    grid: Grid

    def support(self, size: tuple[int, int]) -> NDArray[np.float32]:
        """Lay what speaks for the attribute over the picture: float32 (height, width), 0 to 1.

        Args:
            size: width and height of the picture in pixels.
        """
        positive = np.maximum(self.evidence, 0)
        # A margin, as the outermost locations may lie within the picture's edge.
        padded = np.pad(positive / max(float(positive.max()), 1e-30), 1, mode="edge")
        first = self.grid.first + 0.5  # pixel 0 reaches from 0 to 1, and so does cell 0
        low, high = (
            (edge - first) / self.grid.step + 0.5 + 1 for edge in (0.0, float(self.input_size))
        )
        smooth = Image.fromarray(padded.astype(np.float32)).resize(
            size, Image.Resampling.BICUBIC, box=(low, low, high, high)
        )
        support: NDArray[np.float32] = np.clip(np.asarray(smooth), 0, 1)
        return support


class Explainer:
    """Explains the scores of one checkpoint."""

    def __init__(self, checkpoint: Checkpoint, network: Network | None = None) -> None:
        """Take a checkpoint, and its network if it is open already.

        Raises:
            CheckpointError: weights and configuration do not fit together, or the head is not
                bilinear.
        """
        if checkpoint.config.head != "bilinear":
            raise CheckpointError(
                f"{checkpoint.name} has no bilinear head, and only such a head can be explained"
            )
        self._checkpoint = checkpoint
        self._network = network or open_network(checkpoint)

    def explain(self, picture: Image.Image, attributes: Sequence[str]) -> list[HeatMap]:
        """Return a map for each of the attributes, in their order.

        Args:
            picture: RGB and upright, as from `images.load_rgb`; of any size.
            attributes: names `group=value`, as `Vocabulary.position` takes them.

        Raises:
            UsageError: there is no such attribute; the message names the nearest ones.
        """
        vocabulary, size = self._checkpoint.vocabulary, self._checkpoint.config.input_size
        positions = [vocabulary.position(name) for name in attributes]
        found = self._network.feature_map(to_pixels(picture, size))
        weights = self._checkpoint.weights
        x = found.features.astype(np.float64)
        # The 1x1 convolution that reduces the channels.
        r = np.tensordot(weights["reduce.weight"][:, :, 0, 0].astype(np.float64), x, axes=1)
        r += weights["reduce.bias"][:, np.newaxis, np.newaxis]
        maps = evidence(x, r, weights["classify.weight"][positions].astype(np.float64))
        return [
            HeatMap(
                attribute=vocabulary.names[n],
                probability=float(found.scores[n]),
                evidence=of_one.astype(np.float32),
                input_size=size,
                grid=self._network.grid,
            )
            for n, of_one in zip(positions, maps, strict=True)
        ]


def evidence(x: Doubles, r: Doubles, weights: Doubles) -> Doubles:
    """Share out logits among the locations, as the module's docstring says.

    Args:
        x: (C, h, w), what enters the bilinear pooling.
        r: (r, h, w), its reduced copy.
        weights: (n, C r), the rows of the linear layer that make the logits.

    Returns:
        (n, h, w); the sum over a map is its logit less its bias. Doubles lose nothing to speak of.
    """
    x_flat, r_flat = x.reshape(len(x), -1), r.reshape(len(r), -1)
    locations = x_flat.shape[1]
    z = x_flat @ r_flat.T / locations  # (C, r)
    damping = DAMPING * (np.abs(x_flat) @ np.abs(r_flat).T / locations)
    root = np.sign(z) * np.sqrt(np.abs(z) + 1e-10)  # as `network.signed_sqrt`
    # The least numbers stand for 0 / 0 = 0: a picture, and a channel, that are 0 everywhere.
    unit = root / max(float(np.linalg.norm(root)), 1e-12)
    terms = weights.reshape(-1, *z.shape) * unit / np.maximum(z**2 + damping**2, 1e-200)
    signed = _spread(terms * z, x_flat, r_flat)
    unsigned = _spread(terms * DAMPING * damping, np.abs(x_flat), np.abs(r_flat))
    maps: Doubles = ((signed + unsigned) / locations).reshape(-1, *x.shape[1:])
    return maps


def _spread(terms: Doubles, x: Doubles, r: Doubles) -> Doubles:
    """Return x_l' M r_l for each location l and each matrix M: (n, C, r) to (n, h w)."""
    spread: Doubles = ((terms.transpose(0, 2, 1) @ x) * r).sum(axis=1)
    return spread
