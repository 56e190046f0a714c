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
#     needs: [studies.parquet, models.json, fine_tuned]
#     leaves: [results/07_cost.json]
# ---

# %% [markdown]
# # What it costs
#
# **You will learn** why fine-tuning a last layer needs no data-centre GPU: three facts, none of
# them an approximation, that you can use with other models too; what each saves; and how to check
# that the tables stay the same. **It needs** the fine-tuned model of
# [the training chapter](04_training).
#
# The paper used an NVIDIA A100. The chapters before this one trained the same tensors with
# the same losses and optimiser, but not by running the whole model in every step.

# %%
import copy
import math
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown, display
from matplotlib import pyplot as plt
from torch.utils.flop_counter import FlopCounterMode

from cxr_mtl.backbones import load_backbone
from cxr_mtl.bench import in_units
from cxr_mtl.bench_exactness import keep_tokens, path_differences
from cxr_mtl.costs import (
    block_multiply_adds,
    measurement_frame,
    measurement_notes,
    read_benchmarks,
    relative_differences,
    spread,
    study_batch,
    training_steps,
)
from cxr_mtl.evaluation import table_records
from cxr_mtl.features import FrozenPrefix, compute_features, embed, pick_device
from cxr_mtl.figures import MODEL_COLOURS, use_theme
from cxr_mtl.files import read_json, read_table
from cxr_mtl.fine_tuned import load_fine_tuned
from cxr_mtl.last_layer import LastLayer, freeze, tower_kinds
from cxr_mtl.runs import Run
from cxr_mtl.timing import measure
from cxr_mtl.trainer import TrainingConfig, embed_rows, train

use_theme()

# %% tags=["parameters"]
run_dir: str = "runs/demo"  # folder of this run
cache_dir: str = "runs/cache"  # folder of what several runs share
benchmarks_dir: Path = "benchmarks"  # folder of the benchmarks made at full size
seed: int = 0  # seed of every random choice
unfrozen_blocks: int = 1  # transformer blocks of each tower that are trained; 0: projections only
feature_precision: Literal["float32", "bfloat16"] = "float32"  # of the cached features
trials: int = 20  # weight combinations that are tried
search_epochs: int = 20  # epochs of each trial
batch_size: int = 128  # studies per step
precision: Literal["float32", "bfloat16"] = "float32"  # of training
plain_repeats: int = 3  # timed steps of paths that run whole blocks, after one that does not count
fast_repeats: int = 15  # timed steps of the fast path, after three that do not count
exact_pairs: int = 16  # pairs on which both paths are compared
exact_steps: int = 10  # training steps after which their weights are compared
device: Literal["auto", "cpu", "cuda"] = "auto"  # auto: the GPU when there is one

# %% [markdown]
# ## Three facts
#
# **The frozen prefix is a constant.** Let $P$ be the frozen part of a tower and $g_\theta$ its
# last layer. A study $x$ is embedded as
#
# ```{math}
# :label: eq-prefix
# g_\theta(z), \qquad z = P(x),
# ```
#
# and without augmentation $z$ is the same in every epoch of every trial. If $P$ costs $c_P$ per
# study and the last layer $c_g$, a search of $T$ trials with $E$ epochs over $N$ studies costs
# $N c_P + T E N c_g$ instead of $T E N (c_P + c_g)$. The tokens $z$ are kept on disk.
#
# **Only one token leaves the last block.** A vision transformer pools its CLS token, and the text
# tower is read at a single token too. So of the attention {cite}`vaswani2017` in the last block
# only one query counts. With $n$ tokens of width $d$, and for each head of width $d_h$
# the query $q$ of that token, the keys $k_j$ and the values $v_j$,
#
# ```{math}
# :label: eq-one-query
# o = \sum_{j=1}^{n} a_j v_j, \qquad a = \text{softmax}_j \left( q \cdot k_j / \sqrt{d_h} \right),
# ```
#
# one row of scores is needed instead of $n$, and what follows, the output projection and the MLP,
# runs for one token instead of $n$. What is left are mostly the keys and values, of which all
# tokens need one.
#
# **With one query, keys and values need not exist.** They are linear in the tokens,
# $k_j = W_K z_j + b_K$ and $v_j = W_V z_j + b_V$. Put the brackets elsewhere:
#
# ```{math}
# :label: eq-absorbed
# q \cdot k_j = \left( W_K^\top q \right) \cdot z_j + q \cdot b_K,
# \qquad
# \sum_j a_j v_j = W_V \Big( \sum_j a_j z_j \Big) + b_V.
# ```
#
# The softmax does not see $q \cdot b_K$, which is the same for all $j$; and $b_V$ comes out
# unchanged because the $a_j$ sum to 1. Each head now reads the tokens twice, once for its scores
# and once for their weighted mean, and the matrices meet single vectors only. Language models
# with compressed keys and values use the same step when they generate text
# {cite}`deepseek2024`; here it serves training, gradients included.
#
# The forward pass of the last block of BiomedCLIP's image tower, in multiply-adds per image:

# %%
records = []


def keep(metric, value, **fields):
    records.append({"metric": metric, **fields, "value": value})


products = pd.Series(block_multiply_adds(tokens=197, width=768, heads=12), name="multiply-adds")
products.to_frame().assign(**{"times fewer": products.iloc[0] / products}).style.format(
    {"multiply-adds": "{:,}", "times fewer": "{:,.0f}"}
)

# %% [markdown]
# ## Ten lines to try
#
# One head, random tokens in float64, the first of them CLS. First as usual, then by
# {eq}`eq-absorbed`:

# %%
torch.manual_seed(seed)
n, d = 50, 16
z = torch.randn(n, d, dtype=torch.float64)
W_Q, W_K, W_V = torch.randn(3, d, d, dtype=torch.float64) / d**0.5
b_Q, b_K, b_V = torch.randn(3, d, dtype=torch.float64)


def with_keys_and_values(z):
    q, k, v = W_Q @ z[0] + b_Q, z @ W_K.T + b_K, z @ W_V.T + b_V
    return (k @ q / d**0.5).softmax(0) @ v


q = W_Q @ z[0] + b_Q
a = (z @ (W_K.T @ q) / d**0.5).softmax(0)
absorbed = W_V @ (a @ z) + b_V
toy_difference = (absorbed - with_keys_and_values(z)).abs().max().item()
keep("toy_difference", toy_difference, of="tokens")
print(f"largest difference {toy_difference:.1e}, largest value {absorbed.abs().max():.1f}")

# %% [markdown]
# In a vision transformer a layer norm comes before the attention: it standardises each token to
# $\hat z_j$, then applies a scale $\gamma$ and a shift $\beta$, which are trained. So $\hat z_j$
# is what can be kept, and beside it the CLS token as it was, for the residual path. The scale
# moves to the side of the query; the shift drops out of the scores and comes back after the mean,
# again because the $a_j$ sum to 1:
#
# ```{math}
# :label: eq-pre-norm
# \begin{aligned}
# z_j &= \gamma \circ \hat z_j + \beta, \\
# \left( W_K^\top q \right) \cdot z_j
#   &= \left( \gamma \circ W_K^\top q \right) \cdot \hat z_j + \text{const}, \\
# \textstyle\sum_j a_j z_j &= \gamma \circ \textstyle\sum_j a_j \hat z_j + \beta.
# \end{aligned}
# ```

# %%
z_hat, gamma, beta = torch.nn.functional.layer_norm(z, [d]), 1 + b_Q / 2, b_K / 2
q = W_Q @ (gamma * z_hat[0] + beta) + b_Q
a = (z_hat @ (gamma * (W_K.T @ q)) / d**0.5).softmax(0)
absorbed = W_V @ (gamma * (a @ z_hat) + beta) + b_V
norm_difference = (absorbed - with_keys_and_values(gamma * z_hat + beta)).abs().max().item()
keep("toy_difference", norm_difference, of="standardised tokens")
print(f"largest difference {norm_difference:.1e}, largest value {absorbed.abs().max():.1f}")

# %% [markdown]
# Elsewhere the facts hold under conditions. The first needs inputs that do not change: no
# augmentation, no dropout in the frozen part. The second needs a tower that is read at one token;
# with mean pooling the first fact alone remains. The third needs keys that depend on nothing but
# their token: neither a norm of the keys nor rotary positions. It pays for a few queries too, about
# as many as a head is wide.

