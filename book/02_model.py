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
#     needs: [studies.parquet]
#     asks: {train_per_label: 4}
#     leaves: [models.json, watched/02_model.parquet, results/02_model.json]
# ---

# %% [markdown]
# # The model, what of it is trained, and the three losses
#
# **You will learn** what BiomedCLIP is made of, which small part of it the paper trains, why the
# frozen part needs to be computed only once, and what each of the three losses sees, pulls and
# pushes, first on four pairs drawn by hand. **It needs** the study table of
# [the data chapter](01_data); the losses need no more than the cosine and the logarithm.

# %% tags=["hide-input"]
from math import exp, log
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
    read_table,
    styled_tables,
    terminal,
    write_json,
)
from cxr_mtl.figures import heat_maps, pairs_on_circle, use_theme
from cxr_mtl.models import (
    FusionHead,
    LastLayer,
    block_count,
    compute_features,
    freeze,
    load_backbone,
    pick_device,
    source_files,
)
from cxr_mtl.runs import check_parameters, open_run, watch
from cxr_mtl.training import (
    LossWeights,
    backbone_source,
    classification_loss,
    clip_loss,
    drawn_only_records,
    embed_rows,
    fuse,
    multi_task_loss,
    supervised_contrastive_loss,
    toy_batch,
)

use_theme()

# %% tags=["parameters"]
run_dir: str = "runs/demo"  # folder of this run
cache_dir: str = "runs/cache"  # folder of what several runs share
seed: int = 0  # seed of every random choice
backbone: str = "biomedclip"  # a name, hf-hub:OWNER/NAME or local-dir:FOLDER
general_model: str = "clip"  # baseline of general purpose, named likewise
unfrozen_blocks: int = 1  # trained last blocks per tower; 0: projections only
temperature: Optional[float] = 0.07  # of the losses; None: the backbone's own
renormalise_fused: bool = True  # L2-normalise F before SupCon, as Eq. 2 says
feature_precision: Precision = "float32"  # of the cached features
device: DeviceName = "auto"  # auto: the GPU when there is one

# %% [markdown]
# ## Two towers and a head
#
# BiomedCLIP {cite}`zhang2023` is a CLIP {cite}`radford2021`: a ViT-B/16 reads the image, a
# PubMedBERT reads the report, and each ends in a projection to a common space of 512 dimensions.
# The paper adds a *fusion head*: the mean of both embeddings, dropout, and one linear unit that
# says how abnormal the study is.
#
# ```{figure} _assets/architecture.svg
# :name: fig-architecture
# :alt: An image and a report pass through two towers of twelve blocks, the first eleven frozen, the last trained. Their embeddings V and T enter three losses, CLIP, SupCon and BCE, whose weighted sum is trained.
#
# The model at full size (the paper's Figure 1, drawn anew). $V$ and $T$ are the embeddings as the
# towers give them, $v$ and $t$ the same at length 1, $f$ their mean, scaled to length 1. The small
# squares are cosines between the pairs of a batch: CLIP wants the own pairs high, SupCon the pairs
# of one label.
# ```
#
# In the demo edition `demo-biomed` stands in BiomedCLIP's place and `demo-general` in CLIP's. They
# are models of the same classes (a timm ViT and a Hugging Face BERT inside open_clip), but small.
# Both are put together from the same two public towers: all-MiniLM-L6-v2 {cite}`wang2020` reads the
# report, and EfficientNet-Lite0 {cite}`tan2019`, trained on photographs, gives a map of features over
# which a ViT of two blocks runs (the hybrid of {cite}`dosovitskiy2021`). Its class token starts from
# the principal components of that map's means over 3 x 3 places, so that what is where reaches the
# embedding even of pictures unlike those that the blocks were aligned on. This ViT and both projections
# are what differs: the first was aligned on captioned phantoms that are not studies of the archive, the
# second on captioned everyday shapes, and once in ten on a phantom, for what is gathered from the web
# holds some of anything. The alignments come with the library, and `make alignment` makes them again.

# %%
check_parameters(globals())
run = open_run(run_dir)
device = pick_device(device)
sources = {
    name: backbone_source(name, Path(cache_dir))
    for name in (backbone, general_model)
}
watched = source_files(sources.values())
pretrained = load_backbone(sources[backbone])
general_key = load_backbone(sources[general_model]).key
studies = read_table(run / "studies.parquet")

