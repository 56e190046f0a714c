"""Bayesian search over the three loss weights: Optuna's TPE on a validation retrieval metric."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.distributions import FloatDistribution
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState

from cxr_mtl.errors import InputError
from cxr_mtl.losses import LossWeights

RANGES = {"bce": (0.1, 1.0), "supcon": (0.2, 2.0), "clip": (0.2, 2.0)}
PAPER_WEIGHTS = LossWeights(bce=0.69, supcon=1.97, clip=0.46)

Objective = Callable[[LossWeights, Callable[[int, float], None]], float]


@dataclass(frozen=True)
class SearchResult:
    """The weights of the best trial, its objective, and the whole Optuna study."""

    weights: LossWeights
    value: float
    study: optuna.Study


def search_weights(
    objective: Objective,
    storage: Path,
    name: str,
    *,
    trials: int = 20,
    seed: int = 0,
    pruning: bool = False,
    on_trial: Callable[[FrozenTrial], None] | None = None,
) -> SearchResult:
    """Maximise `objective(weights, report)` over the paper's ranges with `trials` trials.

    `report(epoch, value)` tells a running trial's intermediate value and prunes it when `pruning`
    says that half of the earlier trials did better. Trials are kept in an SQLite file under
    `name`: a search that was killed goes on where it stopped, and its interrupted trial is run
    again with the same weights. The sampler is seeded anew for every trial, so an interrupted
    search proposes what an uninterrupted one would have.

    Raises:
        InputError: fewer than 1 trial, or the storage is not an Optuna database.
    """
    if trials < 1:
        raise InputError(f"trials is {trials}: give at least 1")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage.parent.mkdir(parents=True, exist_ok=True)
    try:
        study = optuna.create_study(
            storage=f"sqlite:///{storage}",
            study_name=name,
            direction="maximize",
            pruner=optuna.pruners.MedianPruner() if pruning else optuna.pruners.NopPruner(),
            load_if_exists=True,
        )
    except Exception as error:
        raise InputError(
            f"{storage} cannot be opened as an Optuna database ({type(error).__name__}): move it "
            "away and run again"
        ) from error
    for interrupted in study.get_trials(states=(TrialState.RUNNING,), deepcopy=False):
        study.tell(interrupted.number, state=TrialState.FAIL)
    while (done := len(_finished(study))) < trials:
        _run_trial(study, objective, seed + done)
        if on_trial:
            on_trial(study.trials[-1])
    best = study.best_trial
    return SearchResult(LossWeights(**best.params), best.value, study)


def _finished(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED), deepcopy=False)


def _run_trial(study: optuna.Study, objective: Objective, seed: int) -> None:
    study.sampler = TPESampler(seed=seed)
    trial: Trial = study.ask({name: FloatDistribution(*ends) for name, ends in RANGES.items()})

    def report(epoch: int, value: float) -> None:
        trial.report(value, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned

    try:
        study.tell(trial, objective(LossWeights(**trial.params), report))
    except optuna.TrialPruned:
        study.tell(trial, state=TrialState.PRUNED)
    except BaseException:
        study.tell(trial, state=TrialState.FAIL)
        raise
