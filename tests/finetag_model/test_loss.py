from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from finetag_model.loss import lsep_loss, presence_loss

if TYPE_CHECKING:
    from numpy.typing import NDArray

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
NAN = math.nan


def naive_loss(
    logits: NDArray[np.float64],
    presence: NDArray[np.float64],
    weight: NDArray[np.float64] | None = None,
) -> float:
    """Eq. 1 as it is written: a sum over all pairs of a present and an absent label.

    A label that is partly present is on both sides, and so forms a pair with itself.
    """
    weight = np.ones_like(logits) if weight is None else weight
    losses = []
    for f, p, w in zip(logits, presence, weight, strict=True):
        total = 0.0
        for u in range(len(f)):
            for v in range(len(f)):
                if not np.isnan(p[u]) and not np.isnan(p[v]):
                    total += p[u] * w[u] * (1 - p[v]) * w[v] * math.exp(f[v] - f[u])
        losses.append(math.log1p(total))
    return float(np.mean(losses))


def naive_loss_torch(logits: torch.Tensor, presence: torch.Tensor) -> torch.Tensor:
    """The same with a gradient, for hard labels."""
    losses = []
    for f, p in zip(logits, presence, strict=True):
        total = f.sum() * 0
        for u in range(len(f)):
            for v in range(len(f)):
                if p[u] == 1 and p[v] == 0:
                    total = total + torch.exp(f[v] - f[u])
        losses.append(torch.log1p(total))
    return torch.stack(losses).mean()


@st.composite
def batches(draw: st.DrawFn, labels: tuple[float, ...]) -> tuple[NDArray[np.float64], ...]:
    """Logits, presence and weights of one shape."""
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, max_side=7))
    logits = draw(hnp.arrays(np.float64, shape, elements=st.floats(-8, 8, width=16)))
    presence = draw(hnp.arrays(np.float64, shape, elements=st.sampled_from(labels)))
    weight = draw(hnp.arrays(np.float64, shape, elements=st.sampled_from([0.0, 0.25, 1.0, 2.0])))
    return logits, presence, weight


@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=40, deadline=None)
@given(batch=batches(labels=(0.0, 1.0, NAN)))
def test_is_the_sum_over_all_pairs(
    dtype: torch.dtype, batch: tuple[NDArray[np.float64], ...]
) -> None:
    logits, presence, _ = batch
    in_type = torch.from_numpy(logits).to(dtype)
    loss = lsep_loss(in_type, torch.from_numpy(presence).to(dtype))
    # Logits are compared as the type holds them: only the arithmetic is under test.
    expected = naive_loss(in_type.double().numpy(), presence)
    assert loss.shape == ()
    precision = 1e-12 if dtype == torch.float64 else 1e-5
    assert loss.item() == pytest.approx(expected, rel=precision, abs=precision)


@settings(max_examples=60, deadline=None)
@given(batch=batches(labels=(0.0, 0.125, 0.5, 0.75, 1.0, NAN)))
def test_soft_labels_and_weights_multiply_their_pairs(
    batch: tuple[NDArray[np.float64], ...],
) -> None:
    logits, presence, weight = batch
    tensors = [torch.from_numpy(array) for array in batch]
    assert lsep_loss(*tensors[:2]).item() == pytest.approx(naive_loss(logits, presence), abs=1e-10)
    assert lsep_loss(*tensors).item() == pytest.approx(
        naive_loss(logits, presence, weight), abs=1e-10
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_soft_labels_in_half_precision(dtype: torch.dtype) -> None:
    logits = torch.tensor([[0.5, -1.0, 2.0, 0.0]], dtype=dtype)
    presence = torch.tensor([[1.0, 0.3, 0.0, NAN]], dtype=dtype)
    expected = naive_loss(logits.double().numpy(), presence.double().numpy())
    assert lsep_loss(logits, presence).item() == pytest.approx(expected, rel=1e-2)


def test_by_hand() -> None:
    # One present (2), absent 0 and 1, one unknown: log(1 + exp(0 - 2) + exp(1 - 2)).
    loss = lsep_loss(torch.tensor([[2.0, 0.0, 1.0, 50.0]]), torch.tensor([[1.0, 0.0, 0.0, NAN]]))
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-2) + math.exp(-1)))


