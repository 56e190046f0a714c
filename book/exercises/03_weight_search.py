# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   cxr_mtl:
#     needs: [best_weights.json, trials.parquet]
# ---

# %% [markdown]
# # Exercises: the weight search
#
# These go with [the chapter on the weight search](../03_weight_search). They read the trials that it
# left. Where something must be trained, a toy stands in: two linear towers and a fusion head,
# trained with the book's own losses in a moment.

# %% tags=["hide-input"]
import cxr_mtl  # noqa: F401  First: it silences a remark of tqdm.

# isort: split
from functools import partial
from math import ceil, log

import numpy as np
import optuna
import pandas as pd
import torch
from optuna.distributions import FloatDistribution
from optuna.samplers import RandomSampler, TPESampler
from scipy.stats import loguniform
from torch import nn

from cxr_mtl.base import read_json, read_table
from cxr_mtl.models import FusionHead
from cxr_mtl.runs import (
    check_parameters,
    expect_between,
    expect_close,
    expect_equal,
    expect_numbers,
    expect_table,
    open_run,
)
from cxr_mtl.training import (
    PAPER_WEIGHTS,
    LossWeights,
    multi_task_loss,
    trainer,
    weight_search,
)

optuna.logging.set_verbosity(optuna.logging.WARNING)
torch.set_num_threads(
    1
)  # The toy is tiny: threads would wait for each other.

# %% tags=["parameters"]
run_dir: str = "runs/demo"  # folder of this run
seed: int = 0  # seed of every random choice

# %%
check_parameters(globals())
run = open_run(run_dir)
trials = read_table(run / "trials.parquet")
trials.head()

# %% [markdown]
# The toy: an image and its report are two noisy views of the same 12 numbers, the first of which
# also says the label. `train_toy` trains on 64 such studies and embeds 64 others.


# %%
def toy_studies(rng, count=64):
    labels = np.arange(count) % 2
    shared = rng.standard_normal((count, 12))
    shared[:, 0] += 3 * labels
    views = (
        shared + rng.normal(0, 0.7, shared.shape) for _ in range(2)
    )
    return *(
        torch.tensor(view).float() for view in views
    ), torch.tensor(labels)


toy_rng = np.random.default_rng(0)
toy_train, toy_validation = toy_studies(toy_rng), toy_studies(toy_rng)
adamw = partial(torch.optim.AdamW, lr=0.02)


def train_toy(weights, seed=0, make_optimiser=adamw):
    """Embeddings of the other 64, twice [64, 8], and the last loss."""
    torch.manual_seed(seed)
    towers = nn.Linear(12, 8), nn.Linear(12, 8)
    model = nn.ModuleList([*towers, FusionHead(8, dropout=0.0)])
    optimiser = make_optimiser(model.parameters())
    images, texts, labels = toy_train
    for _ in range(40):
        v, t = towers[0](images), towers[1](texts)
        logits = model[2](v, t)
        loss = multi_task_loss(v, t, logits, labels, weights, 0.07)[
            "total"
        ]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    pairs = zip(towers, toy_validation, strict=False)
    found = [tower(view).detach().numpy() for tower, view in pairs]
    return *found, float(loss.detach())


# %% [markdown]
# ```{exercise} Read the best trial
# :label: ex-03-best-trial
#
# *Two minutes.* The table `trials` has a row per trial: its objective `value`, its weights
# `params_bce`, `params_supcon` and `params_clip`, and its `state`. A trial that was stopped early
# has the state `PRUNED` and still carries a value, the last one it reported. It did not finish, so
# it cannot win.
#
# Write `best_weights(trials)`, which returns the `LossWeights` of the best trial of state
# `COMPLETE`, the earliest where several are equal. The check asks about four trials made up, and
# compares with the weights that the chapter handed to the training.
# ```

# %% [markdown]
# ```{solution-start} ex-03-best-trial
# :class: dropdown
# ```


