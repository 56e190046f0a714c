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
#     alone: true
#     needs: [studies.parquet, models.json, fine_tuned]
#     leaves: [results/07_cost.json]
# ---

# %% [markdown]
# # What it costs
#
# **You will learn** why fine-tuning a last layer needs no data-centre GPU: three facts, none of
# them an approximation, that you can use with other models too; what each saves; where they stop
# being true; and how to check that the tables stay the same. **It needs** the fine-tuned model of
# [the training chapter](04_training).
#
# The paper used an NVIDIA A100. The chapters before this one trained the same tensors with
# the same losses and optimiser, but not by running the whole model in every step.

# %% tags=["hide-input"]
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown, display

from cxr_mtl.base import DeviceName, Precision, read_table
from cxr_mtl.bench import (
    cost_growth,
    costs,
    exactness,
    figures,
    kept_benchmarks,
    rounding,
)
from cxr_mtl.figures import use_theme
from cxr_mtl.models import compute_features, load_recorded, pick_device
from cxr_mtl.runs import check_parameters, open_run
from cxr_mtl.training import TrainingConfig, load_fine_tuned

use_theme()

# %% tags=["parameters"]
run_dir: str = "runs/demo"  # folder of this run
cache_dir: str = "runs/cache"  # folder of what several runs share
benchmarks_dir: Path = "benchmarks"  # folder of the benchmarks at full size
seed: int = 0  # seed of every random choice
unfrozen_blocks: int = 1  # trained last blocks per tower; 0: projections only
feature_precision: Precision = "float32"  # of the cached features
trials: int = 20  # weight combinations that are tried
search_epochs: int = 20  # epochs of each trial
batch_size: int = 128  # studies per step
precision: Precision = "float32"  # of training
timed_pairs: int = 128  # studies of the steps that are timed
plain_repeats: int = 3  # timed steps of whole blocks, after 1 not counted
fast_repeats: int = 15  # timed steps of the fast path, after 3 not counted
exact_pairs: int = 16  # pairs on which both paths are compared
exact_steps: int = 10  # training steps after which their weights are compared
device: DeviceName = "auto"  # auto: the GPU when there is one

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
check_parameters(globals())
costs.product_table(tokens=197, width=768, heads=12)

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
print(
    f"largest difference {toy_difference:.1e}, "
    f"largest value {absorbed.abs().max():.1f}"
)

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
z_hat, gamma, beta = (
    torch.nn.functional.layer_norm(z, [d]),
    1 + b_Q / 2,
    b_K / 2,
)
q = W_Q @ (gamma * z_hat[0] + beta) + b_Q
a = (z_hat @ (gamma * (W_K.T @ q)) / d**0.5).softmax(0)
absorbed = W_V @ (gamma * (a @ z_hat) + beta) + b_V
norm_difference = (
    (absorbed - with_keys_and_values(gamma * z_hat + beta)).abs().max().item()
)
print(
    f"largest difference {norm_difference:.1e}, "
    f"largest value {absorbed.abs().max():.1f}"
)

# %% [markdown]
# ## Break it, then mend it
#
# Some transformers scale each key to length 1 before they score it. Add the line marked *new* below
# to `with_keys_and_values`, and leave the absorbed lines as they were:


# %%
def with_keys_of_length_one(z):
    q, k, v = W_Q @ z[0] + b_Q, z @ W_K.T + b_K, z @ W_V.T + b_V
    k = k / k.norm(dim=1, keepdim=True)  # new
    return (k @ q / d**0.5).softmax(0) @ v


q = W_Q @ z[0] + b_Q
a = (z @ (W_K.T @ q) / d**0.5).softmax(0)
absorbed = W_V @ (a @ z) + b_V
broken_difference = (absorbed - with_keys_of_length_one(z)).abs().max().item()
print(
    f"largest difference {broken_difference:.1e}, "
    f"largest value {absorbed.abs().max():.1f}"
)

# %% [markdown]
# No error, no warning, and another function. The length of a key, $\lVert W_K z_j + b_K \rVert$, is
# not linear in the token, so $W_K$ cannot move to the side of the query; and $b_K$ no longer drops
# out. The mend gives up what is no longer true and keeps the rest: the keys are computed, the values
# still need not exist.

# %%
k = z @ W_K.T + b_K
a = (k @ q / k.norm(dim=1) / d**0.5).softmax(0)
absorbed = W_V @ (a @ z) + b_V
mended_difference = (absorbed - with_keys_of_length_one(z)).abs().max().item()
print(
    f"largest difference {mended_difference:.1e}, "
    f"largest value {absorbed.abs().max():.1f}"
)

# %% [markdown]
# Rotary positions break it in the same way, since each key is turned by its place. So ask of another
# model, for each fact:
#
# | fact | holds while | breaks with |
# |---|---|---|
# | the prefix is a constant | inputs and frozen weights stay the same | augmentation; dropout in the frozen part; one more unfrozen block and the old cache |
# | one token leaves the last block | the tower is read at one token | mean pooling: the first fact alone remains |
# | keys and values need not exist | a key depends on its token alone, and linearly | norms of keys, rotary positions |
#
# The library refuses a tower that it does not know, and names its cache after the pretrained weights,
# the number of unfrozen blocks, the images and the reports, so that an old one is never read. The
# third fact pays for a few queries too, about as many as a head is wide.

