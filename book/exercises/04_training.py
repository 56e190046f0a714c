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
#     needs: [studies.parquet, fine_tuned, steps.parquet, epochs.parquet]
# ---

# %% [markdown]
# # Exercises: training
#
# These go with [the chapter on training](../04_training). They read the curves and the settings that
# it left; nothing here trains a large model again.

# %% tags=["hide-input"]
from itertools import combinations
from math import comb, cos, exp, log, pi
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch
from scipy.stats import hypergeom
from torch import Tensor, nn

from cxr_mtl.base import read_json, read_table
from cxr_mtl.data import splits
from cxr_mtl.runs import (
    check_parameters,
    expect_between,
    expect_close,
    expect_equal,
    expect_several,
    open_run,
)
from cxr_mtl.training import (
    clip_loss,
    supervised_contrastive_loss,
    trainer,
)

torch.set_num_threads(
    1
)  # The toys are tiny: threads would wait for each other.

# %% tags=["parameters"]
run_dir: str = "runs/demo"  # folder of this run
seed: int = 0  # seed of every random choice

# %%
check_parameters(globals())
run = open_run(run_dir)
studies = read_table(run / "studies.parquet")
train_studies = studies[studies["split"] == "train"]
steps = read_table(run / "steps.parquet")
epochs = read_table(run / "epochs.parquet")
config = read_json(run / "fine_tuned" / "fine_tuned.json")["training"]
pd.Series(config, name="value").drop("weights").to_frame()

# %% [markdown]
# ```{exercise} A batch with a single label
# :label: ex-04-one-label
#
# *Two minutes.* A batch is drawn from the training studies without replacement. How probable is it
# that all of its studies have the same label, so that the SupCon loss has nothing to separate?
#
# Write `chance_of_one_label(normal, abnormal, batch)` from the two numbers of studies and the batch
# size. The check lists all batches of a small collection, then compares a larger one with SciPy's
# hypergeometric distribution.
# ```

# %% [markdown]
# ```{solution-start} ex-04-one-label
# :class: dropdown
# ```


# %% tags=["solution"]
def chance_of_one_label(
    normal: int, abnormal: int, batch: int
) -> float:
    """Probability that all studies of a random batch have one label."""
    ### BEGIN SOLUTION
    of_one = comb(normal, batch) + comb(abnormal, batch)
    return of_one / comb(normal + abnormal, batch)
    ### END SOLUTION


# %% [markdown] tags=["solution"]
# Where both labels are common, a batch of two has one label about every second time. Each further
# study makes that rarer by a factor near the share of the larger class, so that the paper's batch of
# 128 will never be seen with one label. Batches of two to four often are, and SupCon then has nothing
# to separate.


# %% tags=["check"]
batches = list(combinations([0, 0, 0, 1, 1, 1, 1], 3))
expect_close(
    chance_of_one_label(3, 4, 3),
    np.mean([len(set(batch)) == 1 for batch in batches]),
    "chance of one label in 3 of 3 and 4 studies",
)
n, abnormal = (
    len(train_studies),
    int((train_studies["label"] == 1).sum()),
)
for batch in (2, 8, config["batch_size"]):
    answer = chance_of_one_label(n - abnormal, abnormal, batch)
    expect_close(
        answer,
        hypergeom.pmf([0, batch], n, abnormal, batch).sum(),
        f"chance of one label in a batch of {batch}",
        atol=1e-8,
    )
    print(f"batch of {batch}: {answer:.2g}")
