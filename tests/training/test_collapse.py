"""A training that ended at chance is told, one that learnt or was not asked to is not."""

import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch

from cxr_mtl.base.records import notices
from cxr_mtl.retrieval.collapse import TRAIN
from cxr_mtl.training.collapse import clip_loss_of_chance, training_records
from cxr_mtl.training.losses import LossWeights, clip_loss
from cxr_mtl.training.trainer import Trained, TrainingConfig

ORTHOGONAL, EQUAL = np.eye(24), np.ones((24, 24))


def said(clip, images=ORTHOGONAL, reports=ORTHOGONAL, weights=(1, 1, 1), batch_size=8):
    trained = Trained(None, None, pd.DataFrame(), pd.DataFrame({"clip": [9.0, clip]}))
    config = TrainingConfig(weights=LossWeights(*weights), batch_size=batch_size)
    return notices(training_records(trained, 24, config, images, reports))


@pytest.mark.parametrize(("studies", "batch_size"), [(24, 8), (20, 8), (17, 8), (128, 128)])
def test_chance_is_the_clip_loss_of_equal_embeddings_in_the_batches_of_an_epoch(
    studies, batch_size
):
    ends = [*range(0, studies, batch_size), studies]
    of_batches = [
        clip_loss(torch.ones(b - a, 4), torch.ones(b - a, 4), 0.07).item()
        for a, b in pairwise(ends)
    ]
    assert clip_loss_of_chance(studies, batch_size) == pytest.approx(np.mean(of_batches), abs=1e-6)


def test_a_clip_loss_at_chance_is_told_with_what_to_try():
    assert said(math.log(8) - 0.06) == []
    for clip in (math.log(8) - 0.04, math.log(8), math.log(8) + 2):
        (sentence,) = said(clip)
        assert f"is {clip:.3f}, and 2.079 where" in sentence
        assert sentence.endswith(TRAIN)


def test_equal_embeddings_are_told_by_their_modality():
    assert said(1.0) == []
    (images,) = said(1.0, images=EQUAL)
    (reports,) = said(1.0, reports=EQUAL)
    assert "all images look alike" in images
    assert "all reports look alike" in reports
    assert len(said(math.log(8), EQUAL, EQUAL)) == 3


@pytest.mark.parametrize("weights", [(1, 1, 0), (1, 0, 0), (0, 1, 0)])
def test_nothing_is_told_of_a_loss_that_was_not_trained(weights):
    assert said(math.log(8) + 1, EQUAL, EQUAL, weights) == []


def trained_small(steps):
    """What is said of 24 pairs of vectors, all alike at first, after steps down the CLIP loss."""
    draw = torch.Generator().manual_seed(0)
    pair = [1 + 0.01 * torch.randn(24, 8, generator=draw) for _ in range(2)]
    optimiser = torch.optim.Adam([vectors.requires_grad_() for vectors in pair], lr=0.03)
    for _ in range(steps):
        loss = clip_loss(*pair, 0.07)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    loss = clip_loss(*pair, 0.07).item()
    return said(loss, *(vectors.detach().numpy() for vectors in pair), batch_size=24)


def test_a_small_model_that_learnt_is_no_collapse_and_one_that_did_not_is():
    assert trained_small(steps=200) == []
    assert len(trained_small(steps=0)) == 3
