from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from sklearn.metrics import f1_score, label_ranking_average_precision_score

from finetag_model.metrics import F1, Metrics, evaluate, evaluate_decisions, evaluate_groups
from finetag_model.vocabulary import Vocabulary

Array = NDArray[np.float64]


def naive_average_precision(scores: Array, presence: Array) -> float:
    """The sum over thresholds of precision times the recall gained there; ties fall together.

    Unknown labels are left out before anything is counted.
    """
    scores, presence = scores[~np.isnan(presence)], presence[~np.isnan(presence)]
    average, recall_before = 0.0, 0.0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        found = [p for s, p in zip(scores, presence, strict=True) if s >= threshold]
        precision, recall = sum(found) / len(found), sum(found) / presence.sum()
        average += precision * (recall - recall_before)
        recall_before = recall
    return average


def naive_avgprec(scores: Array, presence: Array) -> float:
    """Label-ranking average precision by its definition, of the known labels of each image."""
    images = []
    for all_f, all_p in zip(scores, presence, strict=True):
        f, p = all_f[~np.isnan(all_p)], all_p[~np.isnan(all_p)]
        present = np.flatnonzero(p)
        if len(present):
            images.append(
                np.mean([(f[present] >= f[u]).sum() / (f >= f[u]).sum() for u in present])
            )
    return float(np.mean(images))


@st.composite
def rankings(draw: st.DrawFn, *labels: float) -> tuple[Array, Array]:
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, max_side=7))
    # Few distinct scores, so that ties are the rule.
    scores = draw(hnp.arrays(np.float64, shape, elements=st.sampled_from([0.1, 0.2, 0.5, 0.9])))
    presence = draw(hnp.arrays(np.float64, shape, elements=st.sampled_from([0.0, 1.0, *labels])))
    return scores, presence


@settings(max_examples=100, deadline=None)
@given(ranking=rankings(np.nan))
def test_is_the_definition(ranking: tuple[Array, Array]) -> None:
    scores, presence = ranking
    assume((presence == 1).any())
    metrics = evaluate(scores, presence)
    counts = (presence == 1).sum(axis=0)
    precision = {
        n: naive_average_precision(scores[:, n], presence[:, n]) for n in np.flatnonzero(counts)
    }
    weighted = sum(counts[n] * value for n, value in precision.items()) / counts.sum()
    assert metrics.w_map == pytest.approx(weighted)
    assert metrics.macro_map == pytest.approx(sum(precision.values()) / len(precision))
    assert metrics.avgprec == pytest.approx(naive_avgprec(scores, presence))


def test_by_hand() -> None:
    scores = np.array([[0.9, 0.1], [0.8, 0.7], [0.3, 0.2]], dtype=np.float32)
    presence = np.array([[1, 0], [0, 1], [1, 0]], dtype=np.float32)
    metrics = evaluate(scores, presence)
    # Attribute 0: found at ranks 1 and 3 of 3; attribute 1 at rank 1.
    first, second = (1 + 2 / 3) / 2, 1.0
    assert metrics.w_map == pytest.approx((2 * first + second) / 3)
    assert metrics.macro_map == pytest.approx((first + second) / 2)
    # The label is first of two, second of two, first of two.
    assert metrics.avgprec == pytest.approx((1 + 1 / 2 + 1) / 3)


def test_a_perfect_ranking_and_a_tie_of_all() -> None:
    presence = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0]], dtype=np.float32)
    assert evaluate(presence, presence) == Metrics(1, 1, 1)
    tied = evaluate(np.zeros((3, 3)), presence)
    assert tied.w_map == pytest.approx(2 / 3)
    assert tied.avgprec == pytest.approx((1 / 3 + 1 / 3 + 2 / 3) / 3)


def test_attributes_no_image_has_and_images_without_any_take_no_part() -> None:
    scores = np.array([[0.2, 0.9, 0.5], [0.7, 0.8, 0.1]])
    presence = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    metrics = evaluate(scores, presence)
    assert metrics.w_map == metrics.macro_map == pytest.approx(1 / 2)
    assert metrics.avgprec == pytest.approx(1 / 3)


@settings(max_examples=100, deadline=None)
@given(ranking=rankings())
def test_of_full_labels_avgprec_is_that_of_scikit_learn_to_the_last_bit(
    ranking: tuple[Array, Array],
) -> None:
    scores, presence = ranking[0].astype(np.float32), ranking[1].astype(np.float32)
    tagged = presence.any(axis=1)
    assume(tagged.any())
    expected = label_ranking_average_precision_score(presence[tagged], scores[tagged])
    assert evaluate(scores, presence).avgprec == expected


