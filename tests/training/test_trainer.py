import math

import numpy as np
import pytest
import torch

from cxr_mtl.base.errors import InputError
from cxr_mtl.models.features import compute_features
from cxr_mtl.models.last_layer import LastLayer, freeze
from cxr_mtl.training import trainer
from cxr_mtl.training.losses import LossWeights
from cxr_mtl.training.trainer import (
    TrainingConfig,
    given_weights,
    learning_rate_factor,
    train,
    validation_mrr,
)

TRAIN, VALIDATION = torch.arange(18), torch.arange(18, 24)
SMALL = {"epochs": 3, "batch_size": 8, "learning_rate": 1e-3, "head_learning_rate": 1e-2}


@pytest.fixture
def start(backbone):
    freeze(backbone.model, 1)
    return LastLayer(backbone.model, 1)


@pytest.fixture
def features(backbone, studies, tmp_path):
    return compute_features(backbone, studies, 1, tmp_path)


@pytest.fixture
def labels(studies):
    return torch.tensor(studies["label"].to_numpy())


def _state(trained):
    return trained.last_layer.weights() | dict(trained.head.named_parameters())


def _equal(one, other):
    return all(torch.equal(tensor, _state(other)[name]) for name, tensor in _state(one).items())


def test_learning_rate_warms_up_linearly_then_follows_a_cosine_to_zero():
    factors = [learning_rate_factor(step, 100, 0.1) for step in range(1, 101)]
    np.testing.assert_allclose(factors[:10], np.arange(1, 11) / 10)
    expected = [(1 + math.cos(math.pi * n / 90)) / 2 for n in range(1, 91)]
    np.testing.assert_allclose(factors[10:], expected)


def test_the_defaults_are_the_papers_hyperparameters():
    config = TrainingConfig()
    assert (config.epochs, config.batch_size) == (20, 128)
    assert (config.learning_rate, config.head_learning_rate) == (1e-5, 1e-4)
    assert config.warmup_fraction == 0.1
    assert config.weights == LossWeights(bce=0.69, supcon=1.97, clip=0.46)


def test_training_lowers_the_loss_and_leaves_the_backbone_as_it_was(start, features, labels):
    before = {name: tensor.clone() for name, tensor in start.weights().items()}
    config = TrainingConfig(**SMALL | {"epochs": 8})
    trained = train(start, features, labels, TRAIN, VALIDATION, config)
    assert trained.epochs["total"].iloc[-1] < trained.epochs["total"].iloc[0]
    assert all(torch.equal(before[name], tensor) for name, tensor in start.weights().items())
    still = {n for n, t in trained.last_layer.weights().items() if torch.equal(before[n], t)}
    assert {name.split(".", 5)[-1] for name in still} == {"attention.self.key.bias"}  # of no effect


def test_one_step_is_adamw_on_the_weighted_sum_with_two_learning_rates(start, features, labels):
    config = TrainingConfig(epochs=1, batch_size=18, dropout=0, warmup_fraction=0)
    last = start.independent_copy()
    for block in last.text.blocks:
        for module in block.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
    trained = train(last, features, labels, TRAIN, VALIDATION, config)
    factor = learning_rate_factor(1, 1, 0)
    assert factor == pytest.approx(0, abs=1e-12)  # a single step ends the cosine: nothing moves
    decayed = last.weights()
    assert all(torch.allclose(decayed[n], t) for n, t in trained.last_layer.weights().items())
    row = trained.steps.iloc[0]
    weights = config.weights
    total = weights.bce * row["bce"] + weights.supcon * row["supcon"] + weights.clip * row["clip"]
    assert row["total"] == pytest.approx(total, rel=1e-6)


@pytest.mark.parametrize("after", [1, 2])
def test_a_killed_run_ends_with_the_same_weights_bit_for_bit(
    start, features, labels, tmp_path, after
):
    config = TrainingConfig(**SMALL)
    whole = train(start, features, labels, TRAIN, VALIDATION, config)

    def kill(epoch):
        if epoch["epoch"] == after:
            raise KeyboardInterrupt

    arguments = (start, features, labels, TRAIN, VALIDATION, config)
    checkpoint = tmp_path / "checkpoint.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train(*arguments, checkpoint=checkpoint, on_epoch=kill)
    resumed = train(*arguments, checkpoint=checkpoint)
    assert _equal(whole, resumed)
    assert whole.steps.equals(resumed.steps)
    assert whole.epochs.equals(resumed.epochs)


def test_a_training_on_one_thread_is_the_same_whatever_the_process_has(start, features, labels):
    arguments = (start, features, labels, TRAIN, VALIDATION, TrainingConfig(**SMALL, threads=1))
    seen, trained = [], []
    before = torch.get_num_threads()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        tell = lambda _: seen.append(torch.get_num_threads())  # noqa: E731
        trained.append(train(*arguments, on_epoch=tell))
        assert torch.get_num_threads() == threads
    torch.set_num_threads(before)
    assert set(seen) == {1}
    assert _equal(*trained)


