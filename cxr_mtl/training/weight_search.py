"""Bayesian search over the loss weights: Optuna's TPE on a validation retrieval metric."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import FloatDistribution
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, TrialState
from torch import Tensor

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.processes import Workers
from cxr_mtl.models.features import Features
from cxr_mtl.models.last_layer import LastLayer
from cxr_mtl.training.losses import LOSS_TERMS, LossWeights
from cxr_mtl.training.trainer import TrainingConfig, train
from cxr_mtl.training.trial_database import open_study, told

RANGES = {name: term.search_range for name, term in LOSS_TERMS.items()}

Report = Callable[[int, float], None]
Objective = Callable[[LossWeights, Report], float]

_SPACE = {name: FloatDistribution(*ends) for name, ends in RANGES.items()}


@dataclass(frozen=True)
class SearchResult:
    """The weights of the best trial, its objective, and all trials as an Optuna study."""

    weights: LossWeights
    value: float
    study: optuna.Study


def search_weights(
    objective: Objective,
    storage: Path,
    name: str,
    *,
    trials: int = 20,
    workers: int = 1,
    seed: int = 0,
    pruning: bool = False,
    first: LossWeights | None = None,
    on_trial: Callable[[FrozenTrial], None] | None = None,
) -> SearchResult:
    """Maximise `objective(weights, report)` over the paper's ranges with `trials` trials.

    Trials run in generations of `workers`, each trial in a process of its own with an equal share
    of the cores; `workers` 1 stays in this process. The first trial has the weights `first`, if
    there are any. A generation is proposed from all earlier ones, and each of its trials in the
    knowledge of which weights the others try, so other `workers` mean other trials, and how long a
    trial takes means nothing. For several workers the objective must be picklable, such as an
    `TrainingObjective`.

    `report(epoch, value)` tells a running trial's intermediate value and prunes it when `pruning`
    says that half of the earlier generations' trials did better. Finished trials are kept in an
    SQLite file under `name`: a search that was killed goes on where it stopped, and proposes what
    an uninterrupted one would have, its interrupted trials included. `on_trial` is called in this
    process for every trial that finishes, in the order of their numbers.

    Raises:
        InputError: fewer than 1 trial or worker, a storage that cannot be used, now or later (as
            in `open_study`) or holds other trials, an objective that no other process can import,
            or a worker that died; the other trials of its generation are kept.
    """
    for option, value in (("trials", trials), ("workers", workers)):
        if value < 1:
            raise InputError(f"{option} is {value}: give at least 1")
    kept = open_study(storage, name)
    with told(storage):
        finished = {trial.number: trial for trial in _finished(kept, storage)}
    generations = [range(n, min(n + workers, trials)) for n in range(0, trials, workers)]
    unfinished = [numbers for numbers in generations if not finished.keys() >= set(numbers)]
    if unfinished:
        with _runner(objective, workers) as run:
            for numbers in unfinished:
                earlier = [finished[number] for number in range(numbers[0])]
                proposed = _propose(earlier, len(numbers), seed, pruning, first)
                for trial in run([p for p in proposed if p.number not in finished]):
                    with told(storage):
                        kept.add_trial(trial)
                    finished[trial.number] = trial
                    if on_trial:
                        on_trial(trial)
    study = _study(finished[number] for number in range(trials))
    return SearchResult(LossWeights(**study.best_params), study.best_value, study)


@dataclass(frozen=True)
class _Proposal:
    """A trial to be run, and the finished trials it may be pruned against."""

    number: int
    params: dict[str, float]
    rivals: Sequence[FrozenTrial]

    def __str__(self) -> str:
        weights = ", ".join(f"{name} {value:.4g}" for name, value in self.params.items())
        return f"trial {self.number + 1} ({weights})"


def _propose(
    earlier: Sequence[FrozenTrial],
    count: int,
    seed: int,
    pruning: bool,
    first: LossWeights | None,
) -> list[_Proposal]:
    """The trials of a generation, from the results of the earlier ones and nothing else."""
    study = _study(earlier)
    if first and not earlier:
        study.enqueue_trial(vars(first))
    proposed = []
    for number in range(len(earlier), len(earlier) + count):
        study.sampler = TPESampler(seed=seed + number, constant_liar=True)
        params = study.ask(_SPACE).params
        proposed.append(_Proposal(number, params, earlier if pruning else ()))
    return proposed


@contextmanager
def _runner(
    objective: Objective, workers: int
) -> Iterator[Callable[[Sequence[_Proposal]], Iterator[FrozenTrial]]]:
    run = partial(_run_trial, objective)
    if workers == 1:
        yield partial(map, run)
    else:
        with Workers(run, workers) as pool:
            yield pool.run


def _run_trial(objective: Objective, proposal: _Proposal) -> FrozenTrial:
    """Run one trial in a study of its own; the caller keeps what it came to."""
    study = _study(proposal.rivals, pruner=optuna.pruners.MedianPruner())
    study.enqueue_trial(proposal.params, user_attrs={"number": proposal.number})
    trial = study.ask(_SPACE)

    def report(epoch: int, value: float) -> None:
        trial.report(value, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned

    try:
        value = objective(LossWeights(**proposal.params), report)
        done = study.tell(trial, value, state=TrialState.COMPLETE)
    except optuna.TrialPruned:
        done = study.tell(trial, state=TrialState.PRUNED)
    done.number = proposal.number
    return done


def _finished(kept: optuna.Study, storage: Path) -> Iterator[FrozenTrial]:
    """The kept trials under the numbers they were proposed with.

    After a failure the database holds them in another order.
    """
    for trial in kept.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED)):
        number = trial.user_attrs.get("number")
        if not isinstance(number, int) or trial.params.keys() != _SPACE.keys():
            raise InputError(
                f"{storage} holds trials of another program or version under the name "
                f"{kept.study_name}: move it away and run again"
            )
        trial.number = number
        yield trial


def _study(trials: Iterable[FrozenTrial] = (), **options: Any) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", **options)
    study.add_trials(trials)
    return study


@dataclass(frozen=True)
class TrainingObjective:
    """Trains a copy of `start` with given weights; an object, so that worker processes can call it.

    The weights named in `config` are not used. Shapes: labels [studies] of 0, 1 or -1 (unknown),
    rows [n] into features and labels.
    """

    start: LastLayer
    features: Features
    labels: Tensor
    train_rows: Tensor
    validation_rows: Tensor
    config: TrainingConfig
    learned_temperature: float | None = None
    device: str = "cpu"

    def __call__(self, weights: LossWeights, report: Report) -> float:
        """Mean reciprocal rank of the validation studies after the last epoch, both directions.

        `report(epoch, value)` is told it after every epoch.
        """
        trained = train(
            self.start,
            self.features,
            self.labels,
            self.train_rows,
            self.validation_rows,
            self.config.model_copy(update={"weights": weights}),
            learned_temperature=self.learned_temperature,
            device=self.device,
            on_epoch=lambda epoch: report(int(epoch["epoch"]), epoch["validation_mrr"]),
        )
        return float(trained.epochs["validation_mrr"].iloc[-1])