def test_unknown_labels_by_hand() -> None:
    scores = np.array([[0.9, 0.8, 0.7], [0.6, 0.5, 0.0], [0.1, 0.4, 0.3]], dtype=np.float32)
    nan = np.nan
    presence = np.array([[nan, 0, 1], [1, nan, nan], [0, 1, nan]], dtype=np.float32)
    metrics = evaluate(scores, presence)
    # Attribute 0: first of the two known; 1: second of two; 2: alone.
    assert metrics.macro_map == metrics.w_map == pytest.approx((1 + 1 / 2 + 1) / 3)
    # The label is second of two, alone, first of two.
    assert metrics.avgprec == pytest.approx((1 / 2 + 1 + 1) / 3)
    # Decided at 0.5 and known: (0, 1) wrongly, (0, 2) and (1, 0) rightly; (2, 1) is missed.
    f1 = evaluate_decisions(scores, presence, 0.5)
    assert f1.micro == pytest.approx(2 * 2 / (3 + 3))
    assert f1.macro == pytest.approx((1 + 0 + 1) / 3)


def test_labels_that_are_all_unknown_have_nothing_to_find() -> None:
    with pytest.raises(ValueError, match="no label is present"):
        evaluate(np.zeros((2, 2)), np.full((2, 2), np.nan))


def test_nothing_to_find_is_refused() -> None:
    with pytest.raises(ValueError, match="no label is present"):
        evaluate(np.zeros((2, 2)), np.zeros((2, 2)))


def test_groups_are_measured_alone() -> None:
    vocabulary = Vocabulary(("size=a", "color=a", "size=b", "shape=a", "color=b"))
    random = np.random.default_rng(0)
    scores = random.random((20, 5))
    presence = (random.random((20, 5)) < 0.4).astype(float)
    presence[:, 3] = [*[0] * 10, *[np.nan] * 10]
    groups = evaluate_groups(scores, presence, vocabulary)
    assert list(groups) == ["size", "color"]  # no image has a shape
    assert groups["size"] == evaluate(scores[:, [0, 2]], presence[:, [0, 2]])
    assert groups["color"] == evaluate(scores[:, [1, 4]], presence[:, [1, 4]])


def test_a_group_of_one_value() -> None:
    vocabulary = Vocabulary(("crest=yes", "color=a"))
    presence = np.array([[1.0, 1.0], [0.0, 1.0]])
    groups = evaluate_groups(np.array([[0.3, 0.1], [0.6, 0.2]]), presence, vocabulary)
    assert groups["crest"].w_map == pytest.approx(1 / 2)
    assert groups["crest"].avgprec == 1


@settings(max_examples=100, deadline=None)
@given(ranking=rankings(np.nan), threshold=st.sampled_from([0.0, 0.2, 0.5, 1.0]))
def test_f1_is_that_of_scikit_learn(ranking: tuple[Array, Array], threshold: float) -> None:
    scores, presence = ranking
    assume((presence == 1).any())
    got = evaluate_decisions(scores, presence, threshold)
    decided, known = scores >= threshold, ~np.isnan(presence)
    each = [
        f1_score(presence[known[:, n], n], decided[known[:, n], n], zero_division=0)
        for n in np.flatnonzero((presence == 1).any(axis=0))
    ]
    assert got.macro == pytest.approx(np.mean(each))
    assert got.micro == pytest.approx(f1_score(presence[known], decided[known], zero_division=0))


def test_f1_by_hand() -> None:
    scores = np.array([[0.9, 0.4, 0.9], [0.6, 0.6, 0.1], [0.2, 0.5, 0.1]], dtype=np.float32)
    presence = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0]], dtype=np.float32)
    # Decided: two of attribute 0, one of them right; two of 1, both right; one of 2, wrong.
    assert evaluate_decisions(scores, presence, 0.5) == F1(
        micro=pytest.approx(2 * 3 / (5 + 4)), macro=pytest.approx((1 / 2 + 1) / 2)
    )
    thresholds = np.array([0.9, 0.45, 1.0], dtype=np.float32)  # a score that reaches it counts
    assert evaluate_decisions(scores, presence, thresholds) == F1(
        micro=pytest.approx(2 * 3 / (3 + 4)), macro=pytest.approx((2 / 3 + 1) / 2)
    )


def test_f1_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no label is present"):
        evaluate_decisions(np.ones((2, 2)), np.zeros((2, 2)), 0.5)
