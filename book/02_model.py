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
#     needs: [studies.parquet]
#     leaves: [models.json, results/02_model.json]
# ---

# %% [markdown]
# # The model, what of it is trained, and the three losses
#
# **You will learn** what BiomedCLIP is made of, which small part of it the paper trains, what each of the
# three losses sees in a batch, and why the frozen part needs to be computed only once.
# **It needs** the study table of [the data chapter](01_data).

# %% tags=["hide-input"]
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import seaborn as sns
import torch
from matplotlib import pyplot as plt

from cxr_mtl.backbones import FusionHead, load_backbone
from cxr_mtl.demo_models import backbone_source
from cxr_mtl.features import compute_features, pick_device
from cxr_mtl.figures import use_theme
from cxr_mtl.files import read_table, write_json
from cxr_mtl.last_layer import LastLayer, freeze
from cxr_mtl.losses import (
    LossWeights,
    classification_loss,
    clip_loss,
    fuse,
    multi_task_loss,
    supervised_contrastive_loss,
)
from cxr_mtl.runs import Run
from cxr_mtl.trainer import embed_rows

use_theme()

# %% tags=["parameters"]
run_dir: str = "runs/demo"  # folder of this run
cache_dir: str = "runs/cache"  # folder of what several runs share
seed: int = 0  # seed of every random choice
backbone: str = "biomedclip"  # model to fine-tune: a name, hf-hub:OWNER/NAME or local-dir:FOLDER
general_model: str = "clip"  # baseline of general purpose, named likewise
unfrozen_blocks: int = 1  # transformer blocks of each tower that are trained; 0: projections only
temperature: float | None = (
    0.07  # of both contrastive losses; None: the backbone's own
)
renormalise_fused: bool = (
    True  # L2-normalise F before the SupCon loss, as Eq. 2 says
)
feature_precision: Literal["float32", "bfloat16"] = (
    "float32"  # of the cached features
)
device: Literal["auto", "cpu", "cuda"] = (
    "auto"  # auto: the GPU when there is one
)

# %% [markdown]
# ## Two towers and a head
#
# BiomedCLIP {cite}`zhang2023` is a CLIP {cite}`radford2021`: a ViT-B/16 reads the image, a
# PubMedBERT reads the report, and each ends in a projection to a common space of 512 dimensions.
# The paper adds a *fusion head*: the mean of both embeddings, dropout, and one linear unit that
# says how abnormal the study is.
#
# In the demo edition `demo-biomed` stands in BiomedCLIP's place and `demo-general` in CLIP's. They
# are models of the same classes (a timm ViT and a Hugging Face BERT inside open_clip), but small,
# and pretrained by this machine: the first on captioned phantoms that are not studies of the
# archive, the second on captioned everyday shapes.

# %%
run = Run(run_dir)
device = pick_device(device)
sources = {
    name: backbone_source(name, Path(cache_dir), seed, report=print)
    for name in (backbone, general_model)
}
pretrained = load_backbone(sources[backbone])
studies = read_table(run / "studies.parquet")

# %% [markdown]
# ## What is trained
#
# The paper freezes "all but the last layer" of each encoder. We read that as the last transformer
# block of each tower, the image trunk's final norm, and both projections. It is a parameter here,
# `unfrozen_blocks`, because open_clip's own `lock()` has meant different things over time.

# %%
freeze(pretrained.model, unfrozen_blocks)
part_of = {
    "visual.trunk": "image tower",
    "visual.head": "image projection",
    "text.transformer": "text tower",
    "text.proj": "text projection",
    "logit_scale": "logit scale",
}
rows = [
    {
        "part": next(
            part
            for prefix, part in part_of.items()
            if name.startswith(prefix)
        ),
        "parameters": p.numel(),
        "trained": p.numel() * p.requires_grad,
    }
    for name, p in pretrained.model.named_parameters()
]
table = pd.DataFrame(rows).groupby("part", sort=False).sum()
table.loc["all"] = table.sum()
table.style.format("{:,}")

# %% [markdown]
# ## The frozen part is a constant
#
# Without augmentation, what enters the first trained block never changes. So the frozen blocks run
# once per image and once per report; training, the weight search and every later epoch read the
# result from disk, memory-mapped and, for reports, without padding.

# %%
features = compute_features(
    pretrained,
    studies,
    unfrozen_blocks,
    Path(cache_dir),
    precision=feature_precision,
    device=device,
)
last_layer = LastLayer(pretrained.model, unfrozen_blocks).to(device)
print(
    f"{len(features):,} studies: {tuple(features.images.tokens.shape)} image tokens, "
    f"{tuple(features.texts.tokens.shape)} report tokens"
)

# %% [markdown]
# ## The losses, on one batch
#
# Take four studies of each label and embed them with the pretrained model. $v_i$ and $t_i$ are the
# L2-normalised embeddings of image and report, $\tau$ the temperature.

# %%
train = studies[studies["split"] == "train"]
eight = train.groupby("label").sample(4, random_state=seed).index.to_numpy()
v, t = map(
    torch.from_numpy,
    embed_rows(last_layer, features, torch.tensor(eight), device),
)
labels = torch.tensor(studies["label"].to_numpy()[eight])
tau = temperature or pretrained.learned_temperature