# %% [markdown]
# ## A step, on this machine

# %%
run = open_run(run_dir)
device = pick_device(device)
studies = read_table(run / "studies.parquet")
record = run / "models.json"
base = load_recorded(record, "fine_tuned_from")
features = compute_features(
    base,
    studies,
    unfrozen_blocks,
    Path(cache_dir),
    precision=feature_precision,
    device=device,
).to(device)

# %%
train_rows = torch.from_numpy(np.flatnonzero(studies["split"] == "train"))
rows = train_rows[:timed_pairs]
batch = costs.study_batch(base, studies.iloc[rows.numpy()])
print(
    f"{len(train_rows):,} training studies, a batch of {len(rows)}, "
    f"reports of {batch.lengths.float().mean():.0f} tokens "
    f"in a context of {batch.ids.shape[1]}"
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
setting = costs.Setting(
    unfrozen_blocks,
    feature_precision,
    precision,
    plain_repeats,
    fast_repeats,
    device,
)
paths = costs.step_costs(base.model, batch, features, rows, setting)
costs.step_table(paths, len(rows))

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
base_again = load_recorded(record, "fine_tuned_from").model.to(device)
differences = exactness.path_differences(
    base_again, batch.first(exact_pairs), exact_steps, device
)
pd.Series(differences, name="largest relative difference").map(
    "{:.1e}".format
).to_frame()

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
fine_tuned, _ = load_fine_tuned(
    run / "fine_tuned", load_recorded(record, "fine_tuned_from")
)
embeddings = rounding.embeddings_by_path(
    base, fine_tuned, test, setting, Path(cache_dir)
)

# %%
retrieval = rounding.strict_retrieval(embeddings, test["label"])
errors = rounding.embedding_errors(embeddings)
rounding.precision_table(retrieval, errors)

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
config = TrainingConfig(
    epochs=1, batch_size=batch_size, precision=precision, seed=seed
)
epochs = cost_growth.epoch_timings(
    base.model, features, studies, config, setting
)
steps = cost_growth.block_timings(base.model, batch, setting)
prefix = len(studies) * cost_growth.prefix_seconds(base.model, batch, setting)

# %% mystnb={"figure": {"name": "fig-cost", "caption": "How the cost grows, on logarithmic scales. Points were measured on this machine, their bars reach from the fastest to the slowest repeat. Dashed lines are computed: from the measured step of plain open_clip, and on the right also from the measured epoch and frozen prefix. Left: an epoch, against the number of training studies. Middle: a step on tokens that lie in memory, against the unfrozen blocks of each tower. Right: the weight search with the frozen prefix of all studies, against its trials, one trained after the other."}, "image": {"alt": "Three panels of time on logarithmic scales: an epoch by training studies, a step by unfrozen blocks, a search by trials. Plain open_clip is far above the fast path, save where two or more blocks are unfrozen."}}
plain_epochs = cost_growth.plain_epochs(
    epochs, len(rows), paths[costs.PLAIN].time
)
search = cost_growth.search_seconds(
    trials, search_epochs, epochs, plain_epochs, prefix
)
figures.growth_figure(epochs, plain_epochs, steps, search)

# %% [markdown]
# A measured epoch includes its validation; one by plain open_clip is computed, as so many of the timed
# steps above as hold all training studies (each of `timed_pairs` of them, fewer than a batch of the
# training perhaps). Both paths grow with studies, epochs and trials alike,
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
for shown in kept_benchmarks.shown_benchmarks(benchmarks_dir):
    display(Markdown(shown) if isinstance(shown, str) else shown)

# %% tags=["hide-cell"]
run.write_results(
    "07_cost",
    [
        {"metric": "toy_difference", "of": "tokens", "value": toy_difference},
        {
            "metric": "toy_difference",
            "of": "standardised tokens",
            "value": norm_difference,
        },
        {
            "metric": "toy_difference",
            "of": "keys of length one, absorbed",
            "value": broken_difference,
        },
        {
            "metric": "toy_difference",
            "of": "keys of length one, computed",
            "value": mended_difference,
        },
        *costs.step_records(paths),
        {"metric": "exact_pairs", "value": exact_pairs},
        *(
            {"metric": "path_difference", "of": of, "value": d}
            for of, d in differences.items()
        ),
        {"metric": "embeddings", "value": 2 * len(test)},
        *rounding.precision_records(retrieval, errors),
        {"metric": "search_epochs", "value": search_epochs},
        {"metric": "frozen_prefix_seconds", "value": prefix},
        *cost_growth.growth_records(epochs, steps, search),
    ],
)

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
# - The identity holds for keys that are linear in their token. Where they are not, nothing warns:
#   compare with the plain path first.
#
# Try your hand at the [exercises](exercises/07_cost).
#
# Next: [what the tables can say](08_evidence).