# %% [markdown]
# What a model brings along is what it was pretrained on. Where one of the demo's meets images that are no
# phantoms, it is said here and on the command line:

# %%
strangers = []
if "drawn_codes" not in studies:
    strangers = drawn_only_records([backbone, general_model])
for sentence in notices(strangers):
    print(terminal.filled(sentence))

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
table.pipe(styled_tables.styled).format("{:,}")

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
    f"{len(features):,} studies: "
    f"{tuple(features.images.tokens.shape)} image tokens, "
    f"{tuple(features.texts.tokens.shape)} report tokens"
)

# %% [markdown]
# ## A batch small enough to read
#
# Before the losses meet real embeddings, four pairs made by hand. In two dimensions an embedding of
# length 1 is a point on a circle, so each image and each report is given by an angle. The cosine
# similarity of two of them is the cosine of the angle between them. Change the angles, run the cells
# below again, and see which of the losses notice.

# %% mystnb={"figure": {"name": "fig-toy", "caption": "Four pairs of an image and its report, two normal and two abnormal. Image B lies nearer to the report of A than to its own, and study D nearer to A than to C, the other abnormal one."}, "image": {"alt": "A circle with four pairs of points, each image joined to its report by a line: two normal pairs at the upper right, one abnormal pair at the left and one at the bottom"}}
toy = toy_batch.ToyBatch.from_degrees(
    images=[0, 50, 180, 280],
    reports=[40, 80, 200, 300],
    labels=[0, 0, 1, 1],
)
pairs_on_circle({"": toy})

# %% [markdown]
# All that a contrastive loss sees of a batch is its table of similarities: with $v_i$ an image
# and $t_j$ a report, both of length 1, the entry in row $i$ and column $j$ is $v_i \cdot t_j$.

# %% mystnb={"figure": {"name": "fig-toy-similarity", "caption": "The similarities of the four pairs. Outlined: what belongs together. In row B the report of A beats the own report."}, "image": {"alt": "Heat map of four by four cosine similarities between images and reports, with the diagonal outlined"}}
similarity = toy.images @ toy.reports.T
own = torch.eye(4, dtype=torch.bool)
image_names = [f"image {name}" for name in toy.names]
report_names = [f"report {name}" for name in toy.names]
heat_maps({"": (similarity, own)}, image_names, report_names, (-1, 1))

# %% [markdown]
# ## CLIP: find your own report
#
# The CLIP loss takes each image for a question with as many answers as there are reports in the
# batch, and each report likewise. The *temperature* $\tau$ divides the similarities, a softmax turns
# them into probabilities, and the loss is the negative logarithm of the probability of the own
# partner. With $N$ pairs in the batch,
#
# ```{math}
# :label: eq-clip
# L_\text{CLIP} = \frac{1}{2N} \sum_{i=1}^{N} \left[
#   -\log \frac{e^{v_i \cdot t_i / \tau}}{\sum_j e^{v_i \cdot t_j / \tau}}
#   -\log \frac{e^{t_i \cdot v_i / \tau}}{\sum_j e^{t_i \cdot v_j / \tau}} \right].
# ```
#
# The same in five lines: for each $i$ the sums of both denominators and the two logarithms. Here
# `s[i][j]` is $v_i \cdot t_j$, `n` is $N$ and `toy_tau` is $\tau$.

# %%
toy_tau = 0.07
s, n = similarity.tolist(), 4
loop_clip = 0.0
for i in range(n):
    over_reports = sum(exp(s[i][j] / toy_tau) for j in range(n))
    over_images = sum(exp(s[j][i] / toy_tau) for j in range(n))
    loop_clip -= log(exp(s[i][i] / toy_tau) / over_reports) / (2 * n)
    loop_clip -= log(exp(s[i][i] / toy_tau) / over_images) / (2 * n)

# %% [markdown]
# The library computes it with matrices, and must give the same number:

# %%
library_clip = clip_loss(toy.images, toy.reports, toy_tau)
print(f"loop {loop_clip:.5f}, library {library_clip:.5f}")