def test_a_checkpoint_of_other_parameters_is_not_used(start, features, labels, tmp_path):
    checkpoint = tmp_path / "checkpoint.safetensors"
    arguments = (start, features, labels, TRAIN, VALIDATION)
    train(*arguments, TrainingConfig(**SMALL), checkpoint=checkpoint)
    other = TrainingConfig(**SMALL, seed=1)
    resumed = train(*arguments, other, checkpoint=checkpoint)
    assert _equal(resumed, train(*arguments, other))


def test_a_damaged_checkpoint_is_named_with_its_remedy(start, features, labels, tmp_path):
    checkpoint = tmp_path / "checkpoint.safetensors"
    arguments = (start, features, labels, TRAIN, VALIDATION, TrainingConfig(**SMALL))
    train(*arguments, checkpoint=checkpoint)
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1])
    with pytest.raises(
        InputError, match=r"checkpoint\.safetensors .* damaged .*: delete it and run"
    ):
        train(*arguments, checkpoint=checkpoint)
    checkpoint.unlink()
    train(*arguments, checkpoint=checkpoint)


def test_an_infinite_loss_stops_at_its_step_and_keeps_the_last_good_checkpoint(
    start, features, labels, tmp_path, monkeypatch
):
    checkpoint = tmp_path / "checkpoint.safetensors"
    arguments = (start, features, labels, TRAIN, VALIDATION, TrainingConfig(**SMALL))
    steps = []

    def breaks_in_the_second_epoch(*values):
        losses = trainer_losses(*values)
        steps.append(1)
        return {n: v * float("nan") if len(steps) > 4 else v for n, v in losses.items()}

    trainer_losses = trainer.multi_task_loss
    monkeypatch.setattr(trainer, "multi_task_loss", breaks_in_the_second_epoch)
    with pytest.raises(InputError, match=r"step 5 of epoch 2 .*last good checkpoint"):
        train(*arguments, checkpoint=checkpoint)
    monkeypatch.undo()
    assert _equal(train(*arguments, checkpoint=checkpoint), train(*arguments))


def test_validation_mrr_equals_a_loop_over_queries():
    images, texts = np.random.default_rng(0).normal(size=(2, 7, 5)).astype(np.float32)
    reciprocal = []
    for i, image in enumerate(images):
        cosine = [image @ t / np.linalg.norm(image) / np.linalg.norm(t) for t in texts]
        reciprocal.append(1 / (1 + sum(c > cosine[i] for c in cosine)))
    assert validation_mrr(images, texts)[0] == pytest.approx(np.mean(reciprocal))
    assert validation_mrr(texts, images)[1] == pytest.approx(np.mean(reciprocal))


def test_unknown_labels_train_the_clip_loss_alone(start, features, labels):
    unknown = torch.full_like(labels, -1)
    config = TrainingConfig(**SMALL, weights=LossWeights(bce=0, supcon=0, clip=1))
    trained = train(start, features, unknown, TRAIN, VALIDATION, config)
    assert np.isfinite(trained.steps["total"]).all()
    with pytest.raises(InputError, match="label"):
        train(start, features, unknown, TRAIN, VALIDATION, TrainingConfig(**SMALL))


def test_the_supcon_loss_may_see_one_modality_and_sees_the_fused_embeddings_by_default(
    start, features, labels
):
    arguments = (start, features, labels, TRAIN, VALIDATION)
    trained = {
        on: train(*arguments, TrainingConfig(**SMALL, supcon_on=on))
        for on in ("fused", "image", "text")
    }
    assert _equal(trained["fused"], train(*arguments, TrainingConfig(**SMALL)))
    first = {on: one.steps["supcon"].iloc[0] for on, one in trained.items()}
    assert len(set(first.values())) == 3
    with pytest.raises(InputError, match="supcon_on is 'both'"):
        TrainingConfig(supcon_on="both")


def test_a_batch_larger_than_the_data_is_refused(start, features, labels):
    with pytest.raises(InputError, match="batch_size is 128 but there are only 18"):
        train(start, features, labels, TRAIN, VALIDATION, TrainingConfig())


@pytest.mark.parametrize(
    ("name", "value"), [("epochs", 0), ("learning_rate", -1), ("dropout", 1.0), ("epoch", 5)]
)
def test_a_parameter_out_of_range_is_named(name, value):
    with pytest.raises(InputError, match=f"{name} is {value}"):
        TrainingConfig(**{name: value})


def test_bfloat16_ends_near_float32(start, features, labels):
    arguments = (start, features, labels, TRAIN, VALIDATION)
    exact = train(*arguments, TrainingConfig(**SMALL))
    half = train(*arguments, TrainingConfig(**SMALL, precision="bfloat16"))
    np.testing.assert_allclose(half.epochs["total"], exact.epochs["total"], rtol=0.05)


def test_given_weights_are_bce_supcon_clip_and_fewer_or_more_are_refused():
    assert given_weights([0.1, 0.2, 0.3]) == LossWeights(bce=0.1, supcon=0.2, clip=0.3)
    for wrong in ([0, 1], [1] * 9, []):
        with pytest.raises(InputError, match=r"each for λ₁ \(BCE\), λ₂ \(SupCon\), λ₃ \("):
            given_weights(wrong)