# %% tags=["solution"]
def best_weights(trials: pd.DataFrame) -> LossWeights:
    """The weights of the completed trial with the highest objective."""
    ### BEGIN SOLUTION
    completed = trials[trials["state"] == "COMPLETE"]
    best = completed.loc[completed["value"].idxmax()]
    return LossWeights(
        bce=best["params_bce"],
        supcon=best["params_supcon"],
        clip=best["params_clip"],
    )
    ### END SOLUTION


# %% tags=["check"]
toy = pd.DataFrame(
    {
        "value": [0.2, 0.5, 0.4, 0.9],
        "params_bce": [0.1, 0.2, 0.3, 0.4],
        "params_supcon": [1.1, 1.2, 1.3, 1.4],
        "params_clip": [0.5, 0.6, 0.7, 0.8],
        "state": ["COMPLETE", "COMPLETE", "COMPLETE", "PRUNED"],
    }
)
expect_equal(
    best_weights(toy),
    LossWeights(bce=0.2, supcon=1.2, clip=0.6),
    "best of four trials, of which the fourth is pruned",
)
expect_equal(
    best_weights(trials),
    LossWeights(**read_json(run / "best_weights.json")),
    "weights that the chapter kept",
)
print("ex-03-best-trial: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} How many random trials are enough?
# :label: ex-03-random-trials
#
# *Ten minutes.* Forget the estimator and draw weights at random. However many weights there are and
# whatever the objective looks like, a draw falls among the best share $q$ of all possible draws with
# probability $q$. After how many draws is at least one among them with probability $p$ or more?
#
# Write `random_trials(share, probability)`, which returns that number, an `int`, for both arguments
# between 0 and 1. The check counts upwards until the probability is reached.
# ```

# %% [markdown]
# ```{solution-start} ex-03-random-trials
# :class: dropdown
# ```


# %% tags=["solution"]
def random_trials(share: float, probability: float) -> int:
    """Draws until `probability` that one is in the best `share`."""
    ### BEGIN SOLUTION
    # All n miss with (1 - share)^n: at most 1 - probability.
    return ceil(log(1 - probability) / log(1 - share))
    ### END SOLUTION


# %% [markdown] tags=["solution"]
# About 60 random trials find one of the best 5 % of all weights with 95 % probability. The paper's
# 20 trials give the best 14 % that certainty. That is the yardstick for a search of 20 trials: it
# must do better than this to be worth its machinery. Yet the best 5 % of the *weights* may be far
# from the best *objective*, where the peak is narrow.

# %% tags=["check"]
for share, probability in [
    (0.05, 0.95),
    (0.1, 0.9),
    (0.01, 0.99),
    (0.3, 0.6),
    (0.5, 0.75),
]:
    draws = 1
    while 1 - (1 - share) ** draws < probability:
        draws += 1
    expect_equal(
        random_trials(share, probability),
        draws,
        f"draws for the best {share} with probability {probability}",
    )
print("ex-03-random-trials: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} Draw weights by their order of magnitude
# :label: ex-03-log-uniform
#
# *Ten minutes.* A weight counts by its ratio to the others, and $\lambda_2 \in [0.2, 2]$ spans a
# factor of ten. Drawn uniformly, it lies above the middle of the interval, 1.1, half of the time;
# below 0.63, the middle by ratio ($\sqrt{0.2 \cdot 2}$), only a quarter of the time. A *log-uniform*
# draw is uniform in $\log \lambda$: every factor of two within the range is as likely as any other.
#
# Write `log_uniform(low, high, u)`, which turns uniform numbers $u \in [0, 1]$ of any shape into
# log-uniform ones of the same shape between `low` and `high`, rising with $u$. The check compares it
# with SciPy's quantiles.
# ```

# %% [markdown]
# ```{solution-start} ex-03-log-uniform
# :class: dropdown
# ```


# %% tags=["solution"]
def log_uniform(low: float, high: float, u: np.ndarray) -> np.ndarray:
    """Log-uniform numbers from `low` to `high` of uniform u in [0, 1]."""
    ### BEGIN SOLUTION
    return low * (high / low) ** u
    ### END SOLUTION


# %% tags=["check"]
u = np.random.default_rng(seed).random((50, 20))
for low, high in weight_search.RANGES.values():
    expect_close(
        log_uniform(low, high, u),
        loguniform(low, high).ppf(u),
        f"quantiles from {low} to {high}, by SciPy",
    )
expect_close(
    log_uniform(0.2, 2.0, np.array([0.0, 0.5, 1.0])),
    [0.2, 0.4**0.5, 2.0],
    "both ends and the middle by ratio",
)
print("ex-03-log-uniform: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} Why the objective must not be the loss
# :label: ex-03-shrunk
#
# *Half an hour.* Multiply all three weights by 1/2. The total loss halves, and so does every
# gradient. Adam divides the mean of the gradients by the root of their mean square, so its step
# does not change; AdamW's decay does not look at the gradient at all. The *same* model is trained,
# and a search for the smallest loss would prefer the halved weights. It would go on until a weight
# meets the lower end of its range.
#
# Write `shrunk(weights)`, which returns the smallest multiple of a `LossWeights` that still lies
# within `weight_search.RANGES` (a dictionary from `bce`, `supcon` and `clip` to a lower and an upper end). The
# check trains the toy with both and compares the embeddings and the losses, then prints what becomes of
# them under plain gradient descent. Predict both outcomes first.
# ```

# %% [markdown]
# ```{solution-start} ex-03-shrunk
# :class: dropdown
# ```


# %% tags=["solution"]
def shrunk(weights: LossWeights) -> LossWeights:
    """The smallest multiple of `weights` that lies within RANGES."""
    ### BEGIN SOLUTION
    factor = max(
        low / getattr(weights, name)
        for name, (low, _) in weight_search.RANGES.items()
    )
    return LossWeights(
        **{
            name: factor * value
            for name, value in vars(weights).items()
        }
    )
    ### END SOLUTION


# %% [markdown] tags=["solution"]
# Three weights have two degrees of freedom under Adam: only their ratios matter. Trials with other
# weights but the same ratios are the same training, so a search over three weights wastes some of
# its trials. Under plain gradient descent the scale of the weights is a learning rate, and the two
# trainings differ.

# %% tags=["check"]
for weights in (
    PAPER_WEIGHTS,
    LossWeights(1.0, 0.5, 2.0),
    LossWeights(0.25, 2.0, 0.3),
    LossWeights(0.2, 1.0, 2.0),
):
    small = shrunk(weights)
    expect_equal(type(small), LossWeights, "type of the shrunk weights")
    factors = np.divide(
        *(
            [getattr(w, n) for n in weight_search.RANGES]
            for w in (small, weights)
        )
    )
    expect_close(
        factors / factors[0], np.ones(3), f"equal factors for {weights}"
    )
    room = [
        getattr(small, n) / low
        for n, (low, _) in weight_search.RANGES.items()
    ]
    expect_close(
        min(room),
        1,
        f"{small}, the least over the lower end of its range",
    )

small = shrunk(PAPER_WEIGHTS)
v, t, total = train_toy(PAPER_WEIGHTS, seed)
v_small, t_small, total_small = train_toy(small, seed)
what = "of the shrunk weights under AdamW"
expect_close(v_small, v, f"image embeddings {what}", atol=1e-3)
expect_close(t_small, t, f"report embeddings {what}", atol=1e-3)
halved = small.clip / PAPER_WEIGHTS.clip * total
expect_close(total_small, halved, f"loss {what}", rtol=1e-3)

sgd = partial(torch.optim.SGD, lr=0.02)
v, *_ = train_toy(PAPER_WEIGHTS, seed, sgd)
v_small, *_ = train_toy(small, seed, sgd)
moved = np.abs(v - v_small).max()
print(f"under plain gradient descent an entry differs by {moved:.2f}")
print("ex-03-shrunk: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# Given for the next exercise: an objective that costs nothing to evaluate.


# %%
def toy_objective(bce, supcon, clip):
    return np.exp(
        -(np.log(supcon / clip) ** 2) - np.log(4 * bce / clip) ** 2
    )


# %% [markdown]
# ```{exercise} Random search against the estimator
# :label: ex-03-tpe
#
# *Half an hour.* Optuna's tree-structured Parzen estimator (TPE) proposes weights where good trials
# have been denser than bad ones. Its first ten trials are random. Is it better than random search at
# 20 trials, at 40?
#
# `toy_objective`, above, stands for a training: it is 1 where the three weights have certain ratios,
# and falls away from there.
#
# Write `best_so_far(sampler, trials)`, which maximises `toy_objective` in an Optuna study with that
# sampler, each weight uniform over its range in `weight_search.RANGES`, and returns the highest value
# after each trial, a NumPy array [trials] that never falls. The check watches what is drawn and what
# comes of it. Then it runs both samplers with ten seeds; TPE must end above random search on average.
# ```

# %% [markdown]
# ```{solution-start} ex-03-tpe
# :class: dropdown
# ```


# %% tags=["solution"]
def best_so_far(
    sampler: optuna.samplers.BaseSampler, trials: int
) -> np.ndarray:
    """Highest toy objective after each of `trials` trials, [trials]."""
    ### BEGIN SOLUTION
    study = optuna.create_study(direction="maximize", sampler=sampler)

    def objective(trial):
        weights = {
            name: trial.suggest_float(name, *ends)
            for name, ends in weight_search.RANGES.items()
        }
        return toy_objective(**weights)

    study.optimize(objective, n_trials=trials)
    return np.maximum.accumulate(
        [trial.value for trial in study.trials]
    )
    ### END SOLUTION


# %% [markdown] tags=["solution"]
# To see it, plot the mean over seeds against the number of the trial. The estimator starts as random
# search and pulls ahead once it has seen enough. Set its lead at 20 trials, the paper's number,
# beside the spread over seeds, which the check prints: a single search that short owes its result to
# luck as well as to the estimator.


# %% tags=["check"]
class Watched(RandomSampler):
    """Random search that keeps from which ranges it drew."""

    def sample_independent(self, study, trial, name, range_):
        ranges.add(range_)
        return super().sample_independent(study, trial, name, range_)


def watched(bce, supcon, clip):
    """The toy objective; its values are kept in their order."""
    values.append(toy(bce, supcon, clip))
    return values[-1]


ranges, values = set(), []
toy, toy_objective = toy_objective, watched
try:
    curve = best_so_far(Watched(seed=seed), 40)
finally:
    toy_objective = toy
curve = expect_numbers(curve, (40,), "best so far of 40 trials")
expect_close(
    curve, np.maximum.accumulate(values), "best so far of 40 trials"
)
expect_equal(
    ranges,
    {
        FloatDistribution(*ends)
        for ends in weight_search.RANGES.values()
    },
    "ranges of the uniform draws",
)

seeds = range(seed, seed + 10)
by_chance, by_tpe = (
    np.array([best_so_far(sampler(seed=s), 40) for s in seeds])
    for sampler in (RandomSampler, TPESampler)
)
rng = np.random.default_rng(seed)
drawn = {
    n: rng.uniform(*ends, (5000, 40))
    for n, ends in weight_search.RANGES.items()
}
expect_between(
    by_tpe[:, -1].mean(),
    toy_objective(**drawn).max(axis=1).mean(),
    1,
    "best of 40 trials by TPE, above the best of 40 random ones",
)
for n in (20, 40):
    random, tpe = (curves[:, n - 1] for curves in (by_chance, by_tpe))
    print(
        f"{n} trials: random {random.mean():.3f} "
        f"(over seeds ±{random.std():.3f}), "
        f"TPE {tpe.mean():.3f} (±{tpe.std():.3f})"
    )
print("ex-03-tpe: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} All weight on one loss
# :label: ex-03-simplex
#
# *An afternoon.* Since only ratios matter, all choices of weights lie on a triangle,
# $\lambda_1 + \lambda_2 + \lambda_3 = 1$. Its corners put all weight on one loss. Walk over the
# whole triangle with the toy, for several seeds. What does each corner do to retrieval? Where is the
# best point, and is it the same point for every seed? What would a search over one seed have
# reported?
#
# Write `over_the_triangle(parts, seeds)`. It trains the toy at every point whose weights are
# multiples of 1/`parts` and sum to 1, corners and edges included, with every seed, and returns a
# table with a row for each and the columns `bce`, `supcon`, `clip`, `seed` and `mrr`: the mean of
# the two directions of `trainer.validation_mrr` on the embeddings that `train_toy` returns. Then answer the
# questions from the table.
# ```

# %% [markdown]
# ```{solution-start} ex-03-simplex
# :class: dropdown
# ```


# %% tags=["solution"]
def over_the_triangle(parts: int, seeds: range) -> pd.DataFrame:
    """Validation MRR of the toy over the triangle of weights."""
    ### BEGIN SOLUTION
    rows = []
    for i in range(parts + 1):
        for j in range(parts + 1 - i):
            shares = np.array([i, j, parts - i - j]) / parts
            for toy_seed in seeds:
                v, t, _ = train_toy(LossWeights(*shares), toy_seed)
                rows.append(
                    [
                        *shares,
                        toy_seed,
                        np.mean(trainer.validation_mrr(v, t)),
                    ]
                )
    return pd.DataFrame(
        rows, columns=["bce", "supcon", "clip", "seed", "mrr"]
    )
    ### END SOLUTION


# %% tags=["solution"]
### BEGIN SOLUTION
triangle = over_the_triangle(4, range(seed, seed + 5))
by_point = triangle.pivot(
    index=["bce", "supcon", "clip"], columns="seed", values="mrr"
)
print("the best point of each seed:", *by_point.idxmax(), sep="\n")
by_point.agg(["mean", "min", "max"], axis=1).sort_values(
    "mean", ascending=False
).round(3)
### END SOLUTION

# %% [markdown] tags=["solution"]
# A loss that knows two labels cannot tell the studies of a label apart: the corners of BCE and
# SupCon retrieve badly, the corner of CLIP well. BCE costs little, since it can read the label off
# a direction that the other losses leave free; SupCon draws the studies of a label together and
# costs much. Is it the same point for every seed? The printed list says so or not; where it does not,
# a search over one seed would have reported any of these points, with as many digits as one likes.

# %% tags=["check"]
seeds = range(seed, seed + 2)
found = expect_table(
    over_the_triangle(3, seeds),
    ["bce", "supcon", "clip", "seed", "mrr"],
    "over_the_triangle",
)
expected = {
    (i, j, 3 - i - j, toy_seed)
    for i in range(4)
    for j in range(4 - i)
    for toy_seed in seeds
}
table = found.to_numpy(float) * [3, 3, 3, 1, 1]
rows = list(map(tuple, table[:, :4].round(3).tolist()))
expect_equal(set(rows), expected, "three times the weights, and seeds")
expect_equal(len(rows), len(expected), "rows, none of them twice")
for *thirds, toy_seed, mrr in np.random.default_rng(seed).choice(
    table, 2
):
    weights = LossWeights(*(np.rint(thirds) / 3).tolist())
    v, t, _ = train_toy(weights, int(toy_seed))
    expect_close(
        mrr,
        np.mean(trainer.validation_mrr(v, t)),
        f"MRR of {weights} with seed {toy_seed:.0f}",
    )
corner = {
    name: found.loc[np.isclose(found[name], 1), "mrr"]
    for name in weight_search.RANGES
}
for name in ("bce", "supcon"):
    expect_between(
        corner[name].max(),
        0,
        corner["clip"].min(),
        f"MRR of {name} alone, below that of clip alone",
    )
print("ex-03-simplex: passed")

# %% [markdown]
# ```{solution-end}
# ```
