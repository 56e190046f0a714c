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
# **You will learn** the paper's Algorithm 1 in one function call, how to read its curves, what is kept
# so that a killed training resumes, and what equal reports in a batch do to the CLIP loss.
# **It needs** the weights of [the search](03_weight_search).

# %% tags=["hide-input"]
from pathlib import Path
from typing import Optional

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from cxr_mtl.base import (
    DeviceName,
    Precision,
    notices,
    read_json,
    terminal,
    write_table,
)
from cxr_mtl.data import splits
from cxr_mtl.figures import pairs_on_circle, training_curves, use_theme
from cxr_mtl.runs import check_parameters, open_run
from cxr_mtl.training import (
    LossWeights,
    TrainingConfig,
    clip_loss,
    collapse,
    embed_rows,
    prepare_training,
    save_fine_tuned,
    toy_batch,
    trainer,
)

use_theme()

# %% tags=["parameters"]
run_dir: str = "runs/demo"  # folder of this run
cache_dir: str = "runs/cache"  # folder of what several runs share
seed: int = 0  # seed of every random choice
unfrozen_blocks: int = 1  # trained last blocks per tower; 0: projections only
feature_precision: Precision = "float32"  # of the cached features
weights: Optional[list[float]] = None  # λ₁, λ₂, λ₃; None: the search's best
epochs: int = 20  # passes over the training studies
batch_size: int = 128  # studies per step
learning_rate: float = 1.0e-5  # of the last layer
head_learning_rate: float = 1.0e-4  # of the fusion head
weight_decay: float = 0.01  # of AdamW
warmup_fraction: float = 0.1  # share of steps with a rising learning rate
temperature: Optional[float] = 0.07  # of the losses; None: the backbone's own
dropout: float = 0.1  # of the fusion head
renormalise_fused: bool = True  # L2-normalise F before SupCon, as Eq. 2 says
precision: Precision = "float32"  # of training
threads: Optional[int] = None  # of a training; None: its share of the cores
device: DeviceName = "auto"  # auto: the GPU when there is one

# %%
check_parameters(globals())
run = open_run(run_dir)
setup = prepare_training(
    run.path, Path(cache_dir), unfrozen_blocks, feature_precision, device
)

# %% [markdown]
# ## Algorithm 1
#
# AdamW {cite}`loshchilov2019` with one learning rate for the last layer and one for the fusion
# head, a linear warm-up over the first steps, then a cosine to zero. Every epoch draws its order
# and dropout from a seed of its own and ends with a checkpoint, written beside and renamed: a
# training that was killed resumes and ends with the same weights, on a CPU bit for bit.
#
# ```{figure} _assets/algorithm-training.svg
# :name: fig-algorithm-training
# :alt: Frozen blocks give tokens once. For each epoch the studies are shuffled; for each batch the last layer embeds, three losses are summed and AdamW takes a step; then validation and a checkpoint. At the end the trained tensors are kept.
#
# Algorithm 1, training (the paper's Figure 2, drawn anew), with the paper's values. The paper runs
# the whole model in every step; here the frozen blocks run once, with the same result. $F$ is
# scaled to length 1 before SupCon, as the paper's Eq. 2 says.
# ```

# %%
config = TrainingConfig.from_parameters(
    globals(),
    weights=LossWeights(**read_json(run / "best_weights.json"))
    if weights is None
    else trainer.given_weights(weights),
)


def print_epoch(epoch):
    losses = "  ".join(
        f"{name} {epoch[name.lower()]:.3f}"
        for name in ("total", "BCE", "SupCon", "CLIP")
    )
    mrr = epoch["validation_mrr"]
    print(f"epoch {epoch['epoch']:2d}  {losses}  val. MRR {mrr:.4f}")


trained = setup.train(
    config, run / "checkpoints" / "last.safetensors", print_epoch
)

