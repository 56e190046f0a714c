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
#     needs: [studies.parquet, models.json, fine_tuned, results/09_ablations.json]
# ---

# %% [markdown]
# # Exercises: ablations
#
# These belong to [the chapter on what each choice is worth](../09_ablations). Trainings that differ in
# their seed alone are called *seeds* here. Random numbers in the checks have seeds of their own: a
# check that passes once passes always.

# %% tags=["hide-input"]
import math
from functools import cache
from pathlib import Path

import numpy as np
import torch
from scipy.integrate import quad
from scipy.stats import norm, t

from cxr_mtl.ablations import evaluation, training_runs
from cxr_mtl.base import DeviceName, Precision, read_json
from cxr_mtl.evidence import significance
from cxr_mtl.runs import (
    check_parameters,
    expect_between,
    expect_close,
    expect_equal,
    expect_numbers,
    expect_several,
    open_run,
)
from cxr_mtl.training import embed_rows, fine_tuned, prepare_training

# %% tags=["parameters"]
run_dir: str = "runs/demo"  # folder of this run
cache_dir: str = "runs/cache"  # folder of what several runs share
feature_precision: Precision = "float32"  # of the cached features
device: DeviceName = "auto"  # auto: the GPU when there is one

# %% [markdown]
# What the run left: the last layer before training, `start`; its trained weights by name, `trained`;
# the cached features of all studies; and the chapter's results.

# %%
check_parameters(globals())
run = open_run(run_dir)
blocks = read_json(run / "fine_tuned" / "fine_tuned.json")[
    "unfrozen_blocks"
]
setup = prepare_training(
    run.path, Path(cache_dir), blocks, feature_precision, device
)
start = setup.start.independent_copy().cpu()
features, studies = setup.features, setup.studies
device = setup.device
trained = fine_tuned.trained_weights(run / "fine_tuned")
ablations = run.results("09_ablations")

# %% [markdown]
# ```{exercise} The ruler from two trainings
# :label: ex-09-two
#
# *Two minutes.* You have trained twice, with two seeds, and the metric came to `a` and `b`. Within
# which distance do 95 % of the differences between two *further* seeds lie, if the metric is normal?
# The standard deviation of two numbers is $|a - b| / \sqrt 2$, a difference has $\sqrt 2$ times the
# standard deviation of one number, and with one degree of freedom Student's factor is
# `t.ppf(0.975, 1)`.
#
# Write `band_of_two(a, b)`. How many times the observed difference is it?
# ```

# %% [markdown]
# ```{solution-start} ex-09-two
# :class: dropdown
# ```


# %% tags=["solution"]
def band_of_two(a, b):
    """What 95 % of the differences of further seeds stay within."""
    ### BEGIN SOLUTION
    return t.ppf(0.975, 1) * abs(a - b)
    ### END SOLUTION


# %% [markdown] tags=["solution"]
# The two roots cancel, and 12.7 remains. Two trainings say almost nothing about their spread. With
# five the factor before the standard deviation falls from 18.0 to 3.9.

# %% tags=["check"]
for a, b in [(0.061, 0.058), (0.5, 0.5), (1.0, 3.0)]:
    expect_close(
        band_of_two(a, b),
        significance.seed_band(float(np.std([a, b], ddof=1)), 2),
        f"band of {a} and {b}, by the library",
    )
