"""Low-rank adaptation begins as nothing, trains few weights, and merged is what it was unmerged."""

import pytest
import torch

from cxr_mtl.base.errors import InputError
from cxr_mtl.language.low_rank import TARGETS, add_low_rank, merge_low_rank
from cxr_mtl.language.split_decoder import run_blocks, split_decoder, trainable_copy

IS_TOKEN = torch.tensor([[1, 1, 1], [1, 1, 0]]).bool()
STATES = torch.randn(2, 3, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def upper(language_model):
    return trainable_copy(split_decoder(language_model.decoder, 2, 2)[1]).eval()


def test_it_begins_as_nothing_and_trains_two_thin_maps_of_each_linear(upper):
    before = run_blocks(upper, STATES, IS_TOKEN)
    adapted = add_low_rank(upper, rank=3).eval()
    assert torch.equal(run_blocks(adapted, STATES, IS_TOKEN), before)
    trained = {name: p for name, p in adapted.named_parameters() if p.requires_grad}
    assert len(trained) == 2 * len(TARGETS) * 2
    assert all(min(p.shape) == 3 for p in trained.values())


def test_merged_is_unmerged(upper):
    adapted = add_low_rank(upper, rank=3).eval()
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.normal_(std=0.2)
    unmerged = run_blocks(adapted, STATES, IS_TOKEN).detach()
    assert any("lora" in name for name, _ in adapted.named_parameters())
    merged = merge_low_rank(adapted)
    torch.testing.assert_close(run_blocks(merged, STATES, IS_TOKEN), unmerged)
    assert not any("lora" in name for name, _ in merged.named_parameters())


def test_a_rank_below_one_is_refused(upper):
    with pytest.raises(InputError, match="rank of the adaptation is 0"):
        add_low_rank(upper, rank=0)