print("ex-04-one-label: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} The schedule as a formula
# :label: ex-04-schedule
#
# *Ten minutes.* The learning rate rises linearly over the first steps, reaches its peak at the last
# of them, and then follows half a cosine, which is 0 at the last step. With $S$ steps in all and
# the fraction $w$ of them for the warm-up, rounded to a whole number of steps, write
# `rate(step, steps, warmup_fraction, peak)`, where `step` counts from 1.
#
# The check compares it with the library, and with the learning rates that the chapter logged at
# every step.
# ```

# %% [markdown]
# ```{solution-start} ex-04-schedule
# :class: dropdown
# ```


# %% tags=["solution"]
def rate(
    step: int, steps: int, warmup_fraction: float, peak: float
) -> float:
    """Learning rate at `step`: linear warm-up, then half a cosine."""
    ### BEGIN SOLUTION
    warmup = round(warmup_fraction * steps)
    if step <= warmup:
        return peak * step / warmup
    done = (step - warmup) / (steps - warmup)
    return peak * (1 + cos(pi * done)) / 2
    ### END SOLUTION


# %% tags=["check"]
plans = [(100, 0.1), (7, 0.5), (30, 0.0), (10, 0.12)]
for total, fraction in plans:
    for step in range(1, total + 1):
        expect_close(
            rate(step, total, fraction, 3),
            3 * trainer.learning_rate_factor(step, total, fraction),
            f"rate at step {step} of {total}, warm-up {fraction}",
            atol=1e-6,
        )
for column in ("learning_rate", "head_learning_rate"):
    answers = [
        rate(
            step, len(steps), config["warmup_fraction"], config[column]
        )
        for step in steps["step"]
    ]
    expect_close(answers, steps[column], f"logged {column}")
print("ex-04-schedule: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} Stopping early
# :label: ex-04-early-stop
#
# *Ten minutes.* A common rule stops the training once the validation metric has brought no new
# highest value for `patience` epochs in a row, and keeps the weights of the best epoch. An equal
# value is not a new highest.
#
# Write `early_stop(scores, patience)`, which takes the metric of every epoch and returns two
# epochs, counted from 1: the last one that is trained and the one whose weights are kept. Where the
# rule never stops, the first is the last epoch of all. Then look at where it would have stopped the
# chapter's training, and ask what the learning rate was there.
# ```

# %% [markdown]
# ```{solution-start} ex-04-early-stop
# :class: dropdown
# ```


# %% tags=["solution"]
def early_stop(scores: list[float], patience: int) -> tuple[int, int]:
    """The last epoch trained and the epoch kept, both from 1."""
    ### BEGIN SOLUTION
    best = 0
    for epoch, score in enumerate(scores):
        if score > scores[best]:
            best = epoch
        if epoch - best >= patience:
            break
    return epoch + 1, best + 1
    ### END SOLUTION


# %% [markdown] tags=["solution"]
# The chapter does not stop early. The cosine brings the learning rate to zero at a step fixed beforehand;
# whoever stops before keeps weights that still move with large steps, or are still in the warm-up: the
# check prints the rate at the end of the kept epoch as a share of the highest. Besides, the highest of many noisy values is too high: the validation metric of
# the kept epoch is no honest estimate any more.

# %% tags=["check"]
rng = np.random.default_rng(seed)
cases = [
    ([1, 3, 2, 2, 4], 2, (4, 2)),
    ([1, 3, 2, 2, 4], 3, (5, 5)),
    ([2, 2, 2], 2, (3, 1)),  # an equal value is no gain
    ([1], 3, (1, 1)),
]
for _ in range(200):
    scores, patience = rng.integers(0, 9, 12), int(rng.integers(1, 5))
    # Epochs whose last `patience` values are not above those before.
    stops = [
        last
        for last in range(patience + 1, 13)
        if scores[last - patience : last].max()
        <= scores[: last - patience].max()
    ]
    last = min(stops, default=12)
    kept = int(np.argmax(scores[:last])) + 1
    cases.append((scores.tolist(), patience, (last, kept)))
for scores, patience, expected in cases:
    expect_equal(
        early_stop(scores, patience),
        expected,
        f"last epoch and best one of {scores}, patience {patience}",
    )
mrr = list(epochs["validation_mrr"])
rates = steps.groupby("epoch")["learning_rate"].last()
for patience in (2, 5):
    last, kept = early_stop(mrr, patience)
    print(
        f"patience {patience}: stops after epoch {last}, "
        f"keeps epoch {kept}, MRR {mrr[kept - 1]:.3f}, "
        f"rate {rates[kept] / rates.max():.2f}"
    )
print(f"without it: MRR {mrr[-1]:.3f}")
print("ex-04-early-stop: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} How low can the SupCon loss go?
# :label: ex-04-supcon-floor
#
# *Half an hour.* The SupCon curve of the chapter stays well above zero. Let the labels of a
# batch be as far apart as they can: all normal studies at one point $e$ of the unit sphere, all
# abnormal ones at $-e$. A study then has the similarity $1$ to its $P$ positives and $-1$ to all
# $M$ studies of the other label.
#
# Show that an anchor's loss is then $\log(P + M e^{-2/\tau})$, and, if you like, that no
# arrangement of unit vectors gives it less. (The logarithm of a sum of exponentials is convex.) An
# anchor without a positive adds 0 to the mean.
#
# Write `supcon_floor(labels, temperature)` for the labels, 0 or 1, of a batch. The check arranges
# such a batch and asks the library, then tries many random arrangements.
# ```

# %% [markdown]
# ```{solution-start} ex-04-supcon-floor
# :class: dropdown
# ```


# %% tags=["solution"]
def supcon_floor(labels: list[int], temperature: float) -> float:
    """The least that the SupCon loss of these labels can be."""
    ### BEGIN SOLUTION
    losses = []
    for label in labels:
        positives = labels.count(label) - 1
        others = len(labels) - 1 - positives
        apart = others * exp(-2 / temperature)
        losses.append(log(positives + apart) if positives else 0.0)
    return sum(losses) / len(losses)
    ### END SOLUTION


# %% [markdown] tags=["solution"]
# With all positives at similarity 1 and all others at $-1$ each of the $P$ terms is
# $-\log[e^{1/\tau} / (P e^{1/\tau} + M e^{-1/\tau})] = \log(P + M e^{-2/\tau})$. No arrangement gives less: in
# general an anchor's loss is $\log \sum_a e^{s_a} - \bar s$, with $s_a$ the similarities divided by $\tau$ and
# $\bar s$ their mean over the positives. The exponential is convex, so the positives' part of the sum is at
# least $P e^{\bar s}$; the others' part is at least $M e^{-1/\tau}$; and
# $\log(P + M e^{-1/\tau - \bar s})$ is least where $\bar s$ is largest, $1/\tau$.
#
# The term $M e^{-2/\tau}$ vanishes at $\tau = 0.07$, and what is left is $\log P$: the probability
# of a positive is shared among all of them. In a batch of 128 with half of each label this is
# $\log 63 \approx 4.14$. In a batch with a single label there is nothing to separate; where all
# vectors are equal, the loss is $\log(N - 1)$ and its gradient zero.

# %% tags=["check"]
torch.manual_seed(seed)
for labels in ([0, 1, 1, 0, 1], [1, 1, 1, 1], [0, 1, 1, 1], [0, 1]):
    signs = 2.0 * torch.tensor(labels) - 1
    apart = torch.outer(signs, torch.tensor([0.6, 0.8]))
    for temperature in (0.07, 0.5, 2.0):
        floor = supcon_floor(labels, temperature)
        given = torch.tensor(labels), temperature
        expect_close(
            floor,
            supervised_contrastive_loss(apart, *given),
            f"floor of the labels {labels} at tau = {temperature}",
            atol=1e-5,
        )
        for _ in range(20):
            anyhow = torch.randn(len(labels), 2)
            loss = float(supervised_contrastive_loss(anyhow, *given))
            expect_between(
                floor, 0, loss + 1e-5, "floor, not above any loss"
            )
labels = torch.tensor([0, 1] * (config["batch_size"] // 2))
if config["temperature"] is not None:
    floor = supcon_floor(labels.tolist(), config["temperature"])
    print(
        f"floor of a balanced batch {floor:.3f}, "
        f"last epoch {epochs['supcon'].iloc[-1]:.3f}"
    )
print("ex-04-supcon-floor: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} AdamW, and how much weight decay there is
# :label: ex-04-adamw
#
# *Half an hour.* With gradients $g_s$, learning rates $\eta_s$ and a weight decay $\lambda$, AdamW
# {cite}`loshchilov2019` does at step $s = 1, 2, \dots$
#
# $$
# \begin{aligned}
# \theta &\leftarrow (1 - \eta_s \lambda)\,\theta \\
# m &\leftarrow 0.9\, m + 0.1\, g_s \\
# u &\leftarrow 0.999\, u + 0.001\, g_s^2 \\
# \theta &\leftarrow \theta - \eta_s
# \frac{m / (1 - 0.9^s)}{\sqrt{u / (1 - 0.999^s)} + 10^{-8}}
# \end{aligned}
# $$
#
# from $m = u = 0$. Write `adamw(start, gradients, rates, weight_decay)`, which takes a tensor, the
# gradients and the learning rates of the steps, and returns the parameter after the last step.
# `start` itself must keep its value. The check compares it with PyTorch.
#
# Then ask what the weight decay of the chapter's training is worth: which share of a weight that
# never gets a gradient is left at the end?
# ```

# %% [markdown]
# ```{solution-start} ex-04-adamw
# :class: dropdown
# ```


# %% tags=["solution"]
def adamw(
    start: Tensor,
    gradients: list[Tensor],
    rates: list[float],
    weight_decay: float,
) -> Tensor:
    """The parameter `start` after one step of AdamW per gradient."""
    ### BEGIN SOLUTION
    theta = start.clone()
    m, u = torch.zeros_like(start), torch.zeros_like(start)
    for s, (g, eta) in enumerate(
        zip(gradients, rates, strict=True), start=1
    ):
        theta = theta * (1 - eta * weight_decay)
        m = 0.9 * m + 0.1 * g
        u = 0.999 * u + 0.001 * g**2
        scale = (u / (1 - 0.999**s)).sqrt() + 1e-8
        theta = theta - eta * m / (1 - 0.9**s) / scale
    return theta
    ### END SOLUTION


# %% [markdown] tags=["solution"]
# Such a weight is left with $\prod_s (1 - \eta_s \lambda)$ of its value, about
# $1 - \lambda \sum_s \eta_s$; the check prints it for this run. Where that is nearly 1, the weight
# decay does next to nothing, and neither does any smaller one.

# %% tags=["check"]
torch.manual_seed(seed)
start = torch.randn(5, dtype=torch.float64)
# One gradient is smaller than the 10⁻⁸ beside the root.
size = torch.tensor([1, 1, 1, 1, 1e-9], dtype=torch.float64)
gradients = [size * torch.randn_like(start) for _ in range(12)]
rates = [0.1 * rate for rate in range(12)]
before = start.clone()
answer = adamw(start, gradients, rates, 0.3)
parameter = nn.Parameter(before.clone())
optimiser = torch.optim.AdamW([parameter], weight_decay=0.3)
for gradient, eta in zip(gradients, rates, strict=True):
    optimiser.param_groups[0]["lr"] = eta
    parameter.grad = gradient
    optimiser.step()
expect_equal(start, before, "`start` after the call")
expect_close(answer, parameter, "parameter after PyTorch's 12 steps")

ones, logged = (
    torch.ones(1, dtype=torch.float64),
    list(steps["learning_rate"]),
)
nothing = [torch.zeros_like(ones)] * len(logged)
left = adamw(ones, nothing, logged, config["weight_decay"])
shrinking = 1 - steps["learning_rate"] * config["weight_decay"]
expect_close(left, [np.prod(shrinking)], "left without a gradient")
print(f"left of a weight without gradient: {float(left):.4f}")
print("ex-04-adamw: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# Given for the next exercise: a small model with dropout, and an epoch that draws its order and its
# dropout from a seed of its own, as the chapter's epochs do.


# %%
def new_toy():
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 1)
    )
    return model, torch.optim.AdamW(model.parameters(), lr=0.01)


def train_epoch(model, optimiser, epoch):
    torch.manual_seed(seed * 1_000_003 + epoch)
    inputs = torch.linspace(-1, 1, 96).reshape(24, 4)
    for batch in torch.randperm(24).split(8):
        loss = (
            model(inputs[batch]) - inputs[batch].sum(1, keepdim=True)
        ) ** 2
        optimiser.zero_grad()
        loss.mean().backward()
        optimiser.step()


# %% [markdown]
# ```{exercise} A checkpoint that resumes to the bit
# :label: ex-04-resume
#
# *Half an hour.* A training that is killed after an epoch and resumed must end with the same weights
# as one that ran through: the same bits, not nearly the same. What has to be in the checkpoint,
# and what need not be, given that every epoch seeds itself?
#
# Write `save_checkpoint(path, model, optimiser, epoch)`, where `epoch` is the last one that was
# finished, and `load_checkpoint(path)`, which returns a model, its optimiser and that epoch. Use
# `torch.save` and `torch.load`. The check trains five epochs in one go, then two and three with a
# checkpoint between them; and it prints what happens with a fresh optimiser.
# ```

# %% [markdown]
# ```{solution-start} ex-04-resume
# :class: dropdown
# ```


# %% tags=["solution"]
def save_checkpoint(
    path: Path,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    epoch: int,
) -> None:
    """Write all that the epochs after `epoch` depend on."""
    ### BEGIN SOLUTION
    state = {
        "model": model.state_dict(),
        "optimiser": optimiser.state_dict(),
        "epoch": epoch,
    }
    torch.save(state, path)
    ### END SOLUTION


def load_checkpoint(
    path: Path,
) -> tuple[nn.Module, torch.optim.Optimizer, int]:
    """The model, its optimiser and the last finished epoch."""
    ### BEGIN SOLUTION
    state = torch.load(path)
    model, optimiser = new_toy()
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    return model, optimiser, state["epoch"]
    ### END SOLUTION


# %% [markdown] tags=["solution"]
# The optimiser's two running means and its count of steps belong to the state as much as the weights:
# without them the first steps after the resumption are other steps. The state of the random number generator need
# not be kept here, because every epoch begins with a seed made from its number. The chapter's own
# checkpoint also holds the curves, and a key of data and parameters, so that a checkpoint of
# another training is not taken by mistake; and it is written beside and renamed, so that a kill
# while writing leaves the last good one.


# %% tags=["check"]
def weights_of(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


through, its_optimiser = new_toy()
for epoch in range(1, 6):
    train_epoch(through, its_optimiser, epoch)
model, optimiser = new_toy()
for epoch in (1, 2):
    train_epoch(model, optimiser, epoch)
with TemporaryDirectory() as folder:
    save_checkpoint(Path(folder) / "toy.pt", model, optimiser, 2)
    files = len(list(Path(folder).iterdir()))
    expect_between(files, 1, 9, "files that save_checkpoint wrote")
    answer = load_checkpoint(Path(folder) / "toy.pt")
resumed, its_optimiser, last = expect_several(
    answer, 3, "load_checkpoint"
)
expect_equal(last, 2, "last finished epoch")
expect_equal(resumed is model, False, "is it the killed model itself")
for epoch in range(3, 6):
    train_epoch(resumed, its_optimiser, epoch)
expect_equal(
    weights_of(resumed),
    weights_of(through),
    "weights of the resumed training, to the bit",
)

fresh = torch.optim.AdamW(model.parameters(), lr=0.01)
for epoch in range(3, 6):
    train_epoch(model, fresh, epoch)
distance = (weights_of(through) - weights_of(model)).abs().max()
print(
    f"largest error of a weight with a fresh optimiser: {distance:.4f}"
)
print("ex-04-resume: passed")

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise} False negatives in a batch
# :label: ex-04-false-negatives
#
# *An afternoon.* Many reports are equal word for word. If two of their studies meet in a batch, the
# CLIP loss pushes the image of one away from the report of the other, although that report is its
# own. Count how often this happens, and repair the loss.
#
# 1. Write `false_negatives(texts)`: a boolean tensor [n, n], true where two *different* studies have
#    the same text after `splits.normalise_text`.
# 2. Write `expected_in_batch(texts, batch)`: how many pairs of studies with equal text a random
#    batch of that size holds on average. Count every pair once. Do it without an n-by-n table.
# 3. Write `masked_clip_loss(images, texts, equal, temperature)`: the loss of equation {eq}`eq-clip`
#    for embeddings [n, d], twice, without the terms in the two denominators that `equal` [n, n]
#    marks. A study's own term always stays.
#
# The mask of the third is in the chapter, for four pairs. The check counts pairs in all batches of six
# studies, compares the loss with loops, and, where nothing is equal, with the library. For the
# rest of the afternoon: draw batches without duplicates, or count equal reports as positives, train the
# chapter's model for a few epochs each way, and hold the validation MRR against that of another seed.
# ```

# %% [markdown]
# ```{solution-start} ex-04-false-negatives
# :class: dropdown
# ```


# %% tags=["solution"]
def false_negatives(texts: list[str]) -> Tensor:
    """Which two different studies have one text: bool [n, n]."""
    ### BEGIN SOLUTION
    normal = pd.Series(texts).map(splits.normalise_text)
    codes = torch.tensor(pd.factorize(normal)[0])
    return (codes[:, None] == codes) & ~torch.eye(
        len(texts), dtype=bool
    )
    ### END SOLUTION


def expected_in_batch(texts: list[str], batch: int) -> float:
    """Mean number of pairs of equal text in a random batch."""
    ### BEGIN SOLUTION
    times = pd.Series(texts).map(splits.normalise_text).value_counts()
    pairs = (times * (times - 1) / 2).sum()
    # A given pair of studies is in a batch with this probability.
    both = batch * (batch - 1) / (len(texts) * (len(texts) - 1))
    return float(pairs * both)
    ### END SOLUTION


def masked_clip_loss(
    images: Tensor, texts: Tensor, equal: Tensor, temperature: float
) -> Tensor:
    """The CLIP loss whose denominators leave out what `equal` marks."""
    ### BEGIN SOLUTION
    v = nn.functional.normalize(images, dim=1)
    t = nn.functional.normalize(texts, dim=1)
    logits = (v @ t.T / temperature).masked_fill(equal, float("-inf"))
    own = logits.diagonal()
    both = logits.logsumexp(dim=1) + logits.logsumexp(dim=0)
    return (both / 2 - own).mean()
    ### END SOLUTION


# %% [markdown] tags=["solution"]
# The mask is one of three remedies. Drawing batches without duplicates changes which studies meet;
# counting equal reports as further positives pulls the images of all studies with that report
# together. None of them helps with reports that say the same in other words.

# %% tags=["check"]
few = ["No change.", "Clear lungs.", "no  change.", "Clear lungs."]
few += ["Edema.", "clear LUNGS."]
alike = [{0, 2}, {1, 3}, {1, 5}, {3, 5}]
pairs = torch.zeros(6, 6, dtype=torch.bool)
for i, j in alike:
    pairs[i, j] = pairs[j, i] = True
expect_equal(false_negatives(few), pairs, "which studies share a text")
batches = [set(batch) for batch in combinations(range(6), 3)]
expect_close(
    expected_in_batch(few, 3),
    np.mean(
        [sum(pair <= batch for pair in alike) for batch in batches]
    ),
    "equal pairs in a batch of 3 of 6, over all batches",
)

torch.manual_seed(seed)
v, t = torch.randn(2, 6, 3).double()
nothing = torch.zeros(6, 6, dtype=torch.bool)
expect_close(
    masked_clip_loss(v, t, nothing, 0.2),
    clip_loss(v, t, 0.2),
    "loss where nothing is equal, the library's",
)
unit = [
    torch.nn.functional.normalize(x, dim=1).tolist() for x in (v, t)
]
s = [[np.exp(np.dot(a, b) / 0.2) for b in unit[1]] for a in unit[0]]
loops = 0.0
for i in range(6):
    row = sum(s[i][j] for j in range(6) if not pairs[i, j])
    column = sum(s[j][i] for j in range(6) if not pairs[i, j])
    loops += (log(row / s[i][i]) + log(column / s[i][i])) / 12
expect_close(
    masked_clip_loss(v, t, pairs, 0.2),
    loops,
    "loss without the marked terms, by loops",
)
size = config["batch_size"]
answer = expected_in_batch(list(train_studies["text"]), size)
print(f"equal pairs in a batch of {size}: {answer:.1f}")
print("ex-04-false-negatives: passed")

# %% [markdown]
# ```{solution-end}
# ```