# %% [markdown]
# ## What the softmax sees
#
# The temperature decides which of the other reports matter. At $\tau = 1$ all of them do, and even
# the best pair gets hardly more than half of the probability. At 0.07, the value used here, similar
# reports compete and distant ones are out of the race. At 0.01 only the most similar report is left,
# right or wrong.

# %% mystnb={"figure": {"name": "fig-toy-softmax", "caption": "Probabilities of the four reports for each image (rows add up to 1), at three temperatures. CLIP wants the outlined cells to be 1."}, "image": {"alt": "Three heat maps of softmax probabilities: spread out at temperature 1, nearly decided at 0.07, all or nothing at 0.01, where image B picks the report of A"}}
heat_maps(
    {
        f"τ = {tau:g}": ((similarity / tau).softmax(dim=1), own)
        for tau in (1, 0.07, 0.01)
    },
    image_names,
    toy.names,
    (0, 1),
)

# %% [markdown]
# ## SupCon: find your own kind
#
# The supervised contrastive loss {cite}`khosla2020` asks for the label instead of the pair. It acts
# on one vector per study, the *fused* $f_i$: the mean of $v_i$ and $t_i$, scaled back to length 1.
# Each study is a question again, all *other* studies of the batch are the answers, and every other
# study of its label, $P(i)$, is a right one:
#
# ```{math}
# :label: eq-supcon
# L_\text{SupCon} = \frac{1}{N} \sum_{i=1}^{N} \frac{1}{|P(i)|} \sum_{p \in P(i)}
#   -\log \frac{e^{f_i \cdot f_p / \tau}}{\sum_{a \ne i} e^{f_i \cdot f_a / \tau}}.
# ```
#
# Again as a loop. `g[i][a]` is $f_i \cdot f_a$, `y` holds the labels and `positives` is $P(i)$:

# %%
fused = F.normalize(fuse(toy.images, toy.reports), dim=1)
g, y = (fused @ fused.T).tolist(), toy.labels.tolist()
loop_supcon = 0.0
for i in range(n):
    others = [a for a in range(n) if a != i]
    over_others = sum(exp(g[i][a] / toy_tau) for a in others)
    positives = [p for p in others if y[p] == y[i]]
    for p in positives:
        term = -log(exp(g[i][p] / toy_tau) / over_others)
        loop_supcon += term / len(positives) / n

# %% [markdown]
# And the library's:

# %%
library_supcon = supervised_contrastive_loss(fused, toy.labels, toy_tau)
print(f"loop {loop_supcon:.5f}, library {library_supcon:.5f}")

# %% [markdown]
# A study that is the only one of its label in the batch has no positive and contributes nothing.
# Equation {eq}`eq-supcon` calls $f$ normalised, but the paper's Algorithm 1 feeds the loss with
# $F = (v + t)/2$, whose norm is below 1. Both are here (`renormalise_fused`).
#
# What the softmax sees is now a table of studies against studies, without the study itself:

# %% mystnb={"figure": {"name": "fig-toy-supcon", "caption": "Probabilities of the other studies for each study. A study does not compete with itself (blank). SupCon wants the outlined cells of a row, here one in each, to share all the probability; study D gives A, which is normal, the most."}, "image": {"alt": "Two heat maps of softmax probabilities between four studies with an empty diagonal; the cell of the other study of the same label is outlined"}}
among_others = (fused @ fused.T).masked_fill(own, -torch.inf)
same_label = (toy.labels[:, None] == toy.labels) & ~own
heat_maps(
    {
        f"τ = {tau:g}": (
            (among_others / tau).softmax(dim=1).masked_fill(own, torch.nan),
            same_label,
        )
        for tau in (1, 0.07)
    },
    [f"study {name}" for name in toy.names],
    toy.names,
    (0, 1),
)

# %% [markdown]
# ## What pulls and what pushes
#
# A loss is known by where it moves things. Eight scattered pairs, and 400 plain gradient steps
# under each loss; after a step every point goes back to the circle. Here $\tau = 0.2$, so that the
# points feel each other from further away.

# %%
scattered = toy_batch.ToyBatch.from_degrees(
    images=[5, 70, 115, 160, 205, 250, 300, 340],
    reports=[40, 20, 150, 100, 230, 290, 260, 10],
    labels=[0, 1, 0, 1, 1, 0, 1, 0],
)