draws = np.random.default_rng(0).normal(size=(4000, 4)).tolist()
inside = [abs(c - d) < band_of_two(a, b) for a, b, c, d in draws]
expect_close(
    np.mean(inside), 0.95, "share of further pairs inside", atol=0.015
)
print(f"{band_of_two(0, 1):.1f} times the observed difference")
print("ex-09-two: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} The best of five seeds
# :label: ex-09-best
#
# *Ten minutes.* Somebody trains five seeds and reports the best, by the same test studies. Nothing
# else was changed. How much does that add on average, in standard deviations of a seed?
#
# Write `gain_of_best(seeds, repeats, rng)`: simulate it `repeats` times with standard normal numbers
# of the generator `rng`, and return the mean of the best of `seeds`. What does it add in this run, and
# how does that compare with the seed band?
# ```

# %% [markdown]
# ```{solution-start} ex-09-best
# :class: dropdown
# ```


# %% tags=["solution"]
def gain_of_best(seeds, repeats, rng):
    """Mean of the best of `seeds` standard normal numbers."""
    ### BEGIN SOLUTION
    return rng.normal(size=(repeats, seeds)).max(axis=1).mean()
    ### END SOLUTION


# %% [markdown] tags=["solution"]
# More than a standard deviation, for nothing. And if only one of two compared models gets its best
# seed, all of it is their difference. Report the mean and the spread.


# %% tags=["check"]
def expected_best(seeds):
    """The same by an integral over the density of the largest."""

    def density(z):
        return seeds * z * norm.pdf(z) * norm.cdf(z) ** (seeds - 1)

    return quad(density, -10, 10)[0]


for seeds in (1, 2, 5, 20):
    expect_close(
        gain_of_best(seeds, 40_000, np.random.default_rng(seeds)),
        expected_best(seeds),
        f"the best of {seeds} on average",
        atol=0.03,
    )
mrr = [
    record["value"]
    for record in ablations
    if record["metric"] == "mrr"
    and record.get("group") in ("baseline", "seed")
]
if len(mrr) > 1:
    sd = float(np.std(mrr, ddof=1))
    print(f"strict MRR of {len(mrr)} seeds: {np.round(mrr, 4)}")
    print(f"best of them expected {expected_best(len(mrr)) * sd:+.4f}")
    print(f"seed band {significance.seed_band(sd, len(mrr)):.4f}")
print("ex-09-best: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} Mixing weights is not mixing answers
# :label: ex-09-mix
#
# *Ten minutes.* The chapter mixes the weights of the pretrained and the fine-tuned model
# {cite}`wortsman2022`. Write it for dictionaries of tensors: `mix(first, second, alpha)`, name ->
# tensor, with $(1 - \alpha)$ of the first. It refuses, with a `ValueError`, dictionaries whose names
# differ, and it leaves both as they are.
#
# Then predict: for which networks is the answer of mixed weights the mix of both answers? The check
# prints it for one layer and for two.
# ```

# %% [markdown]
# ```{solution-start} ex-09-mix
# :class: dropdown
# ```


# %% tags=["solution"]
def mix(first, second, alpha):
    """The weights (1 - alpha) · first + alpha · second, by name."""
    ### BEGIN SOLUTION
    if first.keys() != second.keys():
        raise ValueError("the two models train different weights")
    return {
        name: (1 - alpha) * first[name] + alpha * second[name]
        for name in first
    }
    ### END SOLUTION


# %% [markdown] tags=["solution"]
# Only what is linear in its weights keeps the mix: one layer does, two layers multiply their weights
# with each other. That weights of a whole transformer can be mixed at all is an observation about
# models that were fine-tuned from one start, not a theorem.

# %% tags=["check"]
one, two = (
    {"a": torch.tensor(x), "b": torch.ones(2)} for x in (1.0, 3.0)
)
for alpha, value in {0.0: 1, 0.25: 1.5, 1.0: 3}.items():
    expected = {"a": value, "b": torch.ones(2)}
    expect_close(mix(one, two, alpha), expected, f"mix by {alpha}")
expect_close(
    one, {"a": 1, "b": torch.ones(2)}, "first model afterwards"
)
expect_close(
    two, {"a": 3, "b": torch.ones(2)}, "second model afterwards"
)
for other in ({"a": two["a"]}, {**two, "c": two["a"]}):
    try:
        raised = mix(one, other, 0.5)
    except Exception as error:
        raised = type(error)
    names = f"mix of weights named a, b and {', '.join(other)}"
    expect_equal(raised, ValueError, names)
library = training_runs.interpolated(start, trained, 0.3)
expect_close(
    mix(start.weights(), trained, 0.3),
    library.weights(),
    "mix by 0.3 of the run's models",
)

torch.manual_seed(0)
x = torch.randn(100, 8, dtype=torch.float64)
first, second = (
    {name: torch.randn(8, 8, dtype=torch.float64) for name in "AB"}
    for _ in range(2)
)
networks = {
    "one layer": lambda w: x @ w["A"].double(),
    "two layers": lambda w: (
        (x @ w["A"].double()).relu() @ w["B"].double()
    ),
}
for name, answer in networks.items():
    mixed = (answer(first) + answer(second)) / 2
    off = (mixed - answer(mix(first, second, 0.5))).norm()
    print(
        f"{name}: mixed weights and mixed answers differ by "
        f"{off / mixed.norm():.1g}"
    )
print("ex-09-mix: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} Something always wins
# :label: ex-09-many
#
# *Half an hour.* A number of variants is compared with one baseline, and none does anything. Variant
# $i$ has the observed value $x_i$ and the baseline $x_0$, all standard normal and independent, so
# $z_i = (x_i - x_0)/\sqrt 2$ is standard normal too, and its two-sided p-value is
# $2(1 - \Phi(|z_i|))$. How often is at least one p below 0.05, as they are, and after Holm's
# correction?
#
# Write `false_alarms(variants, repeats, rng)`: simulate with the generator `rng` and return both
# shares of the repeats. The variants share their baseline: are false alarms rarer or more frequent
# than the $1 - 0.95^m$ of $m$ independent tests?
# ```

# %% [markdown]
# ```{solution-start} ex-09-many
# :class: dropdown
# ```


# %% tags=["solution"]
def false_alarms(variants, repeats, rng):
    """Shares of repeats with any p < 0.05: before, after correction."""
    ### BEGIN SOLUTION
    values = rng.normal(size=(repeats, variants))
    baseline = rng.normal(size=(repeats, 1))
    p = 2 * norm.sf(np.abs(values - baseline) / math.sqrt(2))
    corrected = np.array([significance.holm(row) for row in p])
    alarms = [(values < 0.05).any(axis=1) for values in (p, corrected)]
    return alarms[0].mean(), alarms[1].mean()
    ### END SOLUTION


# %% [markdown] tags=["solution"]
# A common baseline makes alarms come together: if it was unlucky, many variants seem to win. So some
# alarm is rarer than with independent tests, and Holm's correction, which allows for any dependence,
# is on the safe side. When one is raised, though, it seldom comes alone: several stars are no
# confirmation of each other.


# %% tags=["check"]
def expected_alarms(m, level):
    """Chance of any of m p-values below a level, over baselines."""
    far = norm.isf(level / 2) * math.sqrt(2)

    def all_quiet(b):
        return (
            norm.pdf(b) * (norm.cdf(b + far) - norm.cdf(b - far)) ** m
        )

    return 1 - quad(all_quiet, -10, 10)[0]


for m in (2, 5, 22):
    answer = false_alarms(m, 5000, np.random.default_rng(m))
    alarms, corrected = expect_several(answer, 2, "false_alarms")
    expect_close(
        alarms,
        expected_alarms(m, 0.05),
        f"share with an alarm among {m} idle variants",
        atol=0.03,
    )
    # Holm's smallest p-value is the smallest of all, times m.
    expect_close(
        corrected,
        expected_alarms(m, 0.05 / m),
        f"share with an alarm among {m}, corrected",
        atol=0.013,
    )
    print(
        f"{m} idle variants: an alarm in {alarms:.0%}, corrected "
        f"{corrected:.1%}; independent {1 - 0.95**m:.0%}"
    )
print("ex-09-many: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} Choose without looking
# :label: ex-09-alpha
#
# *Half an hour.* The chapter's curve over $\alpha$ is of the test studies. Its highest point is too
# good to be reported, for these studies chose it. Choose on the validation studies, report on the
# test studies.
#
# Write `mrr_of(alpha, part)`, the mean of `evaluation.study_mrr` over the studies of the split `part` under the
# mixed weights, and `choose(alphas)`: the one of `alphas` with the highest value on the validation studies,
# the smallest where several are equal. You need three functions of the library:
# `training_runs.interpolated(start, trained, alpha)` makes the mixed layer, which then goes `.to(device)`;
# `embed_rows(layer, features, rows, device)` embeds the studies at these places of the table, a tensor of
# whole numbers, and returns images and reports; and `evaluation.study_mrr(images, reports)` takes these. `cache` keeps
# what was computed once.
# ```

# %% [markdown]
# ```{solution-start} ex-09-alpha
# :class: dropdown
# ```


# %% tags=["solution"]
@cache
def mrr_of(alpha, part):
    """Strict MRR of both directions on a part of the split."""
    ### BEGIN SOLUTION
    rows = torch.from_numpy(np.flatnonzero(studies["split"] == part))
    mixed = training_runs.interpolated(start, trained, alpha).to(device)
    return float(
        evaluation.study_mrr(
            *embed_rows(mixed, features, rows, device)
        ).mean()
    )
    ### END SOLUTION


def choose(alphas):
    """The best of `alphas` on the validation studies."""
    ### BEGIN SOLUTION
    return max(
        sorted(alphas), key=lambda alpha: mrr_of(alpha, "validation")
    )
    ### END SOLUTION


# %% [markdown] tags=["solution"]
# The two parts hold different numbers of studies, so their MRRs are not comparable with each other:
# among fewer reports the own one is easier to find. Only the order of the $\alpha$ is transferred.

# %% tags=["check"]
made_up = {
    "validation": {0.0: 0.2, 0.5: 0.4, 1.0: 0.4},
    "test": {0.0: 0.9, 0.5: 0.1, 1.0: 0.8},
}
real, mrr_of = mrr_of, lambda alpha, part: made_up[part][alpha]
try:
    chosen = choose((1.0, 0.5, 0.0))
finally:
    mrr_of = real
expect_equal(chosen, 0.5, f"chosen where the MRRs are {made_up}")

alphas = (0.0, 0.5, 1.0)
stated = {
    record["alpha"]: record["value"]
    for record in ablations
    if "alpha" in record and record["metric"] == "mrr"
}
on_test, on_validation = (
    {alpha: mrr_of(alpha, part) for alpha in alphas}
    for part in ("test", "validation")
)
for alpha, value in on_test.items():
    expect_close(
        value,
        stated[alpha],
        f"the chapter's MRR on the test studies, alpha {alpha}",
        rtol=1e-3,
    )
chosen = choose(alphas)
expect_equal(
    chosen,
    min(alphas, key=lambda alpha: (-on_validation[alpha], alpha)),
    f"chosen where the validation MRRs are {on_validation}",
)
for alpha in alphas:
    print(
        f"alpha {alpha}: validation {on_validation[alpha]:.4f}, "
        f"test {on_test[alpha]:.4f}"
    )
optimism = max(on_test.values()) - on_test[chosen]
print(
    f"chosen {chosen}; the best on the test is {optimism:.4f} above it"
)
print("ex-09-alpha: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} Seeds, queries, and the rest
# :label: ex-09-parts
#
# *Half an hour.* Take a value for each seed and query, $x_{sq} = \mu + a_s + b_q + e_{sq}$ with
# variances $\sigma_a^2$, $\sigma_b^2$ and $\sigma_e^2$: how good a seed is, how easy a query, and what
# only the two together explain. The mean squares of a two-way analysis of variance, for $S$ seeds and
# $Q$ queries, are
#
# $$
# \begin{aligned}
# M_a &= \frac{Q}{S - 1} \sum_s (\bar x_{s\cdot} - \bar x)^2, \qquad
# M_b = \frac{S}{Q - 1} \sum_q (\bar x_{\cdot q} - \bar x)^2, \\
# M_e &= \frac{1}{(S - 1)(Q - 1)}
#   \sum_{s,q} (x_{sq} - \bar x_{s\cdot} - \bar x_{\cdot q} + \bar x)^2,
# \end{aligned}
# $$
#
# with expectations $Q \sigma_a^2 + \sigma_e^2$, $S \sigma_b^2 + \sigma_e^2$ and $\sigma_e^2$.
#
# Write `variances(x)`, x [seeds, queries] -> the estimates of $\sigma_a^2$, $\sigma_b^2$ and
# $\sigma_e^2$, where an estimate may be below 0. Which of the three does the chapter's *seed SD* hold,
# which its *test SD*?
# ```

# %% [markdown]
# ```{solution-start} ex-09-parts
# :class: dropdown
# ```


# %% tags=["solution"]
def variances(x):
    """Estimated variances of seeds, of queries and of the rest."""
    ### BEGIN SOLUTION
    seeds, queries = x.shape
    of_seed, of_query = x.mean(axis=1, keepdims=True), x.mean(axis=0)
    rest = x - of_seed - of_query + x.mean()
    m_a = queries * of_seed.var(ddof=1)
    m_b = seeds * of_query.var(ddof=1)
    m_e = (rest**2).sum() / ((seeds - 1) * (queries - 1))
    return (m_a - m_e) / queries, (m_b - m_e) / seeds, m_e
    ### END SOLUTION


# %% [markdown] tags=["solution"]
# The check states it: seed SD² is $\sigma_a^2 + \sigma_e^2 / Q$ and test SD² is
# $(\sigma_b^2 + \sigma_e^2) / Q$, exactly so for the estimates. More queries shrink the second and the
# last part of the first. No number of queries shrinks $\sigma_a^2$: only more seeds do.

# %% tags=["check"]
table = np.array([[1.0, 0.0], [0.0, 1.0]])  # all of it is the rest
expect_close(
    variances(table), [-0.5, -0.5, 1], "variances of 1 0 and 0 1"
)
rng = np.random.default_rng(0)
sizes = np.array([0.02, 0.2, 0.1])
estimates = []
for _ in range(300):
    seeds, queries = 6, 80
    x = (
        rng.normal(0, sizes[0], (seeds, 1))
        + rng.normal(0, sizes[1], queries)
        + rng.normal(0, sizes[2], (seeds, queries))
    )
    a, b, e = expect_numbers(variances(x), (3,), "variances")
    seed_sd, test_sd = significance.seed_and_test_spread(x)
    expect_close(
        [a + e / queries, (b + e) / queries],
        [seed_sd**2, test_sd**2],
        "squares of the library's seed SD and test SD",
    )
    estimates.append((a, b, e))
for name, mean, true in zip(
    ("seeds", "queries", "rest"),
    np.mean(estimates, axis=0),
    sizes**2,
    strict=True,
):
    expect_close(
        mean, true, f"variance of {name}, mean of 300", rtol=0.15
    )
print("ex-09-parts: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} An interval for another seed and other queries
# :label: ex-09-both
#
# *An afternoon.* The chapter holds an interval over the queries and a band over the seeds side by
# side. Make one interval of both: for the difference of two *recipes*, each trained with several
# seeds, that is to hold for other seeds and other queries.
#
# Write `difference_interval(a, b)`: values of two recipes on the same queries, [seeds, queries] each
# -> the two ends of a 95 % interval of the first's mean less the second's. Any method will do, a
# bootstrap over both or a formula. The check simulates recipes whose seeds differ, and recipes to which
# other queries are hard, and asks that the true difference is inside at least 92 times of 100, and that
# the interval is at most 1.6 times as wide as it would be if all variances were known. It also prints
# how often an interval over the queries alone holds it.
# ```

# %% [markdown]
# ```{solution-start} ex-09-both
# :class: dropdown
# ```


# %% tags=["solution"]
def difference_interval(a, b):
    """95 % interval of the difference, for other seeds and queries."""
    ### BEGIN SOLUTION
    seeds_a, seeds_b, queries = len(a), len(b), a.shape[1]
    per_query = a.mean(axis=0) - b.mean(axis=0)
    parts = np.array(
        [
            a.mean(axis=1).var(ddof=1) / seeds_a,
            b.mean(axis=1).var(ddof=1) / seeds_b,
            per_query.var(ddof=1) / queries,
        ]
    )
    freedom = np.array([seeds_a - 1, seeds_b - 1, queries - 1])
    together = parts.sum() ** 2 / (parts**2 / freedom).sum()
    half = t.ppf(0.975, together) * math.sqrt(parts.sum())
    return per_query.mean() - half, per_query.mean() + half
    ### END SOLUTION


# %% [markdown] tags=["solution"]
# The solution adds three variances, as Satterthwaite did: of the seeds of either recipe, and of the
# queries. The first two hold some of the rest that the third holds too, which makes the interval a
# little too wide. Degrees of freedom are mostly those of the seeds: with two or three the factor is
# large, and should be. Queries cancel in the difference, seeds do not. A percentile bootstrap over seeds
# and queries is too narrow with five seeds: resampled, they vary by $(S - 1)/S$ of their variance, and it
# knows no Student's factor. It passes the check only just, or not.


# %% tags=["check"]
def simulated(rng, seed, query, own_query, rest=0.1):
    """Two recipes of one true mean, by 5 seeds on 200 queries."""
    hard = rng.normal(0, query, 200)  # hard for both
    return [
        hard
        + rng.normal(0, own_query, 200)  # hard for one recipe
        + rng.normal(0, seed, (5, 1))
        + rng.normal(0, rest, (5, 200))
        for _ in range(2)
    ]


def over_queries(a, b):
    d = a.mean(axis=0) - b.mean(axis=0)
    half = 1.96 * d.std(ddof=1) / math.sqrt(len(d))
    return d.mean() - half, d.mean() + half


def share_inside(ends):
    return np.mean([low < 0 < high for low, high in ends])


rng = np.random.default_rng(0)
for name, seed, own_query in [
    ("seeds differ", 0.02, 0.0),
    ("queries differ", 0.002, 0.2),
]:
    draws = [simulated(rng, seed, 0.3, own_query) for _ in range(400)]
    both = [
        expect_numbers(difference_interval(a, b), (2,), "interval")
        for a, b in draws
    ]
    expect_between(
        share_inside(both),
        0.92,
        1,
        f"share of the intervals with the truth, {name}",
    )
    variance = seed**2 / 5 + own_query**2 / 200 + 0.1**2 / (5 * 200)
    would_do = 2 * 1.96 * math.sqrt(2 * variance)
    expect_between(
        np.mean([high - low for low, high in both]),
        0,
        1.6 * would_do,
        f"width where {would_do:.4f} would do, {name}",
    )
    alone = share_inside([over_queries(a, b) for a, b in draws])
    print(
        f"{name}: over both {share_inside(both):.1%} hold the truth, "
        f"over the queries alone {alone:.1%}"
    )
print("ex-09-both: passed")

# %% [markdown]
# ```{solution-end}
# ```
