from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from finetag_model import retrieval_metrics
from finetag_model.retrieval_metrics import RetrievalMetrics, evaluate_retrieval

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
KS = (1, 2, 4, 8)


def naive(vectors: Floats, classes: Ints) -> RetrievalMetrics:
    """Query by query, by the definitions of Musgrave et al."""
    recalls, precisions = [], []
    for q in range(len(classes)):
        others = [i for i in range(len(classes)) if i != q]
        r = sum(classes[i] == classes[q] for i in others)
        if r == 0:
            continue
        others.sort(key=lambda i: (-(vectors[i] @ vectors[q]), classes[i] == classes[q]))
        right = [bool(classes[i] == classes[q]) for i in others]
        recalls.append([any(right[:k]) for k in KS])
        precisions.append(sum(sum(right[:i]) / i for i in range(1, r + 1) if right[i - 1]) / r)
    recall = dict(zip(KS, np.mean(recalls, axis=0).tolist(), strict=True))
    return RetrievalMetrics(recall, float(np.mean(precisions)), len(precisions))


def assert_same(got: RetrievalMetrics, wanted: RetrievalMetrics) -> None:
    assert got.queries == wanted.queries
    assert got.recall == pytest.approx(wanted.recall)
    assert got.map_at_r == pytest.approx(wanted.map_at_r)


@st.composite
def catalogues(draw: st.DrawFn) -> tuple[Floats, Ints]:
    images = draw(st.integers(2, 14))
    # Small whole numbers: inner products are exact, and ties are the rule.
    numbers = st.integers(-2, 2).map(float)
    vectors = draw(hnp.arrays(np.float64, (images, draw(st.integers(1, 3))), elements=numbers))
    classes = draw(hnp.arrays(np.int64, images, elements=st.integers(1, 5)))
    assume(len(np.unique(classes)) < images)
    return vectors, classes


@settings(max_examples=150, deadline=None)
@given(catalogue=catalogues(), block=st.integers(1, 20))
def test_is_the_definition(catalogue: tuple[Floats, Ints], block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retrieval_metrics, "BLOCK", block)
        assert_same(evaluate_retrieval(*catalogue), naive(*catalogue))


@settings(max_examples=50, deadline=None)
@given(catalogue=catalogues(), seed=st.integers(0, 99))
def test_the_order_of_the_images_does_not_matter(catalogue: tuple[Floats, Ints], seed: int) -> None:
    vectors, classes = catalogue
    order = np.random.default_rng(seed).permutation(len(classes))
    assert_same(
        evaluate_retrieval(vectors[order], classes[order]), evaluate_retrieval(vectors, classes)
    )


def test_by_hand() -> None:
    angles = np.radians([0, 10, 30, 60, 100])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    metrics = evaluate_retrieval(vectors, np.array([7, 3, 7, 7, 3]), ks=(1, 2))
    # The two nearest of 0 degrees: wrong, right; of 10: wrong, wrong; of 30: wrong, right;
    # of 60: right, wrong; of 100: wrong, wrong. R is 2 for class 7 and 1 for class 3.
    assert metrics.queries == 5
    assert metrics.recall == pytest.approx({1: 1 / 5, 2: 3 / 5})
    assert metrics.map_at_r == pytest.approx((1 / 4 + 0 + 1 / 4 + 1 / 2 + 0) / 5)


def test_a_perfect_ranking() -> None:
    classes = np.repeat(np.arange(6), 4)
    metrics = evaluate_retrieval(np.eye(6, dtype=np.float32)[classes], classes)
    assert metrics == RetrievalMetrics(dict.fromkeys(KS, 1.0), 1.0, 24)


def test_a_random_ranking_finds_by_chance() -> None:
    random = np.random.default_rng(0)
    classes = np.repeat(np.arange(40), 30)
    vectors = random.normal(size=(1200, 64)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    metrics = evaluate_retrieval(vectors, classes)
    chance = 29 / 1199
    for k in KS:
        assert metrics.recall[k] == pytest.approx(1 - (1 - chance) ** k, abs=0.03)
    assert 0 < metrics.map_at_r < chance


def test_vectors_that_are_all_alike_find_nothing() -> None:
    classes = np.repeat(np.arange(5), 3)
    metrics = evaluate_retrieval(np.ones((15, 4)), classes)
    assert metrics == RetrievalMetrics(dict.fromkeys(KS, 0.0), 0.0, 15)


def test_an_only_image_of_its_class_is_found_but_does_not_ask() -> None:
    vectors = np.array([[1.0, 0.0], [1.0, 0.1], [0.9, 0.0]])
    near = evaluate_retrieval(vectors, np.array([1, 2, 1]), ks=(1, 2))
    assert near == RetrievalMetrics({1: 0.0, 2: 1.0}, 0.0, 2)


def test_fewer_images_than_k() -> None:
    metrics = evaluate_retrieval(np.eye(2), np.array([4, 4]))
    assert metrics == RetrievalMetrics(dict.fromkeys(KS, 1.0), 1.0, 2)


def test_nothing_to_find_is_refused() -> None:
    with pytest.raises(ValueError, match="no class has two images"):
        evaluate_retrieval(np.eye(3), np.arange(3))