# %% [markdown]
# ## A step, on this machine

# %%
run = Run(run_dir)
device = pick_device(device)
studies = read_table(run / "studies.parquet")
train_rows, validation_rows = (
    torch.from_numpy(np.flatnonzero(studies["split"] == part)) for part in ("train", "validation")
)
source = read_json(run / "models.json")["fine_tuned_from"]["source"]
base = load_backbone(source)
features = compute_features(
    base, studies, unfrozen_blocks, Path(cache_dir), precision=feature_precision, device=device
).to(device)
first_rows = train_rows[:batch_size]
batch = study_batch(base, studies.iloc[first_rows.numpy()])
print(
    f"{len(train_rows):,} training studies, a batch of {len(first_rows)}, "
    f"reports of {batch.lengths.float().mean():.0f} tokens in a context of {batch.ids.shape[1]}"
)

# %% [markdown]
# Three paths take one and the same step of AdamW, on the same studies, losses and tensors. *Plain
# open_clip* runs everything and pads each report to the context. *Cached prefix* starts from the
# tokens that enter the last layer and runs its blocks in full, padding included. *Cached prefix,
# single query* is what the chapters before used, reading from the cache included. For plain open_clip
# the preprocessed images lie ready in memory: reading them from disk is not counted.
#
# Times differ from run to run and from machine to machine. All in this and the next sections were
# measured while this chapter ran.


# %%
def read_cache():
    return features.images.batch(first_rows), features.texts.batch(first_rows)


timed = copy.deepcopy(base.model).to(device)  # the steps train it
steps = training_steps(timed, batch, read_cache, unfrozen_blocks, precision, device)
times, operations = {}, {}
for path, step in steps.items():
    few = path != "cached prefix, single query"
    repeats, warmup = (plain_repeats, 1) if few else (fast_repeats, 3)
    times[path] = measure(step, repeats, warmup, device)
    with FlopCounterMode(display=False) as counter:
        step()
    operations[path] = counter.get_total_flops()
plain = times["plain open_clip"].median
for path, time in times.items():
    keep("step_seconds", time.median, path=path, low=time.low, high=time.high)
    keep("times_faster", plain / time.median, path=path)
    keep("times_fewer_operations", operations["plain open_clip"] / operations[path], path=path)
pd.DataFrame(
    {
        "median of a step": in_units(time.median, "s"),
        "from – to": spread(time.low, time.high, "s"),
        "per pair": in_units(time.median / len(first_rows), "s"),
        "times faster": f"{plain / time.median:.1f}",
        "operations": in_units(operations[path], "FLOP"),
        "times fewer": f"{operations['plain open_clip'] / operations[path]:.1f}",
    }
    for path, time in times.items()
).set_index(pd.Index(times))

# %% [markdown]
# Operations are those of the matrix products and convolutions, counted by PyTorch. Where time
# falls less than they do, what remains is reading the tokens, AdamW, and the toll of many small
# calls.
#
# ## Is it exact?
#
# The fast path and plain open_clip embed the same {num}`07_cost?metric=exact_pairs` pairs, then train
# on them, here with one unfrozen block and without dropout, whose random numbers would differ.

# %%
differences = path_differences(
    copy.deepcopy(base.model).to(device), batch.first(exact_pairs), exact_steps, device
)
keep("exact_pairs", exact_pairs)
for of, difference in differences.items():
    keep("path_difference", difference, of=of)
pd.Series(differences, name="largest relative difference").map("{:.1e}".format).to_frame()

# %% [markdown]
# The first three rows compare the two paths in float32. In float64 the gradients agree to
# {num}`07_cost?metric=path_difference&of=gradients in float64:.0e`, which is float64's own
# rounding: the two paths are the same function. In float32 both stray from plain open_clip's float64
# gradients, the fast path by
# {num}`07_cost?metric=path_difference&of=gradients, fast float32 to plain float64:.0e`, plain
# open_clip itself by
# {num}`07_cost?metric=path_difference&of=gradients, plain float32 to plain float64:.0e`: they round
# in another order, and neither is the reference for the other.
#
# ## Do the tables change?
#
# The fine-tuned model embeds the test studies by the whole open_clip model, as in
# [the retrieval chapter](05_retrieval), and by its last layer on tokens that the *pretrained* model
# left in the cache, for the frozen part is still the same. Both also in bfloat16, which keeps 8 bits
# of a number's precision where float32 keeps 24: the whole model in PyTorch's mixed precision, and a
# cache of half the size, its tokens computed in mixed precision too.

