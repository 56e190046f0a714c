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
#     needs: [studies.parquet, models.json]
#     leaves: [best_weights.json, trials.parquet, results/03_weight_search.json]
# ---

# %% [markdown]
# # How much should each loss weigh?
#
# **You will learn** how Bayesian optimisation finds the weights $\lambda_1, \lambda_2, \lambda_3$
# of equation {eq}`eq-total`, why the objective must not be the loss itself, how far the best
# weights here are from the paper's, and how one weight can swallow the others. **It needs** the
# frozen features of [the model chapter](02_model).

# %% tags=["hide-input"]
from pathlib import Path
from typing import Optional

import numpy as np
import pandas as pd

from cxr_mtl.base import (
    DeviceName,
    Precision,
    files,
    styled_tables,
    write_json,
    write_table,
)
from cxr_mtl.figures import common, use_theme
from cxr_mtl.runs import check_parameters, open_run
from cxr_mtl.training import (
    PAPER_WEIGHTS,
    LossWeights,
    TrainingConfig,
    embed_rows,
    prepare_training,
    search_weights,
    trainer,
    weight_search,
)

use_theme()

# %% tags=["parameters"]
run_dir: str = "runs/demo"  # folder of this run
cache_dir: str = "runs/cache"  # folder of what several runs share
seed: int = 0  # seed of every random choice
unfrozen_blocks: int = 1  # trained last blocks per tower; 0: projections only
feature_precision: Precision = "float32"  # of the cached features
trials: int = 20  # weight combinations that are tried
search_epochs: int = 20  # epochs of each trial
workers: int = 1  # trials at the same time, each in its own process
threads: Optional[int] = None  # of a training; None: its share of the cores
pruning: bool = False  # stop trials that lag behind the median
batch_size: int = 128  # studies per step
learning_rate: float = 1.0e-5  # of the last layer
head_learning_rate: float = 1.0e-4  # of the fusion head
weight_decay: float = 0.01  # of AdamW
warmup_fraction: float = 0.1  # share of steps with a rising learning rate
temperature: Optional[float] = 0.07  # of the losses; None: the backbone's own
dropout: float = 0.1  # of the fusion head
renormalise_fused: bool = True  # L2-normalise F before SupCon, as Eq. 2 says
precision: Precision = "float32"  # of training
device: DeviceName = "auto"  # auto: the GPU when there is one

# %% [markdown]
# ## What a trial is
#
# A trial trains the last layer with one choice of weights and reports how well validation images
# find their own report, and reports their own image, among all validation studies: the mean
# reciprocal rank (MRR) of both directions. The validation *loss* would not do: it is a sum with
# the very weights that differ between trials, so the smallest weights would win.
#
# A trial trains for {num}`03_weight_search?metric=search_epochs` epochs here. It is best as long as
# [the training](04_training) that the weights are for: shorter trials cost less, but weights that
# lead after a few epochs need not lead at the end.

# %%
check_parameters(globals())
run = open_run(run_dir)
setup = prepare_training(
    run.path, Path(cache_dir), unfrozen_blocks, feature_precision, device
)
config = TrainingConfig.from_parameters(globals(), epochs=search_epochs)


# %%
def print_trial(trial):
    weights = ", ".join(
        f"{name} {trial.params[name]:.2f}" for name in weight_search.RANGES
    )
    value = (
        "pruned" if trial.state.name == "PRUNED" else f"MRR {trial.value:.4f}"
    )
    print(f"trial {trial.number + 1:2d}  {weights}  {value}")


# %% [markdown]
# Optuna {cite}`akiba2019` proposes the weights by its tree-structured Parzen estimator within the
# paper's ranges, $\lambda_1 \in [0.1, 1]$ and $\lambda_2, \lambda_3 \in [0.2, 2]$. The first trial is
# not proposed: it has the weights that the paper found, to set the others beside. Trials are kept in a
# database: a search that was interrupted goes on where it stopped. With several `workers` as
# many trials run at the same time, in processes that share the cached features. They are proposed
# together, before any of them has a result, so another number of workers tries other weights.

# %%
name = files.content_key(
    config.model_dump(),
    setup.features.key,
    setup.labels.tolist(),
    setup.rows["train"].tolist(),
    setup.rows["validation"].tolist(),
    pruning,
    workers,
    vars(PAPER_WEIGHTS),
)
found = search_weights(
    setup.objective(config),
    run / "search.db",
    name,
    trials=trials,
    workers=workers,
    seed=seed,
    pruning=pruning,
    first=PAPER_WEIGHTS,
    on_trial=print_trial,
)

# %% [markdown]
# ## What the search saw

# %% mystnb={"figure": {"name": "fig-search-history", "caption": "Left: objective of every trial and the best so far. Right: how much of the objective's variance each weight explains."}, "image": {"alt": "Scatter plot of validation MRR per trial and bar chart of the importance of the three loss weights"}}
common.search_history(found.study)
# %% mystnb={"figure": {"name": "fig-search-slices", "caption": "The objective against each weight. Dashed: the paper's best weight."}, "image": {"alt": "Three scatter plots of validation MRR against each loss weight, the paper's weights marked"}}
common.search_slices(found.study)
# %% mystnb={"figure": {"name": "fig-search-parallel", "caption": "Each trial as a line through its three weights."}, "image": {"alt": "Parallel coordinates of the three loss weights, coloured by validation MRR"}}
common.search_parallel_coordinates(found.study, found.weights)
# %% [markdown]
# The best trial beside the first, which had the paper's weights:

