"""What a training starts from, and that its one call is the long one."""

import numpy as np
import pytest
import torch

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import write_json, write_table
from cxr_mtl.training.losses import LossWeights
from cxr_mtl.training.setup import prepare_training
from cxr_mtl.training.trainer import TrainingConfig, train


@pytest.fixture
def run(tmp_path, studies, untrained_folder, backbone):
    parts = np.repeat(["train", "validation", "test"], 8)
    write_table(tmp_path / "studies.parquet", studies.assign(split=parts))
    recorded = {"source": f"local-dir:{untrained_folder}", "key": backbone.key}
    write_json(tmp_path / "models.json", {"fine_tuned_from": recorded, "general": recorded})
    return tmp_path


@pytest.fixture
def setup(run):
    return prepare_training(run, run / "cache", 1, "float32", "cpu")


def test_the_parts_are_rows_of_the_features_and_labels(setup, studies):
    assert {part: rows.tolist() for part, rows in setup.rows.items()} == {
        "train": list(range(8)),
        "validation": list(range(8, 16)),
        "test": list(range(16, 24)),
    }
    assert setup.labels.tolist() == studies["label"].tolist()
    assert len(setup.features) == len(studies)


def test_a_training_of_the_setup_is_the_training_of_its_pieces(setup):
    config = TrainingConfig(epochs=2, batch_size=4, threads=1)
    before = {name: tensor.clone() for name, tensor in setup.start.weights().items()}
    one = setup.train(config)
    other = train(
        setup.start,
        setup.features,
        setup.labels,
        setup.rows["train"],
        setup.rows["validation"],
        config,
        learned_temperature=setup.backbone.learned_temperature,
    )
    assert one.epochs.equals(other.epochs)
    assert all(torch.equal(t, before[name]) for name, t in setup.start.weights().items())


def test_the_objective_of_some_weights_is_the_mrr_that_their_training_ends_with(setup):
    config = TrainingConfig(epochs=2, batch_size=4, threads=1)
    weights = LossWeights(bce=0.5, supcon=1.0, clip=2.0)
    value = setup.objective(config)(weights, lambda epoch, mrr: None)
    trained = setup.train(config.model_copy(update={"weights": weights}))
    assert value == trained.epochs["validation_mrr"].iloc[-1]


def test_a_run_without_models_is_told(run):
    (run / "models.json").unlink()
    with pytest.raises(InputError, match=r"models\.json is missing"):
        prepare_training(run, run / "cache", 1, "float32", "cpu")


def test_a_config_takes_what_the_parameters_name_alike_and_the_others_win():
    parameters = {"epochs": 7, "seed": 3, "run_dir": "x", "weights": [1, 2, 3]}
    weights = LossWeights(bce=1, supcon=2, clip=3)
    config = TrainingConfig.from_parameters(parameters, weights=weights, epochs=2)
    assert config == TrainingConfig(epochs=2, seed=3, weights=weights)