# %%
test = studies[studies["split"] == "test"].reset_index(drop=True)
fine_tuned, _ = load_fine_tuned(run / "fine_tuned", load_backbone(source))
end = LastLayer(fine_tuned.model.to(device), unfrozen_blocks)
embeddings = {}
for kept_in in ("float32", "bfloat16"):
    with torch.autocast(device, torch.bfloat16, enabled=kept_in == "bfloat16"):
        embeddings[f"whole open_clip, {kept_in}"] = embed(fine_tuned, test, device)
    kept = compute_features(
        base, test, unfrozen_blocks, Path(cache_dir), precision=kept_in, device=device
    )
    embeddings[f"{kept_in} cache"] = embed_rows(end, kept, torch.arange(len(test)), device)

# %%
labels = test["label"].to_numpy()
retrieval = pd.DataFrame(
    record
    for path, (v, t) in embeddings.items()
    for record in table_records(v, t, labels, path, None)
    if record["table"] is None and (record["metric"] == "mrr" or record["k"] == 10)
)
retrieval["metric"] = retrieval["metric"].map({"mrr": "MRR", "recall": "recall@10"})
wide = retrieval.pivot_table("value", "model", ["direction", "metric"], sort=False)
reference = "whole open_clip, float32"
keep("embeddings", 2 * len(test))
changes = (wide - wide.loc[reference]).drop(reference)
for (direction, metric), column in changes.items():
    for path, change in column.items():
        keep("change", change, of=metric, direction=direction, path=path)
for path in changes.index:
    pairs = zip(embeddings[path], embeddings[reference], strict=True)
    errors = np.concatenate([relative_differences(*pair) for pair in pairs])
    for name, error in (("median", np.median(errors)), ("largest", errors.max())):
        keep("embedding_error", error, of=name, path=path)
        wide.loc[path, ("embedding error", name)] = f"{error:.1e}"
wide = wide.rename(columns=lambda name: name.replace("_to_", " → ").replace("text", "report"))
wide.rename_axis(index=None, columns=[None, None]).style.format(precision=4, na_rep="")

# %% [markdown]
# The errors are relative to the length of an embedding, over images and reports; retrieval is under
# the strict protocol. On the float32 cache the largest error is
# {num}`07_cost?metric=embedding_error&path=float32 cache&of=largest:.0e`, rounding. On the bfloat16
# cache the median is {num}`07_cost?metric=embedding_error&path=bfloat16 cache&of=median:.1e` and the
# largest {num}`07_cost?metric=embedding_error&path=bfloat16 cache&of=largest:.1e`, against
# {num}`07_cost?metric=embedding_error&path=whole open_clip, bfloat16&of=median:.1e` and
# {num}`07_cost?metric=embedding_error&path=whole open_clip, bfloat16&of=largest:.1e` for the whole
# model in bfloat16: it is bfloat16's error, not the cache's. The median says what to expect; the
# largest is that of the one among {num}`07_cost?metric=embeddings` embeddings in which small
# differences grow most. The MRR changes by
# {num}`07_cost?metric=change&of=MRR&path=bfloat16 cache&direction=image_to_text:+.5f` for images as
# queries and by {num}`07_cost?metric=change&of=MRR&path=bfloat16 cache&direction=text_to_image:+.5f`
# for reports.
#
# ## How the cost grows