# %% [markdown]
# **CLIP** pulls an image towards its own report and pushes it from the other reports of the batch,
# and the reverse. With $N$ pairs in the batch,
#
# ```{math}
# :label: eq-clip
# L_\text{CLIP} = \frac{1}{2N} \sum_{i=1}^{N} \left[
#   -\log \frac{e^{v_i \cdot t_i / \tau}}{\sum_j e^{v_i \cdot t_j / \tau}}
#   -\log \frac{e^{t_i \cdot v_i / \tau}}{\sum_j e^{t_i \cdot v_j / \tau}} \right].
# ```
#
# **SupCon** {cite}`khosla2020` pulls together all studies of one label. It acts on the fused
# vector $f_i$, the renormalised mean of $v_i$ and $t_i$; $P(i)$ are the other studies of
# $i$'s label:
#
# ```{math}
# :label: eq-supcon
# L_\text{SupCon} = \frac{1}{N} \sum_{i=1}^{N} \frac{1}{|P(i)|} \sum_{p \in P(i)}
#   -\log \frac{e^{f_i \cdot f_p / \tau}}{\sum_{a \ne i} e^{f_i \cdot f_a / \tau}}.
# ```
#
# Equation {eq}`eq-supcon` calls $f$ normalised, but the paper's Algorithm 1 feeds it
# $F = (v + t)/2$, whose norm is below 1. Both are here (`renormalise_fused`). A study that is the
# only one of its label in the batch has no positive and contributes nothing.

# %% mystnb={"figure": {"name": "fig-losses", "caption": "What the two contrastive losses see before training: cosine similarities of eight studies. Left: image against report, CLIP wants the diagonal bright. Right: fused against fused, SupCon wants two bright blocks."}, "image": {"alt": "Two heat maps of cosine similarities between eight studies, four normal and four abnormal"}}
unit_v, unit_t = (torch.nn.functional.normalize(x, dim=1) for x in (v, t))
fused = torch.nn.functional.normalize(fuse(v, t), dim=1)
names = [
    f"{'abnormal' if label else 'normal'} {number + 1}"
    for number, label in enumerate(labels)
]
figure, axes = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained")
for axis, similarity, title in (
    (axes[0], unit_v @ unit_t.T, "image (rows) against report (columns)"),
    (axes[1], fused @ fused.T, "fused against fused"),
):
    sns.heatmap(
        similarity,
        annot=True,
        fmt=".2f",
        cmap="viridis",
        vmin=0,
        vmax=1,
        ax=axis,
        xticklabels=names,
        yticklabels=names,
        annot_kws={"size": 8},
    )
    axis.set_title(title)

# %% [markdown]
# **BCE** asks the fusion head for the label. With the logit $\hat y_i$ of
# $\text{Dropout}((V_i + T_i)/2)$, the embeddings before normalisation, and the sigmoid $\sigma$:
#
# ```{math}
# :label: eq-bce
# L_\text{BCE} = -\frac{1}{N} \sum_{i=1}^{N}
#   \left[ y_i \log \sigma(\hat y_i) + (1 - y_i) \log (1 - \sigma(\hat y_i)) \right],
# ```
#
# and the three are added with the weights that the [next chapter](03_weight_search) searches:
#
# ```{math}
# :label: eq-total
# L = \lambda_1 L_\text{BCE} + \lambda_2 L_\text{SupCon} + \lambda_3 L_\text{CLIP}.
# ```

# %%
torch.manual_seed(seed)
head = FusionHead(pretrained.embedding_size, dropout=0.0)
weights = LossWeights(bce=0.69, supcon=1.97, clip=0.46)  # the paper's
losses = {
    "BCE": classification_loss(head(v, t), labels),
    "SupCon": supervised_contrastive_loss(
        fuse(v, t), labels, tau, renormalise=renormalise_fused
    ),
    "CLIP": clip_loss(v, t, tau),
    "total": multi_task_loss(
        v, t, head(v, t), labels, weights, tau, renormalise_fused
    )["total"],
}
chance = {"BCE": np.log(2), "SupCon": np.log(7), "CLIP": np.log(8)}
pd.DataFrame(
    {
        "before training": {k: x.item() for k, x in losses.items()},
        "when all embeddings are equal": chance,
    }
).loc[list(losses)].round(3)

# %% [markdown]
# A value above the right-hand column says that the pretrained model is *confidently* wrong about
# some pair: the temperature {num}`02_model?metric=temperature` magnifies small differences of
# similarity.

# %%
write_json(
    run / "models.json",
    {
        "fine_tuned_from": {
            "name": backbone,
            "source": sources[backbone],
            "key": pretrained.key,
        },
        "general": {"name": general_model, "source": sources[general_model]},
    },
)
run.write_results(
    "02_model",
    [
        {
            "metric": "parameters",
            "value": int(table.loc["all", "parameters"]),
        },
        {
            "metric": "trained_parameters",
            "value": int(table.loc["all", "trained"]),
        },
        {
            "metric": "trained_share",
            "value": float(
                table.loc["all", "trained"] / table.loc["all", "parameters"]
            ),
        },
        {"metric": "temperature", "value": float(tau)},
        {"metric": "embedding_size", "value": pretrained.embedding_size},
    ],
)

# %% [markdown]
# ## Summary
#
# - {num}`02_model?metric=trained_parameters:,` of {num}`02_model?metric=parameters:,` parameters
#   are trained ({num}`02_model?metric=trained_share:.1%`); in full-size BiomedCLIP 15.39 of 195.9
#   million.
# - The frozen rest is computed once and read from disk.
# - Three losses ask three different things of the same embeddings; how to weigh them is the
#   subject of [the next chapter](03_weight_search).
