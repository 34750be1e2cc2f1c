from __future__ import annotations

import math

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from finetag_model.loss import lsep_loss, presence_loss


def naive_lsep(logits: np.ndarray, presence: np.ndarray, weight: np.ndarray) -> float:
    """The paper's Eq. 1 as it is written: a double loop over pairs, in float64."""
    losses = []
    for f, p, w in zip(logits.astype(float), presence, weight, strict=True):
        known = [i for i in range(len(f)) if not math.isnan(p[i])]
        pairs = sum(
            w[u] * p[u] * w[v] * (1 - p[v]) * math.exp(f[v] - f[u]) for u in known for v in known
        )
        # A label that is partly present forms no pair with itself in the closed form either
        # way, since both sums run over all labels; the double loop must do the same.
        losses.append(math.log1p(pairs))
    return sum(losses) / len(losses)


@st.composite
def batches(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    shape = draw(st.tuples(st.integers(1, 4), st.integers(1, 9)))
    logits = draw(hnp.arrays(np.float64, shape, elements=st.floats(-6, 6)))
    labels = st.sampled_from([0.0, 1.0, 0.25, math.nan])
    presence = draw(hnp.arrays(np.float64, shape, elements=labels))
    weight = draw(hnp.arrays(np.float64, shape, elements=st.sampled_from([0.0, 0.5, 1.0])))
    return logits, presence, weight


@given(batches())
def test_it_equals_the_double_loop(batch: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    logits, presence, weight = batch
    got = lsep_loss(*map(torch.from_numpy, (logits, presence, weight))).item()
    assert got == pytest.approx(naive_lsep(logits, presence, weight), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float16, 2e-2), (torch.bfloat16, 2e-1), (torch.float32, 1e-5)],
)
@settings(max_examples=20)
@given(batch=batches())
def test_it_equals_the_double_loop_in_short_types(
    dtype: torch.dtype, tolerance: float, batch: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> None:
    logits, presence, _ = batch
    got = lsep_loss(torch.from_numpy(logits).to(dtype), torch.from_numpy(presence).float()).item()
    want = naive_lsep(logits, presence, np.ones_like(logits))
    assert got == pytest.approx(want, abs=tolerance * (1 + want))


def test_unknown_labels_take_no_part() -> None:
    presence = torch.tensor([[1.0, 0.0, math.nan]])
    logits = torch.tensor([[0.3, 0.1, 5.0]], requires_grad=True)
    lsep_loss(logits, presence).backward()
    assert logits.grad is not None
    assert logits.grad[0, 2] == 0
    assert lsep_loss(logits, presence).item() == pytest.approx(math.log1p(math.exp(-0.2)))


@pytest.mark.parametrize("labels", [[1.0, 1.0], [0.0, 0.0], [math.nan, math.nan], [1.0, math.nan]])
def test_an_image_without_a_pair_has_no_loss_and_no_gradient(labels: list[float]) -> None:
    logits = torch.tensor([[2.0, -3.0]], requires_grad=True)
    loss = lsep_loss(logits, torch.tensor([labels]))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert logits.grad.tolist() == [[0, 0]]


def test_huge_logits_do_not_overflow() -> None:
    logits = torch.tensor([[-1e4, 1e4]], requires_grad=True)
    loss = lsep_loss(logits, torch.tensor([[1.0, 0.0]]))
    loss.backward()
    assert loss.item() == pytest.approx(2e4)
    assert logits.grad is not None
    assert logits.grad.tolist() == [[-1, 1]]


def test_the_gradient_is_right() -> None:
    torch.manual_seed(0)
    logits = torch.randn(3, 6, dtype=torch.float64, requires_grad=True)
    presence = torch.tensor(
        [[1, 0, 0, 1, math.nan, 0], [0, 0, 0, 0, 0, 1], [0.3, 0.9, 1, 0, 0, math.nan]],
        dtype=torch.float64,
    )
    assert torch.autograd.gradcheck(lambda f: lsep_loss(f, presence), logits)


def test_presence_loss_is_the_cross_entropy_of_known_labels() -> None:
    logits = torch.tensor([[0.0, 2.0, 9.0], [1.0, -1.0, 0.0]])
    presence = torch.tensor([[1.0, 0.0, math.nan], [0.5, math.nan, math.nan]])
    first = math.log(2) + math.log1p(math.exp(2))
    second = 0.5 * math.log1p(math.exp(-1)) + 0.5 * math.log1p(math.exp(1))
    assert presence_loss(logits, presence).item() == pytest.approx((first + second) / 2)