# %%
freeze(base.model, unfrozen_blocks)
config = TrainingConfig(epochs=1, batch_size=batch_size, precision=precision, seed=seed)
all_labels = torch.tensor(studies["label"].to_numpy())
counts = sorted({max(batch_size, len(train_rows) // part) for part in (1, 2, 4)})


def one_epoch(count):
    start = LastLayer(base.model, unfrozen_blocks)
    rows = train_rows[:count]
    train(start, features, all_labels, rows, validation_rows, config, device=device)


epochs = {n: measure(lambda n=n: one_epoch(n), plain_repeats, 1, device) for n in counts}

# %%
depths = range(min(3, *(len(kind.blocks_of(base.model)) for kind in tower_kinds(base.model))) + 1)
colours = {"plain open_clip": "0.4", "cached prefix, single query": MODEL_COLOURS[0]}
by_depth = {}
for depth in depths:
    timed = copy.deepcopy(base.model).to(device)
    kept = [
        tokens._replace(tokens=tokens.tokens.to(getattr(torch, feature_precision)))
        for tokens in keep_tokens(timed, LastLayer(timed, depth), batch, device)
    ]
    steps = training_steps(timed, batch, lambda kept=kept: kept, depth, precision, device)
    for path in colours:
        few = path == "plain open_clip" or depth > 1
        repeats, warmup = (plain_repeats, 1) if few else (fast_repeats, 3)
        by_depth[path, depth] = measure(steps[path], repeats, warmup, device)
    by_plain, by_query = (by_depth[path, depth].median for path in colours)
    keep("times_faster_by_blocks", by_plain / by_query, unfrozen_blocks=depth)

# %%
prefix = FrozenPrefix(base.model, unfrozen_blocks, feature_precision, device)


def run_prefix():
    prefix.images(batch.images)
    prefix.texts(batch.ids, batch.lengths)


frozen = measure(run_prefix, plain_repeats, 1, device).median / len(first_rows) * len(studies)
steps_per_epoch = {n: math.ceil(n / batch_size) for n in counts}
all_steps = search_epochs * steps_per_epoch[len(train_rows)]
search = pd.DataFrame(
    {
        "plain open_clip": [n * all_steps * plain for n in range(1, trials + 1)],
        "cached prefix, single query": [
            frozen + n * search_epochs * epochs[len(train_rows)].median
            for n in range(1, trials + 1)
        ],
    },
    index=range(1, trials + 1),
)
keep("trials", trials)
keep("search_epochs", search_epochs)
keep("frozen_prefix_seconds", frozen)
for n, time in epochs.items():
    keep("epoch_seconds", time.median, studies=n)
for path in search:
    keep("search_minutes", search[path].iloc[-1] / 60, path=path)


# %% mystnb={"figure": {"name": "fig-cost", "caption": "How the cost grows, on logarithmic scales. Points were measured on this machine, their bars reach from the fastest to the slowest repeat. Dashed lines are computed: from the measured step of plain open_clip, and on the right also from the measured epoch and frozen prefix. Left: an epoch, against the number of training studies. Middle: a step on tokens that lie in memory, against the unfrozen blocks of each tower. Right: the weight search with the frozen prefix of all studies, against its trials, one trained after the other."}, "image": {"alt": "Three panels of time on logarithmic scales: an epoch by training studies, a step by unfrozen blocks, a search by trials. Plain open_clip is far above the fast path, save where two or more blocks are unfrozen."}}
def draw(axis, x, timings, path):
    medians = [timing.median for timing in timings]
    spread = [[t.median - t.low for t in timings], [t.high - t.median for t in timings]]
    axis.errorbar(x, medians, spread, fmt="o-", capsize=3, color=colours[path], label=path)


figure, (by_studies, by_blocks, by_trials) = plt.subplots(
    1, 3, figsize=(13, 4.4), layout="constrained"
)
draw(by_studies, counts, epochs.values(), "cached prefix, single query")
by_studies.plot(counts, [steps_per_epoch[n] * plain for n in counts], "--", color="0.4")
by_studies.set(title="An epoch", xlabel="training studies", ylabel="seconds", xscale="log")
for path in colours:
    draw(by_blocks, depths, [by_depth[path, depth] for depth in depths], path)
    by_trials.plot(search.index, search[path] / 60, "--", color=colours[path])
by_blocks.plot([], [], "--", color="black", label="computed, not measured")
by_blocks.set(title="A step", xlabel="unfrozen blocks", ylabel="seconds", xticks=depths)
by_trials.set(title="Frozen prefix and search", xlabel="trials", ylabel="minutes", xscale="log")
for axis, ticks in ((by_studies, counts), (by_trials, sorted({1, 2, 5, 10, trials}))):
    axis.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axis.minorticks_off()
for axis in (by_studies, by_blocks, by_trials):
    axis.set_yscale("log")
    axis.yaxis.set_major_formatter("{x:g}")
figure.legend(*by_blocks.get_legend_handles_labels(), loc="outside lower center", ncols=3)
plt.show()

# %% [markdown]
# A measured epoch includes its validation. Both paths grow with studies, epochs and trials alike,
# but the fast one first pays {num}`07_cost?metric=frozen_prefix_seconds:.0f` s for the frozen prefix
# of all studies, and has a part that does not grow with them. A search of
# {num}`07_cost?metric=trials` trials with {num}`07_cost?metric=search_epochs` epochs each comes to
# {num}`07_cost?metric=search_minutes&path=plain open_clip:.1f` minutes by plain open_clip, without
# any validation, and to
# {num}`07_cost?metric=search_minutes&path=cached prefix, single query:.1f` by the fast path.
#
# The steps in the middle show where the gain ends: only the *last* block has a single query. With
# one unfrozen block a step, reading from the cache not counted, is
# {num}`07_cost?metric=times_faster_by_blocks&unfrozen_blocks=1:.0f` times faster; with two, the first of
# them runs in full, and it is
# {num}`07_cost?metric=times_faster_by_blocks&unfrozen_blocks=2:.1f` times faster.
#
# ## At full size
#
# A demo edition's models are small. What follows was measured with models of the size of BiomedCLIP
# and CLIP, with random weights, on random images and reports: time does not depend on what a model
# has learnt. The floor is the best that the machine's own rates of reading and multiplying allow.
# The command `cxr-mtl bench --size full` makes these files anew.

# %%
titles = {
    "train": "Training BiomedCLIP's last layer",
    "features": "BiomedCLIP's frozen prefix",
    "search": "The weight search",
}
full = {what: read_benchmarks(benchmarks_dir, what) for what in (*titles, "retrieval")}
everything = [kept for found in full.values() for kept in found]
if not everything:
    display(Markdown(f"No run at full size is kept in `{benchmarks_dir}`."))
if not any(kept.device == "cuda" for kept in everything):
    display(Markdown(f"No run on a GPU is kept in `{benchmarks_dir}`."))
for what, title in titles.items():
    for kept in full[what]:
        notes = " ".join(measurement_notes(kept.measurements))
        frame = measurement_frame(kept.measurements)
        display(Markdown(f"**{title}.** {kept.origin} {notes}"))
        styled = frame.style.set_table_attributes('style="margin-bottom: 1.5em"')
        words = ["case", "measured"]
        styled.set_properties(words, **{"text-align": "left"})
        styled.set_properties(frame.columns.drop(words), **{"white-space": "nowrap"})
        display(styled)

# %%
for kept in full["retrieval"]:
    rows = [
        (*m.case.split(", ", 1), "skipped" if m.value is None else in_units(m.value, m.unit))
        for m in kept.measurements
        if m.metric == "search time"
    ]
    table = pd.DataFrame(rows, columns=["by", "vectors, queries at once", "time"])
    table = table.pivot_table("time", "vectors, queries at once", "by", "first", sort=False)
    display(Markdown(f"**Exact search** among *n* vectors, in batches of queries. {kept.origin}"))
    display(table.rename_axis(index=None, columns=None).style.format(na_rep=""))

# %%
run.write_results("07_cost", records)

# %% [markdown]
# ## Summary
#
# - The frozen prefix is computed once, one token leaves the last block, and its query reads the
#   tokens themselves: a step that takes plain open_clip
#   {num}`07_cost?metric=step_seconds&path=plain open_clip:.2f` s takes
#   {num}`07_cost?metric=step_seconds&path=cached prefix, single query:.3f` s, with
#   {num}`07_cost?metric=times_fewer_operations&path=cached prefix, single query:.0f` times fewer operations.
# - It is the same function: the gradients agree to
#   {num}`07_cost?metric=path_difference&of=gradients in float64:.0e` in float64.
# - The tables stay as they are on a float32 cache. One in bfloat16 takes half the space and moves an
#   embedding by {num}`07_cost?metric=embedding_error&path=bfloat16 cache&of=median:.1e` of its length
#   in the median.
# - The last block alone is cheap. A second unfrozen block has to run in full.
#
# You have seen the whole study. To run it with other parameters or your own data, go to
# [running it yourself](rerun).
