import optuna
import pytest

from cxr_mtl.errors import InputError
from cxr_mtl.search import PAPER_WEIGHTS, RANGES, search_weights


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


def test_a_trial_left_running_by_a_killed_process_is_run_again(tmp_path):
    storage = tmp_path / "s.db"
    search_weights(peak_at_the_papers_weights, storage, "a", trials=2)
    optuna.load_study(study_name="a", storage=f"sqlite:///{storage}").ask()
    result = search_weights(peak_at_the_papers_weights, storage, "a", trials=4)
    complete = result.study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
    assert len(complete) == 4


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


def test_no_trials_and_a_file_that_is_no_database_are_refused(tmp_path):
    with pytest.raises(InputError, match="trials is 0"):
        search_weights(peak_at_the_papers_weights, tmp_path / "s.db", "a", trials=0)
    (tmp_path / "not.db").write_text("a text file, not a database " * 50)
    with pytest.raises(InputError, match=r"not\.db"):
        search_weights(peak_at_the_papers_weights, tmp_path / "not.db", "a")