@settings(max_examples=30, deadline=None)
@given(batch=batches(labels=(0.0, 1.0, NAN)), shift=st.floats(-5, 5))
def test_unknown_labels_and_a_common_shift_do_not_matter(
    batch: tuple[NDArray[np.float64], ...], shift: float
) -> None:
    logits, presence, _ = batch
    moved = np.where(np.isnan(presence), 1000.0, logits + shift)
    x = torch.from_numpy(moved).requires_grad_()
    loss = lsep_loss(x, torch.from_numpy(presence))
    assert loss.item() == pytest.approx(naive_loss(logits, presence), abs=1e-10)
    loss.backward()
    assert x.grad is not None
    assert (x.grad.numpy()[np.isnan(presence)] == 0).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "row",
    [[1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [NAN, NAN, NAN], [1.0, NAN, NAN], [0.0, NAN, 0.0]],
)
def test_an_image_without_a_pair_costs_nothing(dtype: torch.dtype, row: list[float]) -> None:
    logits = torch.tensor([[1.0, -2.0, 3.0]], dtype=dtype, requires_grad=True)
    loss = lsep_loss(logits, torch.tensor([row], dtype=dtype))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert logits.grad.tolist() == [[0, 0, 0]]


def test_an_image_without_a_pair_leaves_the_others_alone() -> None:
    logits = torch.tensor([[1.0, -2.0, 3.0], [0.5, 1.5, -1.0]], requires_grad=True)
    presence = torch.tensor([[1.0, NAN, 1.0], [1.0, 0.0, 0.0]])
    loss = lsep_loss(logits, presence)
    loss.backward()
    alone = logits[1:].detach().clone().requires_grad_()
    lone_loss = lsep_loss(alone, presence[1:])
    lone_loss.backward()
    assert loss.item() == pytest.approx(lone_loss.item() / 2)
    assert logits.grad is not None
    assert alone.grad is not None
    assert logits.grad[0].tolist() == [0, 0, 0]
    torch.testing.assert_close(logits.grad[1], alone.grad[0] / 2)


def test_zero_weights_take_labels_out() -> None:
    logits = torch.tensor([[1.0, -2.0, 3.0]], requires_grad=True)
    weight = torch.tensor([[0.0, 1.0, 1.0]])
    loss = lsep_loss(logits, torch.tensor([[1.0, 0.0, 0.0]]), weight)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert logits.grad.tolist() == [[0, 0, 0]]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("row", "cost"), [([0.0, 1.0, NAN], 2e4), ([1.0, 0.0, NAN], 0.0)])
def test_huge_logits_do_not_overflow(dtype: torch.dtype, row: list[float], cost: float) -> None:
    logits = torch.tensor([[1e4, -1e4, 0.0]], dtype=dtype, requires_grad=True)
    loss = lsep_loss(logits, torch.tensor([row], dtype=dtype))
    loss.backward()
    assert loss.item() == pytest.approx(cost, rel=1e-2)
    assert logits.grad is not None
    assert logits.grad.tolist() == ([[1, -1, 0]] if cost else [[0, 0, 0]])


def test_the_gradient_is_that_of_the_definition() -> None:
    random = np.random.default_rng(0)
    logits = torch.from_numpy(random.normal(scale=3, size=(5, 9))).requires_grad_()
    presence = torch.from_numpy(random.choice([0, 1, NAN], size=(5, 9)))
    presence[3] = NAN
    lsep_loss(logits, presence).backward()
    same = logits.detach().clone().requires_grad_()
    naive_loss_torch(same, presence).backward()
    torch.testing.assert_close(logits.grad, same.grad, rtol=1e-10, atol=1e-12)


def test_the_gradient_is_that_of_the_value() -> None:
    random = np.random.default_rng(1)
    logits = torch.from_numpy(random.normal(size=(4, 6))).requires_grad_()
    presence = torch.from_numpy(random.choice([0, 0.3, 0.8, 1, NAN], size=(4, 6)))
    weight = torch.from_numpy(random.uniform(0, 2, size=(4, 6)))
    assert torch.autograd.gradcheck(lambda f: lsep_loss(f, presence, weight), logits)


def test_presence_loss_is_the_cross_entropy_of_known_labels() -> None:
    logits = torch.tensor([[0.0, 2.0, 9.0], [1.0, -1.0, 0.0]], requires_grad=True)
    presence = torch.tensor([[1.0, 0.0, NAN], [0.5, NAN, NAN]])
    loss = presence_loss(logits, presence)
    first = math.log(2) + math.log1p(math.exp(2))
    second = 0.5 * math.log1p(math.exp(-1)) + 0.5 * math.log1p(math.exp(1))
    assert loss.item() == pytest.approx((first + second) / 2)
    loss.backward()
    assert logits.grad is not None
    assert (logits.grad[presence.isnan()] == 0).all()
