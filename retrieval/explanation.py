"""Why a hit has its score, attribute by attribute; where in a picture, `finetag-explain` tells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from indexer import Index
from retrieval.answer import Explanation, Part
from retrieval.ranking import Rows, attribute_weights
from retrieval.target import Target


def like_a_picture(
    index: Index, target: Target, rows: Rows, similarities: Sequence[float], weight: float
) -> list[Explanation]:
    """Explain the scores of hits that are like a target.

    The attributes are those of the target; see `ranking.attribute_similarity`.

    Args:
        index: the index.
        target: what was searched for.
        rows: int64 (n,), the hits.
        similarities: cosine, of each.
        weight: of looks, in [0, 1].
    """
    positions, weights = attribute_weights(index, target)
    names = index.manifest.vocabulary.names
    columns = [index.scores(int(position))[rows] / 255 for position in positions]
    made = []
    for i, similarity in enumerate(similarities):
        parts = [
            Part(
                names[position],
                float(target.scores[position]),
                float(column[i]),
                float((1 - weight) * share * column[i]),
            )
            for position, share, column in zip(positions, weights, columns, strict=True)
        ]
        parts.sort(key=lambda each: -(each.query or 0) * each.hit)
        made.append(Explanation(weight * similarity, tuple(parts)))
    return made


def with_attributes(index: Index, positions: Sequence[int], rows: Rows) -> list[Explanation]:
    """Explain the scores of hits that have the attributes at these positions.

    Of attributes of which one is enough the score takes the most probable; the others are told
    beside it.
    """
    names = index.manifest.vocabulary.names
    columns = np.array([index.scores(position)[rows] / 255 for position in positions])
    return [
        Explanation(
            None,
            tuple(
                Part(names[position], None, float(column[i]), float(column[i]))
                for position, column in zip(positions, columns, strict=True)
            ),
        )
        for i in range(len(rows))
    ]
