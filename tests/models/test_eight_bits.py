"""Matrices in eight bits: near, and the same again when they are coded twice."""

import pytest
import torch
from safetensors.torch import load_file

from cxr_mtl.models.eight_bits import coded, decoded, rounded
from cxr_mtl.models.packaged_files import MINILM


def matrix(seed: int) -> torch.Tensor:
    return torch.randn(6, 50, generator=torch.manual_seed(seed)) * 10.0 ** (seed - 3)


@pytest.mark.parametrize("seed", range(6))
def test_every_number_moves_by_half_a_step_of_its_row_at_most(seed):
    given = matrix(seed)
    codes, scales = coded(given)
    assert (codes.dtype, scales.shape) == (torch.int8, (6,))
    for row, numbers, step in zip(decoded(codes, scales), given, scales, strict=True):
        assert float(step) == pytest.approx(float(max(map(abs, numbers.tolist()))) / 127)
        for found, number in zip(row.tolist(), numbers.tolist(), strict=True):
            assert abs(found - number) <= 0.5001 * step


def test_a_row_of_zeros_stays_one():
    codes, scales = coded(torch.zeros(2, 3))
    assert not decoded(codes, scales).any()
    assert scales.isfinite().all()


def test_what_was_rounded_is_not_moved_again_whatever_the_weights_of_the_tower():
    for name, tensor in load_file(MINILM.path("model.safetensors")).items():
        if tensor.ndim == 2 and tensor.is_floating_point():
            once = rounded(tensor)
            assert rounded(once).equal(once), name
