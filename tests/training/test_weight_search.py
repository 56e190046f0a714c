import os
import signal
import time
from dataclasses import astuple, dataclass
from pathlib import Path

import optuna
import pytest
import torch

from cxr_mtl.base.errors import InputError
from cxr_mtl.models.features import compute_features
from cxr_mtl.models.last_layer import LastLayer, freeze
from cxr_mtl.training import weight_search
from cxr_mtl.training.losses import PAPER_WEIGHTS, LossWeights
from cxr_mtl.training.trainer import TrainingConfig, train
from cxr_mtl.training.weight_search import RANGES, TrainingObjective, search_weights


def peak_at_the_papers_weights(weights, report):
    pairs = ((getattr(weights, n), getattr(PAPER_WEIGHTS, n)) for n in RANGES)
    return -sum((a - b) ** 2 for a, b in pairs)


def test_the_search_stays_in_the_papers_ranges_and_beats_its_first_trial(tmp_path):
    result = search_weights(peak_at_the_papers_weights, tmp_path / "s.db", "a", trials=25)
    for trial in result.study.trials:
        assert all(low <= trial.params[n] <= high for n, (low, high) in RANGES.items())
    assert result.value == max(t.value for t in result.study.trials)
    assert result.value > result.study.trials[0].value


def test_an_interrupted_search_proposes_what_an_uninterrupted_one_does(tmp_path):
    whole = search_weights(peak_at_the_papers_weights, tmp_path / "w.db", "a", trials=12)
    calls = []

    def killed_once(weights, report):
        calls.append(weights)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return peak_at_the_papers_weights(weights, report)

    with pytest.raises(KeyboardInterrupt):
        search_weights(killed_once, tmp_path / "k.db", "a", trials=12)
    resumed = search_weights(killed_once, tmp_path / "k.db", "a", trials=12)
    assert len(calls) == 13
    assert calls[5] == calls[6]
    complete = resumed.study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
    assert [t.params for t in complete] == [t.params for t in whole.study.trials]
    assert resumed.weights == whole.weights


def test_a_finished_search_runs_nothing(tmp_path):
    search_weights(peak_at_the_papers_weights, tmp_path / "s.db", "a", trials=3)
    again = search_weights(None, tmp_path / "s.db", "a", trials=3)
    assert len(again.study.trials) == 3


def test_pruning_stops_trials_that_lag_behind(tmp_path):
    calls = []

    def worse_every_time(weights, report):
        calls.append(1)
        for epoch in range(1, 5):
            report(epoch, -float(len(calls)))
        return -float(len(calls))

    result = search_weights(worse_every_time, tmp_path / "s.db", "a", trials=8, pruning=True)
    states = [trial.state for trial in result.study.trials]
    assert optuna.trial.TrialState.PRUNED in states
    assert result.value == -1


def test_no_trials_no_workers_and_a_storage_of_another_kind_are_refused(tmp_path):
    with pytest.raises(InputError, match="trials is 0"):
        search_weights(peak_at_the_papers_weights, tmp_path / "s.db", "a", trials=0)
    with pytest.raises(InputError, match="workers is 0"):
        search_weights(peak_at_the_papers_weights, tmp_path / "s.db", "a", workers=0)
    (tmp_path / "not.db").write_text("a text file, not a database " * 50)
    with pytest.raises(InputError, match=r"not\.db"):
        search_weights(peak_at_the_papers_weights, tmp_path / "not.db", "a")
    foreign = optuna.create_study(
        storage=f"sqlite:///{tmp_path}/s.db", study_name="a", direction="maximize"
    )
    foreign.tell(foreign.ask(), 1.0)
    with pytest.raises(InputError, match=r"s\.db holds trials of another program"):
        search_weights(peak_at_the_papers_weights, tmp_path / "s.db", "a")


@dataclass(frozen=True)
class Uneven:
    """The peak at the paper's weights, by processes that take their time or die."""

    dies_at: LossWeights | None = None
    marker: Path | None = None

    def __call__(self, weights, report):
        if weights == self.dies_at and not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.05 * (weights.bce > 0.5))
        return peak_at_the_papers_weights(weights, report)


class InThisProcess:
    """Stands in for `Workers`: calls in reverse order, yields in order."""

    def __init__(self, function, count):
        self.function, self.count = function, count

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def run(self, calls):
        assert len(calls) <= self.count
        yield from [self.function(call) for call in reversed(calls)][::-1]


def outcome(study):
    return [(trial.number, trial.state, trial.params, trial.value) for trial in study.trials]


