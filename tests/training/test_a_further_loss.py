"""A loss given with its weight reaches all that names losses, without another line of code."""

import sys
from dataclasses import dataclass, fields
from importlib import import_module
from typing import Annotated, get_args

import pytest
import torch
import torch.nn.functional as F

from cxr_mtl.ablations import variants
from cxr_mtl.figures import common
from cxr_mtl.models.features import compute_features
from cxr_mtl.models.last_layer import LastLayer, freeze
from cxr_mtl.training import losses, trainer, weight_search
from cxr_mtl.training.losses import LOSS_TERMS, PAPER_WEIGHTS, LossTerm, LossWeights

USERS = (trainer, weight_search, variants, common)


def distance_loss(batch):
    images, texts = F.normalize(batch.images, dim=-1), F.normalize(batch.texts, dim=-1)
    return (images - texts).square().sum(dim=1).mean()


@dataclass(frozen=True)
class MoreWeights(LossWeights):
    distance: Annotated[
        float,
        LossTerm(
            symbol="λ",
            title="Distance",
            value=distance_loss,
            paper_weight=0.0,
            search_range=(0.0, 2.0),
            colour="#123456",
            needs_labels=False,
        ),
    ] = 0.0


@pytest.fixture
def users(monkeypatch):
    """The modules that name losses, imported anew with a further loss among them."""
    terms = {field.name: get_args(field.type)[1] for field in fields(MoreWeights)}
    monkeypatch.setattr(losses, "LossWeights", MoreWeights)
    monkeypatch.setattr(losses, "LOSS_TERMS", terms)
    monkeypatch.setattr(losses, "PAPER_WEIGHTS", MoreWeights(**vars(PAPER_WEIGHTS)))
    for module in USERS:
        package, _, name = module.__name__.rpartition(".")
        monkeypatch.setattr(sys.modules[package], name, module)  # restores what the import sets
        monkeypatch.delitem(sys.modules, module.__name__)
    return [import_module(module.__name__) for module in USERS]


def test_the_papers_weights_lie_in_their_ranges():
    for term in LOSS_TERMS.values():
        low, high = term.search_range
        assert low <= term.paper_weight <= high


def test_it_is_trained_with_its_weight_and_recorded(users, backbone, studies, tmp_path):
    anew, *_ = users
    freeze(backbone.model, 1)
    weights = anew.given_weights([0.1 * (n + 1) for n in range(len(LOSS_TERMS) + 1)])
    config = anew.TrainingConfig(weights=weights, epochs=1, batch_size=9)
    trained = anew.train(
        LastLayer(backbone.model, 1),
        compute_features(backbone, studies, 1, tmp_path),
        torch.tensor(studies["label"].to_numpy()),
        torch.arange(18),
        torch.arange(18, 24),
        config,
    )
    assert len(trained.steps) == 2
    for _, row in trained.steps.iterrows():
        assert row["distance"] > 0
        total = sum(weight * row[name] for name, weight in vars(weights).items())
        assert row["total"] == pytest.approx(total, rel=1e-6)
    last = trained.epochs["distance"].iloc[-1]
    assert last == pytest.approx(trained.steps["distance"].mean())


def test_its_weight_is_searched_in_its_range_and_starts_at_the_papers(users, tmp_path):
    _, search, *_ = users

    def objective(weights, report):
        return -abs(weights.distance - 1)

    found = search.search_weights(
        objective, tmp_path / "s.db", "a", trials=4, first=MoreWeights(**vars(PAPER_WEIGHTS))
    )
    tried = [trial.params["distance"] for trial in found.study.trials]
    assert tried[0] == 0
    assert len(set(tried)) == 4
    assert all(0 <= weight <= 2 for weight in tried)


def test_it_is_ablated_and_drawn_under_its_name(users):
    anew, _, ablations, figures = users
    baseline = anew.TrainingConfig(weights=MoreWeights(0, 0, 1, distance=1))
    made = ablations.list_variants(baseline, 1, seeds=1, depths=())
    assert {v.name for v in made if v.group == "losses"} == {"CLIP", "Distance"}
    assert figures.LOSS_COLOURS["distance"] == "#123456"
    assert figures.LOSS_WORDS["distance"] == "Distance"
    assert len(set(figures.LOSS_COLOURS.values())) == len(figures.LOSS_WORDS)
