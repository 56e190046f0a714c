"""A timed step trains what is unfrozen, and its floor is that counted by hand."""

import math

import pytest
import torch
from untrained import WIDTH

from cxr_mtl.bench.timing import Rates
from cxr_mtl.bench.training import optimiser_step, step_floor
from cxr_mtl.models.features import compute_features
from cxr_mtl.models.last_layer import LastLayer, freeze

BATCH = 6


@pytest.fixture
def end(backbone):
    freeze(backbone.model, 1)
    return LastLayer(backbone.model, 1)


@pytest.fixture
def features(backbone, studies, tmp_path):
    return compute_features(backbone, studies, 1, tmp_path)


@pytest.fixture
def step(end, features):
    rows = torch.arange(BATCH)
    return optimiser_step(
        end,
        lambda: end(features.images.batch(rows), features.texts.batch(rows)),
        rows % 2,
        "float32",
        "cpu",
    )


def test_a_step_trains_what_is_unfrozen_and_nothing_else(backbone, step):
    before = {n: p.detach().clone() for n, p in backbone.model.named_parameters()}
    step()
    changed = {n for n, p in backbone.model.named_parameters() if not torch.equal(p, before[n])}
    trained = {n for n, p in backbone.model.named_parameters() if p.requires_grad}
    assert changed <= trained
    assert {n for n in trained - changed if not n.endswith("key.bias")} == set()


def test_the_floor_is_the_tokens_four_times_and_adamw_over_the_bandwidth(step, end, features):
    read_only = Rates(math.inf, math.inf, read_bytes=1.0, copy_bytes=1.0)
    floor = step_floor(step, end, features, BATCH, "float32", read_only)
    image_bytes = BATCH * 50 * WIDTH * 4
    text_bytes = len(features.texts.tokens) / len(features) * BATCH * WIDTH * 4
    trained = sum(p.numel() for p in end.parameters() if p.requires_grad)
    assert floor == pytest.approx(4 * (image_bytes + text_bytes) + 28 * trained)


def test_the_floor_counts_operations_at_the_rate_of_their_precision(step, end, features):
    rates = Rates(1.0, 10.0, read_bytes=math.inf, copy_bytes=math.inf)
    floors = [step_floor(step, end, features, BATCH, p, rates) for p in ("float32", "bfloat16")]
    assert floors[0] == pytest.approx(10 * floors[1])
    head = 2 * BATCH * 128  # forwards; the whole is far more
    assert floors[0] > head