def clip(images, reports):
    return clip_loss(images, reports, 0.2)


def supcon(images, reports):
    return supervised_contrastive_loss(
        fuse(images, reports), scattered.labels, 0.2
    )


def both(images, reports):
    return clip(images, reports) + supcon(images, reports)


# %% mystnb={"figure": {"name": "fig-toy-descent", "caption": "Eight pairs before training and after 400 gradient steps under CLIP, under SupCon and under both, with the two losses of each state."}, "image": {"alt": "Four circles with eight image-report pairs. Before: long lines across. CLIP: each image on its report, the pairs evenly spread. SupCon: two groups by label, images apart from their reports. Both: two groups by label with each image on its report"}}
states = {"before": scattered}
losses = {"CLIP": clip, "SupCon": supcon, "CLIP + SupCon": both}
for name, loss in losses.items():
    moved = toy_batch.descend(loss, scattered.images, scattered.reports)
    states[name] = toy_batch.ToyBatch(*moved, scattered.labels)


def title(name):
    pairs = states[name].images, states[name].reports
    return f"{name}\nCLIP {clip(*pairs):.2f}, SupCon {supcon(*pairs):.2f}"


pairs_on_circle({title(name): state for name, state in states.items()})

# %% [markdown]
# - **CLIP** pulls an image and its report together and pushes all other pairs away, of the same
#   label or not: the pairs end up evenly around the circle.
# - **SupCon** pulls studies of a label together and pushes the labels apart. It only moves the
#   *middle* of a pair: images and reports stay apart, and retrieval is lost.
# - **Both** give two groups with closed pairs. But within a group the two losses disagree: CLIP
#   pushes apart what SupCon holds together. Neither gets as low as it does alone; the weights say
#   who gives way.
#
# ## BCE: name the label
#
# The third loss asks the fusion head for the label. The head gives one number, the *logit*
# $\hat y_i$ of $\text{Dropout}((V_i + T_i)/2)$, from the embeddings before normalisation, and the
# sigmoid $\sigma$ makes it the probability of abnormal:
#
# ```{math}
# :label: eq-bce
# L_\text{BCE} = -\frac{1}{N} \sum_{i=1}^{N}
#   \left[ y_i \log \sigma(\hat y_i) + (1 - y_i) \log (1 - \sigma(\hat y_i)) \right].
# ```
#
# For the toy the head is a rule made by hand: the further to the left, the more abnormal.

# %%
logits = -4 * ((toy.images + toy.reports) / 2)[:, 0]
loop_bce = 0.0
for logit, label in zip(logits.tolist(), y, strict=True):
    sigma = 1 / (1 + exp(-logit))
    loop_bce -= (label * log(sigma) + (1 - label) * log(1 - sigma)) / n
library_bce = classification_loss(logits, toy.labels)
print(f"loop {loop_bce:.5f}, library {library_bce:.5f}")

# %% [markdown]
# The three are added with the weights that the [next chapter](03_weight_search) searches:
#
# ```{math}
# :label: eq-total
# L = \lambda_1 L_\text{BCE} + \lambda_2 L_\text{SupCon} + \lambda_3 L_\text{CLIP}.
# ```
#
# ## Break it, then mend it
#
# The figure above suggests that a small temperature makes a stern teacher. Take $\tau = 0.01$, and
# the loss as the equation has it, first the exponentials, then the logarithm, in float32 as in
# training:

# %%
broken_tau = 0.01
e = (similarity / broken_tau).exp()
naive = (e.sum(dim=1) / e.diagonal()).log()

stable = torch.logsumexp(similarity / broken_tau, dim=1)
stable = stable - similarity.diagonal() / broken_tau
pd.DataFrame(
    {"exp, then log": naive, "log-sum-exp": stable}, index=image_names
).astype(float).round(3)

# %% [markdown]
# Float32 ends at about $e^{88}$, and a similarity near 1 divided by 0.01 is near 100. *Inf* over a
# number, *inf* over *inf*: one such row, and the loss and all its gradients are lost. **Mend the
# arithmetic:** the logarithm of a sum of exponentials can take out the largest term first,
# $\log \sum_j e^{x_j} = m + \log \sum_j e^{x_j - m}$ with $m = \max_j x_j$. The second column does, and
# so does the library.
#
# Now the loss is finite, but does it teach? Its slope in the similarity to the own report is
# $(1 - p)/\tau$, with $p$ the probability of that report; what pushes the others away is shared among
# them by their probabilities.