def asked(trials, generation, first=None):
    """The oracle: Optuna's own ask and tell, one generation after the other."""
    study = optuna.create_study(direction="maximize")
    if first:
        study.enqueue_trial(first)
    space = {n: optuna.distributions.FloatDistribution(*ends) for n, ends in RANGES.items()}
    for first in range(0, trials, generation):
        together = []
        for number in range(first, min(first + generation, trials)):
            study.sampler = optuna.samplers.TPESampler(seed=number, constant_liar=True)
            together.append(study.ask(space))
        for trial in together:
            study.tell(trial, peak_at_the_papers_weights(LossWeights(**trial.params), None))
    return study


def test_two_workers_run_what_asking_two_trials_at_a_time_proposes(tmp_path):
    seen = []
    found = search_weights(
        Uneven(), tmp_path / "s.db", "a", trials=15, workers=2, on_trial=seen.append
    )
    oracle = asked(15, generation=2)
    assert outcome(found.study) == outcome(oracle)
    assert astuple(found.weights) == tuple(oracle.best_params[name] for name in RANGES)
    assert [trial.number for trial in seen] == list(range(15))
    alone = search_weights(Uneven(), tmp_path / "s.db", "alone", trials=15)
    assert outcome(alone.study) != outcome(found.study)


@pytest.mark.parametrize("workers", [1, 3])
def test_the_first_trial_has_the_weights_that_are_given(tmp_path, monkeypatch, workers):
    monkeypatch.setattr(weight_search, "Workers", InThisProcess)
    options = {"first": LossWeights(0.2, 0.3, 0.4), "workers": workers}
    for trials in (2, 13):  # the second call goes on from the first
        found = search_weights(
            peak_at_the_papers_weights, tmp_path / "s.db", "a", trials=trials, **options
        )
    params = [trial.params for trial in found.study.trials]
    assert params[0] == vars(options["first"])
    assert params[0] not in params[1:]
    oracle = asked(13, workers, vars(options["first"]))
    assert params == [trial.params for trial in oracle.trials]


def test_a_worker_that_dies_is_named_and_only_its_trial_is_run_again(tmp_path, monkeypatch):
    whole = asked(8, generation=2).trials
    fatal = Uneven(LossWeights(**whole[4].params), tmp_path / "died")
    seen = []
    options = {"trials": 8, "workers": 2, "on_trial": lambda trial: seen.append(trial.number)}
    with pytest.raises(InputError) as error:
        search_weights(fatal, tmp_path / "s.db", "a", **options)
    weights = ", ".join(f"{name} {getattr(fatal.dies_at, name):.4g}" for name in RANGES)
    assert str(error.value).startswith(f"the process of trial 5 ({weights}) ended by signal")
    assert seen == [0, 1, 2, 3, 5]
    monkeypatch.setattr(weight_search, "Workers", InThisProcess)
    resumed = search_weights(fatal, tmp_path / "s.db", "a", **options)
    assert seen == [0, 1, 2, 3, 5, 4, 6, 7]
    assert outcome(resumed.study) == outcome(asked(8, generation=2))


@pytest.mark.parametrize("told", [2, 3, 11])
def test_a_search_interrupted_within_a_generation_proposes_what_a_whole_one_does(
    tmp_path, monkeypatch, told
):
    monkeypatch.setattr(weight_search, "Workers", InThisProcess)
    seen = []

    def interrupt(trial):
        seen.append(trial.number)
        if len(seen) == told:
            raise KeyboardInterrupt

    options = {"trials": 13, "workers": 3, "on_trial": interrupt}
    with pytest.raises(KeyboardInterrupt):
        search_weights(peak_at_the_papers_weights, tmp_path / "s.db", "a", **options)
    resumed = search_weights(peak_at_the_papers_weights, tmp_path / "s.db", "a", **options)
    assert seen == list(range(13))
    whole = asked(13, generation=3)
    assert outcome(resumed.study) == outcome(whole)


def test_more_trials_go_on_from_those_there_are_and_fewer_take_the_first(tmp_path, monkeypatch):
    monkeypatch.setattr(weight_search, "Workers", InThisProcess)
    for trials in (4, 13):
        found = search_weights(
            peak_at_the_papers_weights, tmp_path / "s.db", "a", trials=trials, workers=3
        )
    whole = outcome(asked(13, generation=3))
    assert outcome(found.study) == whole
    fewer = search_weights(None, tmp_path / "s.db", "a", trials=5, workers=3)
    assert outcome(fewer.study) == whole[:5]


def test_within_a_generation_no_trial_prunes_another(tmp_path, monkeypatch):
    monkeypatch.setattr(weight_search, "Workers", InThisProcess)
    seen = []

    def worse_every_time(weights, report):
        seen.append(weights)
        report(1, -float(len(seen)))
        return -float(len(seen))

    found = search_weights(
        worse_every_time, tmp_path / "s.db", "a", trials=12, workers=6, pruning=True
    )
    pruned = [trial.state == optuna.trial.TrialState.PRUNED for trial in found.study.trials]
    assert pruned == [False] * 6 + [True] * 6


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