# %% mystnb={"figure": {"name": "fig-training", "caption": "Training: the losses of every step (thin) and their running mean, the two learning rates, and strict retrieval on the validation studies."}, "image": {"alt": "Three panels: training losses by step, learning rates by step, validation mean reciprocal rank by epoch"}}
training_curves(trained.steps, trained.epochs)
# %% [markdown]
# The SupCon loss has a floor well above zero: with two classes and a batch of many, the probability that
# a study gives to the others is shared among all of its label. With as many of either label a batch of
# 128 cannot fall below $\log 63 \approx 4.14$, and where all vectors are equal it is at
# $\log 127 \approx 4.84$. Here it was {num}`04_training?metric=supcon&epoch=first:.3f` in the first
# epoch and {num}`04_training?metric=supcon&epoch=last:.3f` in the last; look at the figure for where it was
# lowest. Where it rises again while the CLIP loss goes on falling, the two pull against each other: CLIP draws
# studies of one label apart, SupCon together. The thin lines drop once an epoch where its last batch is
# smaller than the others: among few studies the right answer is easier to find.
#
# The best trial of [the search](03_weight_search) ended at a validation MRR of
# {num}`03_weight_search?metric=validation_mrr&weights=found:.6f`, this training at
# {num}`04_training?metric=validation_mrr&epoch=last:.6f`. With the same weights, epochs, seed and number
# of threads the two are one training, equal to the last digit. With another number of threads they are
# not: sums of floating-point numbers depend on their order, which the threads share out, and
# training makes such differences grow, as another seed would. Hence the parameter `threads`.
#
# Either way the best of many trials owes part of its height to luck: [chapter 9](09_ablations) shows
# how much such a choice flatters.
#
# ## Has it collapsed?
#
# A training can end without an error and have learnt nothing. Two numbers show it. Where all scores are
# equal, the CLIP loss of a batch of $n$ is $\log n$; and where a tower gives all studies the same
# embedding, the mean cosine between two of them is 1.

# %%
in_validation = embed_rows(
    trained.last_layer,
    setup.features,
    setup.rows["validation"],
    setup.device,
)
collapses = collapse.training_records(
    trained, len(setup.rows["train"]), config, *in_validation
)
for sentence in notices(collapses):
    print(terminal.filled(sentence))

# %% [markdown]
# The CLIP loss of the last epoch was {num}`04_training?metric=clip&epoch=last:.3f`, where equal scores give
# {num}`04_training?metric=clip_loss_of_chance:.3f`; the mean cosine of two validation images is
# {num}`04_training?metric=mean_cosine&modality=images:.3f`, of two reports
# {num}`04_training?metric=mean_cosine&modality=reports:.3f`. A loss within 0.05 of that of chance, or a mean
# cosine above 0.999, is said above and on the command line, with what to try. All chests are much alike, so a
# cosine of 0.9 is no fault. Where the CLIP loss has the weight 0, as in some of the
# [ablations](09_ablations), nothing asks for studies of one label to differ, and nothing is said.
#
# ## Break it, then mend it
#
# The CLIP loss has a floor too, and nobody put it there on purpose. It treats every other report of the
# batch as wrong. In Open-I many reports are word for word the same, so that a batch holds *false
# negatives*: reports that fit the image exactly and count as errors. How many? Batches are drawn as
# the training draws them, twenty epochs of them.

# %%
train_rows = setup.rows["train"]
texts = setup.studies["text"].map(splits.normalise_text).to_numpy()
texts = texts[train_rows.numpy()]
rng = np.random.default_rng(seed)
ends = range(batch_size, len(texts), batch_size)
batches = [
    batch
    for _ in range(20)
    for batch in np.split(rng.permutation(len(texts)), ends)
]
with_twin = [
    pd.Series(texts[batch]).duplicated(keep=False).mean() for batch in batches
]
print(f"studies with a twin in their batch: {np.mean(with_twin):.1%}")

# %% [markdown]
# What such a pair does is best seen on four pairs of [the toy](02_model): A and B have the same report.
# The mend stands beside it: a *mask* takes equal reports out of the race, all but the own one. It
# is one line, `masked_fill`; a logit of $-\infty$ has the probability 0.

# %%
toy = toy_batch.ToyBatch.from_degrees(
    images=[30, 100, 160, 280],
    reports=[40, 40, 160, 280],
    labels=[0, 0, 1, 1],
)
toy_texts = np.array(["clear", "clear", "effusion", "nodule"])


def twins(words):
    same = torch.from_numpy(words[:, None] == words)
    return same & ~torch.eye(len(words), dtype=torch.bool)


def masked_clip_loss(images, reports, twin, tau):
    images, reports = (F.normalize(x, dim=1) for x in (images, reports))
    logits = (images @ reports.T / tau).masked_fill(twin, -torch.inf)
    own = torch.arange(len(logits))
    of_images = F.cross_entropy(logits, own)
    of_reports = F.cross_entropy(logits.T, own)
    return (of_images + of_reports) / 2


# %% [markdown]
# Now the reports stay where they are and the images take 400 gradient steps, once without the mask and
# once with it ($\tau = 0.2$):

# %% mystnb={"figure": {"name": "fig-twins", "caption": "Images A and B share one report (the upper square). The plain CLIP loss moves A, which was near, away from its own report until B is as near; with the mask A stays near and B comes nearer."}, "image": {"alt": "Three circles: before, image A is near the shared report and B far; after the plain CLIP loss both lie at the same distance on either side of it, A further off than before; with the mask A stays near and B comes closer"}}
tau = 0.2


def plain(images):
    return clip_loss(images, toy.reports, tau)


def masked(images):
    return masked_clip_loss(images, toy.reports, twins(toy_texts), tau)