# %%
rows = []
for tau in (1, 0.3, 0.07, 0.03, 0.01):
    p = (similarity / tau).softmax(dim=1).diagonal()
    slope = (1 - p) / tau
    nearest = toy_batch.nearest_negative_share(similarity, tau)
    rows.append(
        {
            "τ": tau,
            "CLIP loss": clip_loss(toy.images, toy.reports, tau).item(),
            "slope, image B": slope[1].item(),
            "slope, mean of A, C, D": slope[[0, 2, 3]].mean().item(),
            "share of the nearest negative": nearest.mean().item(),
        }
    )
pd.DataFrame(rows).pipe(styled_tables.styled).format("{:.3g}").hide()

# %% [markdown]
# As $\tau$ falls, three of the four images stop learning: their own report is nearest already, and
# the slope vanishes. All that is left is image B against one single negative, with a slope of 100:
# one confusing pair, a duplicate perhaps, throws the whole batch about. **Mend the temperature:** put
# 0.07 for `broken_tau`, and both columns of the first table agree; in the second, that line keeps a
# moderate slope. [Chapter 9](09_ablations) trains with 0.02 and 0.2 and measures what it costs.
#
# ## The losses, on real studies
#
# Take four studies of each label and embed them with the pretrained model. The losses see in them
# what they saw in the toy:

# %%
train = studies[studies["split"] == "train"]
eight = train.groupby("label").sample(4, random_state=seed).index.to_numpy()
v, t = map(
    torch.from_numpy,
    embed_rows(last_layer, features, torch.tensor(eight), device),
)
labels = torch.tensor(studies["label"].to_numpy()[eight])
tau = temperature or pretrained.learned_temperature

# %% mystnb={"figure": {"name": "fig-losses", "caption": "What the two contrastive losses see before training: cosine similarities of eight studies. Left: image (rows) against report (columns); CLIP wants the outlined diagonal to be the highest of its row and column. Right: fused against fused; SupCon wants the two outlined blocks bright and the rest dark."}, "image": {"alt": "Two heat maps of cosine similarities between eight studies, four normal and four abnormal, with the positives of each loss outlined"}}
unit_v, unit_t = F.normalize(v, dim=1), F.normalize(t, dim=1)
fused = F.normalize(fuse(v, t), dim=1)
itself = torch.eye(8, dtype=torch.bool)
names = [
    f"{'abnormal' if label else 'normal'} {number + 1}"
    for number, label in enumerate(labels)
]
heat_maps(
    {
        "image against report": (unit_v @ unit_t.T, itself),
        "fused against fused": (
            (fused @ fused.T).masked_fill(itself, torch.nan),
            (labels[:, None] == labels) & ~itself,
        ),
    },
    names,
    names,
    (0, 1),
)

# %% [markdown]
# The three losses of this batch and their sum with the paper's weights, before any training:

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
).loc[list(losses)].pipe(styled_tables.styled).format("{:.3f}", na_rep="")

# %% [markdown]
# A contrastive loss above the right-hand column says that the pretrained model is *confidently* wrong
# about some pair: the temperature {num}`02_model?metric=temperature` magnifies small differences of
# similarity. The BCE is that of a head as it was first drawn, and says nothing yet.

# %% tags=["hide-cell"]
write_json(
    run / "models.json",
    {
        "fine_tuned_from": {
            "name": backbone,
            "source": sources[backbone],
            "key": pretrained.key,
        },
        "general": {
            "name": general_model,
            "source": sources[general_model],
            "key": general_key,
        },
        "blocks": block_count(pretrained.model),
    },
)
watch(run, "02_model", watched)
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
        *strangers,
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
# - CLIP joins pairs and spreads everything else, SupCon gathers a label and leaves the pairs open,
#   BCE asks for the label alone. They agree on much, and disagree within a label.
# - The temperature says how many negatives count. Too small a one breaks first the arithmetic and
#   then the learning.
#
# Now you: the [exercises](exercises/02_model) of this chapter.
#
# Next: [how much each loss should weigh](03_weight_search).
