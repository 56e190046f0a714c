import pytest
import torch

from cxr_mtl.features import compute_features
from cxr_mtl.last_layer import LastLayer, freeze
from cxr_mtl.losses import LossWeights
from cxr_mtl.objective import TrainingObjective
from cxr_mtl.search import search_weights
from cxr_mtl.trainer import TrainingConfig, train


@pytest.fixture
def objective(backbone, studies, tmp_path):
    freeze(backbone.model, 1)
    return TrainingObjective(
        LastLayer(backbone.model, 1),
        compute_features(backbone, studies, 1, tmp_path),
        torch.tensor(studies["label"].to_numpy()),
        torch.arange(18),
        torch.arange(18, 24),
        TrainingConfig(epochs=2, batch_size=8, learning_rate=1e-3, temperature=None),
        learned_temperature=0.1,
    )


def test_the_objective_is_the_last_validation_mrr_of_a_training_with_those_weights(objective):
    weights, told = LossWeights(0.3, 0.4, 0.5), []
    value = objective(weights, lambda epoch, mrr: told.append((epoch, mrr)))
    o = objective
    trained = train(
        o.start,
        o.features,
        o.labels,
        o.train_rows,
        o.validation_rows,
        TrainingConfig(
            weights=weights, epochs=2, batch_size=8, learning_rate=1e-3, temperature=0.1
        ),
    )
    assert told == list(enumerate(trained.epochs["validation_mrr"], start=1))
    assert value == told[-1][1]


def test_worker_processes_come_to_the_same_values(objective, tmp_path):
    found = search_weights(objective, tmp_path / "s.db", "a", trials=2, workers=2)
    for trial in found.study.trials:
        told = {}
        value = objective(LossWeights(**trial.params), told.__setitem__)
        assert trial.value == pytest.approx(value)
        assert trial.intermediate_values == pytest.approx(told)