(after_plain,) = toy_batch.descend(plain, toy.images)
(after_masked,) = toy_batch.descend(masked, toy.images)
states = {
    "before": toy.images,
    "CLIP": after_plain,
    "CLIP, twins masked": after_masked,
}
pairs_on_circle(
    {
        name: toy_batch.ToyBatch(images, toy.reports, toy.labels)
        for name, images in states.items()
    }
)

# %% [markdown]
# The degrees between each image and its own report:

# %%
pd.DataFrame(
    {
        name: toy_batch.degrees_between(images, toy.reports).numpy()
        for name, images in states.items()
    },
    index=[f"image {name}" for name in toy.names],
).round(1)

# %% [markdown]
# Two questions, "which image belongs to this report?", have the same words and two different right
# answers. The loss is lowest where both images are equally likely, so it pushes the near one off. No
# model can do better than $\log 2$ on average over the four terms of such a pair, and than $\log n$
# where $n$ reports are equal.
#
# And in the run? The CLIP loss of the trained model over five of the batches above, without dropout,
# plain and masked, and the floor that equal reports set to the plain one:

# %%
rows = []
for batch in batches[:5]:
    found = embed_rows(
        trained.last_layer,
        setup.features,
        train_rows[batch],
        setup.device,
    )
    images, reports = map(torch.from_numpy, found)
    tau = temperature or setup.backbone.learned_temperature
    twin = twins(texts[batch])
    rows.append(
        {
            "CLIP": clip_loss(images, reports, tau).item(),
            "CLIP, twins masked": masked_clip_loss(
                images, reports, twin, tau
            ).item(),
            "floor by twins": (1 + twin.sum(dim=1)).log().mean().item(),
        }
    )
in_batches = pd.DataFrame(rows).mean()
in_batches.to_frame("mean of five batches").round(3)

# %% [markdown]
# {num}`04_training?metric=studies_with_twin:.1%` of the studies have a twin in their batch. The mask
# takes the loss from {num}`04_training?metric=clip_of_batches&twins=kept:.3f` to
# {num}`04_training?metric=clip_of_batches&twins=masked:.3f`. Where that is little, twins
# are rare, or the model is still so unsure that one wrong competitor among so many hardly counts. The floor,
# {num}`04_training?metric=twin_floor:.3f`, is what would be left of the plain loss if the model were
# perfect. Twins bite when models are good, batches large and most chests normal.
#
# **Break the mend:** put four different words into `toy_texts`, and the mask does nothing. **Mend the
# training:** the book trains without the mask, as the paper describes its loss; put
# `masked_clip_loss` in place of `clip_loss` where `LossWeights` declares the weight `clip`, and give
# `LossBatch` the twins of the batch.
#
# ## What is kept
#
# Only the tensors that were trained, under the names they have in open_clip: put into the
# pretrained model they give the fine-tuned one.

# %% tags=["hide-cell"]
save_fine_tuned(run / "fine_tuned", trained, setup.backbone, config)
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
        *collapses,
        {"metric": "epochs", "value": int(last["epoch"])},
        {"metric": "steps", "value": len(trained.steps)},
        {"metric": "studies_with_twin", "value": float(np.mean(with_twin))},
        {
            "metric": "clip_of_batches",
            "twins": "kept",
            "value": in_batches["CLIP"],
        },
        {
            "metric": "clip_of_batches",
            "twins": "masked",
            "value": in_batches["CLIP, twins masked"],
        },
        {"metric": "twin_floor", "value": in_batches["floor by twins"]},
    ],
)

# %% [markdown]
# ## Summary
#
# - {num}`04_training?metric=steps` steps in {num}`04_training?metric=epochs` epochs. The CLIP loss
#   went from {num}`04_training?metric=clip&epoch=first:.3f` in the first epoch to
#   {num}`04_training?metric=clip&epoch=last:.3f` in the last, BCE from
#   {num}`04_training?metric=bce&epoch=first:.3f` to {num}`04_training?metric=bce&epoch=last:.3f`, SupCon
#   from {num}`04_training?metric=supcon&epoch=first:.3f` to
#   {num}`04_training?metric=supcon&epoch=last:.3f`.
# - Validation MRR was {num}`04_training?metric=validation_mrr&epoch=first:.4f` after the first epoch and
#   {num}`04_training?metric=validation_mrr&epoch=last:.4f` after the last.
# - Equal reports in a batch are false negatives: they push an image off its own report and set the
#   CLIP loss a floor. A mask of one line takes them out.
#
# Now you: the [exercises](exercises/04_training) of this chapter.
#
# Next: [retrieval](05_retrieval) on the test studies, which no training or search has seen. (By what the
# demo's own settings were chosen is told on {doc}`the front page <index>`.)
