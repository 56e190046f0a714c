"""How the cost grows: what is run to measure it, and sums by hand."""

from dataclasses import replace

import pandas as pd
import pytest
import torch

from cxr_mtl.base.errors import InputError
from cxr_mtl.bench import cost_growth
from cxr_mtl.bench.cost_growth import (
    block_timings,
    epoch_timings,
    growth_records,
    plain_epochs,
    prefix_seconds,
    search_seconds,
)
from cxr_mtl.bench.costs import PLAIN, SINGLE_QUERY, Setting, study_batch
from cxr_mtl.bench.timing import Timing
from cxr_mtl.models.features import FrozenPrefix, compute_features
from cxr_mtl.models.last_layer import tower_kinds
from cxr_mtl.training.trainer import TrainingConfig

SETTING = Setting(1, "bfloat16", "float32", plain_repeats=2, fast_repeats=1, device="cpu")
CONFIG = TrainingConfig(epochs=1, batch_size=5)


def weights_of(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(one, other):
    return all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@pytest.fixture
def divided(studies):
    """18 training studies among 6 for validation."""
    return studies.assign(split=["validation", "train", "train", "train"] * 6)


def test_epochs_are_of_all_a_half_and_a_quarter_but_never_fewer_than_a_batch(
    monkeypatch, backbone, divided
):
    seen = []
    monkeypatch.setattr(cost_growth, "train", lambda *given, **named: seen.append((given, named)))
    timings = epoch_timings(backbone.model, None, divided, CONFIG, SETTING)
    assert list(timings) == [5, 9, 18]
    assert {timing.repeats for timing in timings.values()} == {2}
    train_rows = [row for row in range(24) if row % 4]
    counts = [count for count in timings for _ in range(3)]  # one of three does not count
    for (given, named), count in zip(seen, counts, strict=True):
        assert named["train_rows"].tolist() == train_rows[:count]
        assert named["validation_rows"].tolist() == list(range(0, 24, 4))
        assert given[2].tolist() == divided["label"].tolist()


def test_epochs_are_really_trained_and_leave_the_model_as_it_was(backbone, divided, tmp_path):
    features = compute_features(backbone, divided, 1, tmp_path)
    before = weights_of(backbone.model)
    once = replace(SETTING, plain_repeats=1)
    timings = epoch_timings(backbone.model, features, divided, CONFIG, once)
    assert all(timing.low > 0 for timing in timings.values())
    assert same(before, backbone.model.state_dict())
    trained = [p for p in backbone.model.parameters() if p.requires_grad]
    assert 0 < len(trained) < len(list(backbone.model.parameters()))


def test_too_few_training_studies_for_a_batch_are_refused(backbone, divided, tmp_path):
    features = compute_features(backbone, divided, 1, tmp_path)
    large = CONFIG.model_copy(update={"batch_size": 19})
    with pytest.raises(InputError, match="batch_size is 19"):
        epoch_timings(backbone.model, features, divided, large, SETTING)


def test_steps_are_timed_with_0_to_3_unfrozen_blocks_on_tokens_in_memory(
    monkeypatch, backbone, studies
):
    timed, kept = [], []
    whole = cost_growth.training_steps

    def steps(model, batch, cached, *rest):
        kept.append(cached())
        return whole(model, batch, cached, *rest)

    def time_step(step, path, blocks, setting):
        step()
        timed.append((path, blocks))
        return Timing(float(blocks), 0.0, 9.0, 1)

    monkeypatch.setattr(cost_growth, "training_steps", steps)
    monkeypatch.setattr(cost_growth, "time_step", time_step)
    before = weights_of(backbone.model)
    timings = block_timings(backbone.model, study_batch(backbone, studies.head(4)), SETTING)
    deepest = min(3, *(len(kind.blocks_of(backbone.model)) for kind in tower_kinds(backbone.model)))
    depths = range(deepest + 1)
    assert timed == [(path, blocks) for blocks in depths for path in (PLAIN, SINGLE_QUERY)]
    for path in (PLAIN, SINGLE_QUERY):
        assert {blocks: t.median for blocks, t in timings[path].items()} == dict(
            zip(depths, map(float, depths), strict=True)
        )
    assert {tokens.tokens.dtype for both in kept for tokens in both} == {torch.bfloat16}
    assert {tokens.query.dtype for both in kept for tokens in both} == {torch.float32}
    assert same(before, backbone.model.state_dict())


def test_the_frozen_prefix_is_that_of_images_and_reports_per_study(monkeypatch, backbone, studies):
    ran, calls = [], []
    for tower in ("images", "texts"):
        monkeypatch.setattr(
            FrozenPrefix,
            tower,
            lambda self, *given, tower=tower: ran.append((tower, len(given[0]))),
        )

    def measure(function, repeats, **options):
        function()
        calls.append(repeats)
        return Timing(3.0, 1.0, 9.0, repeats)

    monkeypatch.setattr(cost_growth, "measure", measure)
    batch = study_batch(backbone, studies.head(6))
    assert prefix_seconds(backbone.model, batch, SETTING) == 0.5
    assert ran == [("images", 6), ("texts", 6)]
    assert calls == [SETTING.plain_repeats]


EPOCHS = {100: Timing(1.0, 0.9, 1.2, 3), 250: Timing(2.0, 1.9, 2.2, 3)}


def test_an_epoch_of_plain_open_clip_is_its_steps_the_last_one_included():
    step = Timing(10.0, 9.0, 12.0, 3)
    assert plain_epochs(EPOCHS, 100, step) == {100: 10.0, 250: 30.0}


def test_a_search_is_its_trials_and_on_the_fast_path_the_frozen_prefix_once():
    search = search_seconds(3, 5, EPOCHS, {100: 10.0, 250: 30.0}, prefix=7.0)
    assert search.to_dict() == {
        PLAIN: {1: 150.0, 2: 300.0, 3: 450.0},
        SINGLE_QUERY: {1: 17.0, 2: 27.0, 3: 37.0},
    }


def test_records_hold_the_whole_search_in_minutes_and_ratios_by_unfrozen_blocks():
    steps = {
        PLAIN: {0: Timing(6.0, 5.0, 7.0, 3), 1: Timing(8.0, 7.0, 9.0, 3)},
        SINGLE_QUERY: {0: Timing(0.5, 0.4, 0.6, 9), 1: Timing(4.0, 3.0, 5.0, 9)},
    }
    search = pd.DataFrame({PLAIN: [60.0, 120.0], SINGLE_QUERY: [6.0, 9.0]}, index=[1, 2])
    assert growth_records(EPOCHS, steps, search) == [
        {"metric": "times_faster_by_blocks", "unfrozen_blocks": 0, "value": 12.0},
        {"metric": "times_faster_by_blocks", "unfrozen_blocks": 1, "value": 2.0},
        {"metric": "epoch_seconds", "studies": 100, "value": 1.0},
        {"metric": "epoch_seconds", "studies": 250, "value": 2.0},
        {"metric": "trials", "value": 2},
        {"metric": "search_minutes", "path": PLAIN, "value": 2.0},
        {"metric": "search_minutes", "path": SINGLE_QUERY, "value": 0.15},
    ]
