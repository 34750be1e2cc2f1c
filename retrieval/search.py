"""One search of one generation: filter, plan, ranking, page.

What hits shall look like is known by now; pictures are the business of `catalog`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finetag_model.errors import UsageError
from indexer import Index, Plan, Selection
from retrieval.answer import Answer, Explanation, Hit
from retrieval.clock import Clock
from retrieval.cursor import Cursor, fingerprint
from retrieval.explanation import like_a_picture, with_attributes
from retrieval.facets import Facet, facets
from retrieval.folding import Folded, Groups, fold, unfolded, unlike
from retrieval.ranking import (
    ByLooks,
    ByProbability,
    ByScore,
    Ordered,
    Ranker,
    Ranking,
    Rows,
    by_looks_and_attributes,
    order_by,
    sort_field,
)
from retrieval.request import Request
from retrieval.target import Target
from retrieval.where import Names, named_positions, read_where, select, why_empty


class Search:
    """A request whose filter is read, ready to be answered."""

    def __init__(self, index: Index, request: Request, clock: Clock) -> None:
        """Read the filter and find what passes.

        Raises:
            UsageError: nothing is asked for, or the filter cannot be read.
        """
        self._index, self._request, self._clock = index, request, clock
        self._tree = read_where(request.where, index.manifest.vocabulary, index.columns)
        if self._tree is None and not request.has_picture and not request.is_browsing:
            raise UsageError(
                "nothing to search for: give an image, a filter, or both; of all images there "
                "are only an order, groups and facets"
            )
        self._check_names()
        with clock.stage("filter"):
            self._among = None if self._tree is None else select(self._tree, index)
            self._total = index.rows if self._among is None else self._among.count
        self._shown = self._among

    def answer(self, target: Target | None) -> Answer:
        """Answer for a target, or for the filter alone."""
        request, index = self._request, self._index
        search = fingerprint(
            b"" if target is None else target.vector.tobytes(),
            *(self._tree, request.weight, request.min_score, request.sort),
            *(request.dedup, request.group_by),
        )
        before = None
        if request.cursor is not None:
            before = Cursor.read(request.cursor, index.manifest.generation, search)
        start = before.shown if before else 0
        self._shown = self._without(target)
        with self._clock.stage("search"):
            ranker = self._ranker(target, start + request.limit + 1)
            found = self._fold(ranker, start + request.limit + 1)
            page, goes_on = self._page(found, ranker.plan, before)
            hits = self._hits(page, target, start)
        following = None
        if goes_on and not self._orders_a_page:
            last = (int(page.ranking.rows[-1]), float(page.ranking.scores[-1]))
            following = Cursor(index.manifest.generation, start + len(hits), *last, search)
        return self._answer(hits, ranker.plan, following)

    def answers(self, targets: Sequence[Target]) -> list[Answer]:
        """Answer for each of several targets, by one search of the vectors."""
        limit = self._request.limit
        with self._clock.stage("search"):
            plan = self._index.plan(self._total, limit, len(targets))
            ranker = ByLooks(self._index, targets[0], self._among, plan)
            rankings = ranker.tops(np.stack([each.vector for each in targets]), limit)
        answers = []
        for target, ranking in zip(targets, rankings, strict=True):
            found = Folded(ranking, np.zeros(len(ranking.rows), dtype=np.int64))
            answers.append(self._answer(self._hits(found, target, 0), plan, None))
        return answers

    @property
    def _orders_a_page(self) -> bool:
        """Whether the field orders the best hits, and not all that pass."""
        request = self._request
        return request.sort is not None and request.has_picture and request.min_score is None

    def _check_names(self) -> None:
        """See that there is what is sorted, grouped and counted by: a mistake costs no network."""
        index, request = self._index, self._request
        names = Names(index.manifest.vocabulary, index.columns)
        for name in (*(request.facets or ()), *filter(None, [request.group_by])):
            names.either(name)
        if request.sort is not None:
            sort_field(index, request.sort)

    def _rows(self, among: Selection | None) -> Rows:
        return np.arange(self._index.rows) if among is None else among.rows

    def _ranker(self, target: Target | None, number: int) -> Ranker:
        index, request = self._index, self._request
        ranker: Ranker
        if target is None:
            rows = self._rows(self._among)
            ranker = (
                ByScore(rows, np.ones(len(rows)))
                if self._tree is None
                else ByProbability(index, self._tree, rows)
            )
        elif request.weight < 1:
            rows = self._rows(self._among)
            ranker = by_looks_and_attributes(index, target, rows, request.weight)
        else:
            everything = request.sort is not None and request.min_score is not None
            plan = Plan() if everything else index.plan(self._total, number)
            ranker = ByLooks(index, target, self._among, plan)
        if request.sort is None or self._orders_a_page:
            return ranker
        ranking = self._high(ranker.top(self._total))
        return Ordered(ranking.only(order_by(index, ranking.rows, request.sort)), ranker.plan)

    def _fold(self, ranker: Ranker, number: int) -> Folded:
        index, request = self._index, self._request
        if request.dedup:
            return fold(ranker, number, self._total, unlike(index))
        if request.group_by is not None:
            self._groups = Groups(index, request.group_by, self._rows(self._shown))
            return fold(ranker, number, self._total, self._groups.keep)
        return unfolded(ranker, number)

    def _high(self, ranking: Ranking) -> Ranking:
        least = self._request.min_score
        return ranking if least is None else ranking.only(ranking.scores >= least)

    def _page(self, found: Folded, plan: Plan, before: Cursor | None) -> tuple[Folded, bool]:
        """Return the hits of the page asked for, and whether there are more."""
        scores, rows = found.ranking.scores, found.ranking.rows
        keep = np.ones(len(rows), dtype=np.bool_)
        if self._request.min_score is not None:
            keep &= scores >= self._request.min_score
        if before is not None:
            if plan.recall < 1 and self._request.sort is None:
                # The pages before may have missed some: what follows their last comes next.
                keep &= (scores < before.score) | ((scores == before.score) & (rows > before.row))
            else:
                keep[: before.shown] = False
        places = np.flatnonzero(keep)
        shown = places[: self._request.limit]
        goes_on = len(places) > len(shown)
        if self._orders_a_page:
            shown = shown[order_by(self._index, rows[shown], self._request.sort or "")]
        return Folded(found.ranking.only(shown), found.others[shown]), goes_on

    def _hits(self, page: Folded, target: Target | None, start: int) -> tuple[Hit, ...]:
        index, request = self._index, self._request
        rows = page.ranking.rows
        vocabulary = index.manifest.vocabulary
        positions = named_positions(self._tree, vocabulary)
        scores = {vocabulary.names[at]: index.scores(at)[rows] / 255 for at in positions}
        ranked = _cosines(page.ranking.scores)
        alike: Sequence[float | None] = [None] * len(rows)
        if target is not None:
            whole = request.weight == 1
            looks = ranked if whole else _cosines(index.similarities(target.vector, rows))
            alike = looks.tolist()
        explanations: Sequence[Explanation | None] = [None] * len(rows)
        if request.explain:
            explanations = (
                with_attributes(index, positions, rows)
                if target is None
                else like_a_picture(index, target, rows, alike, request.weight)  # type: ignore[arg-type]
            )
        grouped = request.group_by is not None
        labels = self._groups.labels(rows) if grouped else [None] * len(rows)
        others = page.others.tolist()
        return tuple(
            Hit(
                rank=start + i + 1,
                id=record.id,
                path=record.absolute,
                name=record.path,
                score=float(ranked[i]),
                similarity=alike[i],
                attributes={name: float(values[i]) for name, values in scores.items()},
                width=record.width,
                height=record.height,
                fields=record.fields,
                near_duplicates=0 if grouped else others[i],
                group=labels[i],
                grouped=others[i] if grouped else 0,
                explanation=explanations[i],
            )
            for i, record in enumerate(index.images(rows))
        )

    def _without(self, target: Target | None) -> Selection | None:
        """Return what passes without what was searched with: that is counted, and may be a hit."""
        if target is None or not target.rows:
            return self._among
        return (self._among or self._index.all_rows).without(target.rows)

    def _answer(self, hits: tuple[Hit, ...], plan: Plan, following: Cursor | None) -> Answer:
        index, tree = self._index, self._tree
        vocabulary = index.manifest.vocabulary
        counted: tuple[Facet, ...] = ()
        if self._request.facets is not None:
            with self._clock.stage("facets"):
                counted = facets(
                    index, self._shown, self._request.facets, self._request.facets_at_least
                )
        total = index.rows if self._shown is None else self._shown.count
        scope = f"all {index.rows:,}" if tree is None else f"{self._total:,} of {index.rows:,}"
        is_exact = plan == Plan()
        loss = "" if is_exact else f" (recall@10 {plan.recall:.3f} when measured)"
        return Answer(
            hits=hits,
            total=total,
            where=tuple(vocabulary.names[at] for at in named_positions(tree, vocabulary)),
            plan=f"{plan.kind} over {scope} images{loss}",
            exact=is_exact,
            recall=plan.recall,
            reason=None if hits else self._why_nothing(total),
            generation=index.manifest.generation,
            milliseconds=self._clock.milliseconds,
            filter="" if tree is None else str(tree),
            next=None if following is None else str(following),
            facets=counted,
        )

    def _why_nothing(self, total: int) -> str:
        request = self._request
        if self._total == 0 or (total == 0 and self._index.rows == 0):
            return why_empty(self._tree, self._index)
        if total == 0:
            return "nothing but what was searched with passes the filter"
        if request.cursor is not None:
            return "the page before was the last one"
        return f"no image has a score of {request.min_score:g} or more"


def _cosines(scores: NDArray[Any]) -> NDArray[np.float64]:
    """Return scores without what rounding has added beyond 1: no score means more than that."""
    cut: NDArray[np.float64] = np.clip(scores, -1, 1, dtype=np.float64)
    return cut