# %%
at_paper = found.study.trials[0].value
pd.DataFrame(
    {
        "found here": vars(found.weights) | {"validation MRR": found.value},
        "the paper's weights": vars(PAPER_WEIGHTS)
        | {"validation MRR": at_paper},
    }
).rename(
    index={"bce": "λ₁ (BCE)", "supcon": "λ₂ (SupCon)", "clip": "λ₃ (CLIP)"}
).round(4)

# %% [markdown]
# ## Break it, then mend it
#
# A sum of losses can *collapse*: one term drives the training and the others are carried along. The
# surest way is to give it all the weight. Two short trainings, equal but for their weights: with
# BCE alone, and with the weights found above. Beside them stands a model that *knows nothing* and
# finds everything equally likely: its BCE is $\log 2$, its CLIP loss the logarithm of the batch size,
# its MRR that of a random order.

# %%
collapsed = LossWeights(bce=1.0, supcon=0.0, clip=0.0)
fates = {}
for title, chosen in {
    "BCE alone": collapsed,
    "weights found here": found.weights,
}.items():
    changes = {"weights": chosen, "epochs": min(10, search_epochs)}
    short = setup.train(config.model_copy(update=changes))
    fates[title] = short.epochs.iloc[-1]

# %% tags=["hide-input"]
validation = setup.rows["validation"]
before = np.mean(
    trainer.validation_mrr(
        *embed_rows(setup.start, setup.features, validation, setup.device)
    )
)
chance = np.mean(1 / np.arange(1, len(validation) + 1))
nothing_known = {"BCE": np.log(2), "CLIP": np.log(batch_size)}
fate_table = pd.DataFrame(
    {
        "knows nothing": nothing_known | {"validation MRR": chance},
        "before training": {"validation MRR": before},
    }
    | {
        title: {
            "BCE": last["bce"],
            "CLIP": last["clip"],
            "validation MRR": last["validation_mrr"],
        }
        for title, last in fates.items()
    }
)
fate_table.pipe(styled_tables.styled).format("{:.4f}", na_rep="")

# %% [markdown]
# BCE alone was asked for one thing, and its own curve ends at
# {num}`03_weight_search?metric=collapse_bce&weights=bce_alone:.3f`. The validation MRR was
# {num}`03_weight_search?metric=collapse_mrr&weights=none:.4f` before training; it is {num}`03_weight_search?metric=collapse_mrr&weights=bce_alone:.4f` with BCE alone
# and {num}`03_weight_search?metric=collapse_mrr&weights=found:.4f` with the weights found. Compare the
# CLIP losses too: {num}`03_weight_search?metric=collapse_clip&weights=bce_alone:.2f` after BCE alone, and
# {num}`03_weight_search?metric=collapse_clip&weights=knows_nothing:.2f` of a model that knows nothing.
# Where the first is the higher one, the model has become *sure* of wrong pairs: telling two labels
# apart needs one direction of the embedding space only, and nothing keeps the others in order.
#
# Nothing in the BCE curve warns of it; after so few epochs the MRR need not either. **Mend it:** in the
# line of `collapsed`, give `clip` a weight again, first 0.01, then 1, and watch the MRR; and choose weights by what is wanted in the end,
# retrieval, as the search above does. A scale that all three share hardly matters to AdamW; their
# ratios do.

# %% tags=["hide-cell"]
write_json(run / "best_weights.json", vars(found.weights))
write_table(
    run / "trials.parquet",
    found.study.trials_dataframe(
        attrs=("number", "value", "params", "state")
    ),
)
records = [
    {
        "metric": f"lambda_{name}",
        "value": value,
        "paper": getattr(PAPER_WEIGHTS, name),
    }
    for name, value in vars(found.weights).items()
]
records += [
    {"metric": "validation_mrr", "value": found.value, "weights": "found"},
    {"metric": "validation_mrr", "value": at_paper, "weights": "paper"},
    {"metric": "trials", "value": trials},
    {"metric": "search_epochs", "value": search_epochs},
]
for place, column in {
    "knows_nothing": "knows nothing",
    "none": "before training",
    "bce_alone": "BCE alone",
    "found": "weights found here",
}.items():
    records += [
        {
            "metric": f"collapse_{name}",
            "weights": place,
            "value": float(value),
        }
        for name, value in zip(
            ("bce", "clip", "mrr"), fate_table[column], strict=True
        )
        if pd.notna(value)
    ]
run.write_results("03_weight_search", records)

# %% [markdown]
# ## Summary
#
# - Best of {num}`03_weight_search?metric=trials` trials: λ₁ =
#   {num}`03_weight_search?metric=lambda_bce:.2f`, λ₂ =
#   {num}`03_weight_search?metric=lambda_supcon:.2f`, λ₃ =
#   {num}`03_weight_search?metric=lambda_clip:.2f`, with a validation MRR of
#   {num}`03_weight_search?metric=validation_mrr&weights=found:.4f`. The paper's weights give
#   {num}`03_weight_search?metric=validation_mrr&weights=paper:.4f` here, where the pretrained model has
#   {num}`03_weight_search?metric=collapse_mrr&weights=none:.4f` without any training.
# - SupCon knows two classes only. Given much weight it draws all studies of a label together,
#   which serves a label and can cost the exact pair.
# - A weight that dominates is not seen in its own loss: look at the other losses, and at the retrieval.
# - The objective is measured on the validation studies, in the demo a few hundred: too few to tell
#   neighbouring trials apart.
#
# Now you: the [exercises](exercises/03_weight_search) of this chapter.
#
# Next: [training](04_training) with the weights found here.
