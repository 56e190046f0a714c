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
#     needs: [studies.parquet, models.json, best_weights.json]
#     leaves: [fine_tuned, steps.parquet, epochs.parquet, results/04_training.json]
# ---

# %% [markdown]
# # Training the last layer
#
# **You will learn** the paper's Algorithm 1 in one function call, how to read its curves, and what
# is kept so that a killed training resumes. **It needs** the weights of
# [the search](03_weight_search).

# %% tags=["hide-input"]
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from cxr_mtl.backbones import load_backbone
from cxr_mtl.features import compute_features, pick_device
from cxr_mtl.figures import training_curves, use_theme
from cxr_mtl.files import read_json, read_table, write_table
from cxr_mtl.fine_tuned import save_fine_tuned
from cxr_mtl.last_layer import LastLayer, freeze
from cxr_mtl.losses import LossWeights
from cxr_mtl.runs import Run
from cxr_mtl.trainer import TrainingConfig, given_weights, train

use_theme()

# %% tags=["parameters"]
run_dir: str = "runs/demo"  # folder of this run
cache_dir: str = "runs/cache"  # folder of what several runs share
seed: int = 0  # seed of every random choice
unfrozen_blocks: int = 1  # transformer blocks of each tower that are trained; 0: projections only
feature_precision: Literal["float32", "bfloat16"] = (
    "float32"  # of the cached features
)
weights: list[float] | None = None  # λ₁, λ₂, λ₃; None takes the search's best
epochs: int = 20  # passes over the training studies
batch_size: int = 128  # studies per step
learning_rate: float = 1.0e-5  # of the last layer
head_learning_rate: float = 1.0e-4  # of the fusion head
weight_decay: float = 0.01  # of AdamW
warmup_fraction: float = (
    0.1  # share of the steps with a linearly rising learning rate
)
temperature: float | None = (
    0.07  # of both contrastive losses; None: the backbone's own
)
dropout: float = 0.1  # of the fusion head
renormalise_fused: bool = (
    True  # L2-normalise F before the SupCon loss, as Eq. 2 says
)
precision: Literal["float32", "bfloat16"] = "float32"  # of training
device: Literal["auto", "cpu", "cuda"] = (
    "auto"  # auto: the GPU when there is one
)

# %%
run = Run(run_dir)
device = pick_device(device)
studies = read_table(run / "studies.parquet")
backbone = load_backbone(
    read_json(run / "models.json")["fine_tuned_from"]["source"]
)
features = compute_features(
    backbone,
    studies,
    unfrozen_blocks,
    Path(cache_dir),
    precision=feature_precision,
    device=device,
)
freeze(backbone.model, unfrozen_blocks)
labels = torch.tensor(studies["label"].to_numpy())
train_rows, validation_rows = (
    torch.from_numpy(np.flatnonzero(studies["split"] == part))
    for part in ("train", "validation")
)

# %% [markdown]
# ## Algorithm 1
#
# AdamW {cite}`loshchilov2019` with one learning rate for the last layer and one for the fusion
# head, a linear warm-up over the first steps, then a cosine to zero. Every epoch draws its order
# and dropout from a seed of its own and ends with a checkpoint, written beside and renamed: a
# training that was killed resumes and ends with the same weights, on a CPU bit for bit.

# %%
config = TrainingConfig(
    weights=LossWeights(**read_json(run / "best_weights.json"))
    if weights is None
    else given_weights(weights),
    epochs=epochs,
    batch_size=batch_size,
    learning_rate=learning_rate,
    head_learning_rate=head_learning_rate,
    weight_decay=weight_decay,
    warmup_fraction=warmup_fraction,
    temperature=temperature,
    dropout=dropout,
    renormalise_fused=renormalise_fused,
    precision=precision,
    seed=seed,
)
trained = train(
    LastLayer(backbone.model, unfrozen_blocks),
    features,
    labels,
    train_rows,
    validation_rows,
    config,
    learned_temperature=backbone.learned_temperature,
    checkpoint=run / "checkpoints" / "last.safetensors",
    on_epoch=lambda e: print(
        f"epoch {e['epoch']:2d}  total {e['total']:7.3f}  BCE {e['bce']:.3f}  "
        f"SupCon {e['supcon']:.3f}  CLIP {e['clip']:.3f}  validation MRR {e['validation_mrr']:.4f}"
    ),
    device=device,
)

# %% mystnb={"figure": {"name": "fig-training", "caption": "Training: the losses of every step (thin) and their running mean, the two learning rates, and strict retrieval on the validation studies."}, "image": {"alt": "Three panels: training losses by step, learning rates by step, validation mean reciprocal rank by epoch"}}
training_curves(trained.steps, trained.epochs)
# %% [markdown]
# The SupCon loss has a floor well above zero: with two classes and a batch of many, each anchor's
# probability is shared among all positives.
#
# ## What is kept
#
# Only the tensors that were trained, under the names they have in open_clip: put into the
# pretrained model they give the fine-tuned one.

# %%
save_fine_tuned(run / "fine_tuned", trained, backbone, config)
write_table(run / "steps.parquet", trained.steps)
write_table(run / "epochs.parquet", trained.epochs)
first, last = trained.epochs.iloc[0], trained.epochs.iloc[-1]
run.write_results(
    "04_training",
    [
        *(
            {"metric": name, "epoch": "first", "value": first[name]}
            for name in first.index[1:]
        ),
        *(
            {"metric": name, "epoch": "last", "value": last[name]}
            for name in last.index[1:]
        ),
        {"metric": "epochs", "value": int(last["epoch"])},
        {"metric": "steps", "value": len(trained.steps)},
    ],
)

# %% [markdown]
# ## Summary
#
# - {num}`04_training?metric=steps` steps in {num}`04_training?metric=epochs` epochs. The CLIP loss
#   went from {num}`04_training?metric=clip&epoch=first:.3f` to
#   {num}`04_training?metric=clip&epoch=last:.3f`, BCE from
#   {num}`04_training?metric=bce&epoch=first:.3f` to {num}`04_training?metric=bce&epoch=last:.3f`.
# - Validation MRR went from {num}`04_training?metric=validation_mrr&epoch=first:.4f` to
#   {num}`04_training?metric=validation_mrr&epoch=last:.4f`.
#
# Next: [retrieval](05_retrieval) on the test studies, which no chapter so far has used.
