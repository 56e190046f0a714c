"""Equations 1 to 4: the CLIP, supervised contrastive and classification losses, and their sum.

Liang, Rajaraman, Marini, Xue, Antani, "Multi-task Cross-modal Learning for Chest X-ray Image
Retrieval", 2026. Below, N is the number of studies in the batch and d the embedding dimension.
"""

import math
from collections.abc import Callable
from dataclasses import astuple, dataclass, fields
from functools import reduce
from operator import add
from typing import Annotated, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from cxr_mtl.base.errors import InputError, check_choice

SupConOn = Literal["fused", "image", "text"]


@dataclass(frozen=True)
class LossBatch:
    """What a loss may look at: a batch in full precision, and the training's choices.

    Shapes: images and texts, the unnormalised embeddings, [N, d]; the head's logits and labels [N].
    """

    images: Tensor
    texts: Tensor
    logits: Tensor
    labels: Tensor
    temperature: float | Tensor
    renormalise: bool
    supcon_on: SupConOn


@dataclass(frozen=True)
class LossTerm:
    """A loss as the training, the search, the ablations and the figures know it.

    `value` gives its scalar. The weights searched lie in `search_range`, the paper's among them.
    """

    symbol: str
    title: str
    value: Callable[[LossBatch], Tensor]
    paper_weight: float
    search_range: tuple[float, float]
    colour: str
    needs_labels: bool

    def __str__(self) -> str:
        return f"{self.symbol} ({self.title})"


def fuse(image_embeddings: Tensor, text_embeddings: Tensor) -> Tensor:
    """Mean of the L2-normalised image and text embeddings, F = (v_norm + t_norm) / 2.

    Takes two [N, d] and returns [N, d] (Algorithm 1); the norm of a row is √((1 + cos(v, t)) / 2),
    at most 1.
    """
    return (F.normalize(image_embeddings, dim=-1) + F.normalize(text_embeddings, dim=-1)) / 2


def clip_loss(
    image_embeddings: Tensor, text_embeddings: Tensor, temperature: float | Tensor
) -> Tensor:
    """Symmetric contrastive loss between images and reports (Eq. 1), a scalar.

    L = 1/(2N) Σᵢ [−log softmaxⱼ(vᵢ·tⱼ/τ)ᵢ − log softmaxⱼ(tᵢ·vⱼ/τ)ᵢ] with v, t the L2-normalised
    rows of the two [N, d]. τ is a positive number or a 0-d tensor; a backbone that learns a
    logit scale s has τ = 1/s.

    Raises:
        InputError: a temperature that is not a positive number, an empty batch, or two shapes.
    """
    _check_pairs(image_embeddings, text_embeddings)
    _check_temperature(temperature)
    images = F.normalize(image_embeddings, dim=-1)
    texts = F.normalize(text_embeddings, dim=-1)
    logits = images @ texts.T / temperature
    own = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2


def supervised_contrastive_loss(
    features: Tensor, labels: Tensor, temperature: float | Tensor, *, renormalise: bool = True
) -> Tensor:
    """Supervised contrastive loss over samples of one class (Eq. 2), a scalar.

    L = 1/N Σᵢ 1/|P(i)| Σ_{p∈P(i)} −log[exp(fᵢ·f_p/τ) / Σ_{a≠i} exp(fᵢ·f_a/τ)] for features [N, d]
    and integer labels [N]; P(i) are the other samples of i's class. N counts every anchor, as
    Eq. 2 writes it: an anchor without a positive adds 0 to the sum and is still counted, so a
    batch of one sample, or of one sample per class, has the loss 0 and the gradient 0.

    Eq. 2 calls f L2-normalised while Algorithm 1 feeds F of `fuse`, whose norm is below 1.
    `renormalise` follows Eq. 2; without it the features are taken as they are (Algorithm 1).

    Raises:
        InputError: a temperature that is not a positive number, or an empty batch.
    """
    _check_batch(features)
    _check_temperature(temperature)
    if renormalise:
        features = F.normalize(features, dim=-1)
    similarity = features @ features.T / temperature
    itself = torch.eye(len(features), dtype=torch.bool, device=features.device)
    positives = (labels[:, None] == labels) & ~itself
    # The lowest finite number, not −inf: a batch of one keeps a finite value and gradient.
    others = similarity.masked_fill(itself, torch.finfo(similarity.dtype).min)
    log_probability = similarity - others.logsumexp(dim=1, keepdim=True)
    per_anchor = -torch.where(positives, log_probability, 0).sum(dim=1)
    return (per_anchor / positives.sum(dim=1).clamp(min=1)).mean()


def classification_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy of logits [N] against labels [N], 1 abnormal and 0 normal (Eq. 3).

    L = −1/N Σᵢ [yᵢ log σ(ŷᵢ) + (1 − yᵢ) log(1 − σ(ŷᵢ))], a scalar.

    Raises:
        InputError: an empty batch.
    """
    _check_batch(logits)
    return F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))


def _supcon(batch: LossBatch) -> Tensor:
    if batch.supcon_on == "fused":
        features = fuse(batch.images, batch.texts)
    else:
        features = F.normalize(batch.images if batch.supcon_on == "image" else batch.texts, dim=-1)
    return supervised_contrastive_loss(
        features, batch.labels, batch.temperature, renormalise=batch.renormalise
    )


@dataclass(frozen=True)
class LossWeights:
    """The weights λ₁ (bce), λ₂ (supcon) and λ₃ (clip) of Eq. 4, each annotated with its loss.

    Raises:
        InputError: a weight is negative or not finite, or all are 0.
    """

    bce: Annotated[
        float,
        LossTerm(
            symbol="λ₁",
            title="BCE",
            value=lambda batch: classification_loss(batch.logits, batch.labels),
            paper_weight=0.69,
            search_range=(0.1, 1.0),
            colour="#d55e00",
            needs_labels=True,
        ),
    ]
    supcon: Annotated[
        float,
        LossTerm(
            symbol="λ₂",
            title="SupCon",
            value=_supcon,
            paper_weight=1.97,
            search_range=(0.2, 2.0),
            colour="#a89200",  # the palette's yellow is too pale for a line
            needs_labels=True,
        ),
    ]
    clip: Annotated[
        float,
        LossTerm(
            symbol="λ₃",
            title="CLIP",
            value=lambda batch: clip_loss(batch.images, batch.texts, batch.temperature),
            paper_weight=0.46,
            search_range=(0.2, 2.0),
            colour="#56b4e9",
            needs_labels=False,
        ),
    ]

    def __post_init__(self) -> None:
        for name, weight in vars(self).items():
            if not (math.isfinite(weight) and weight >= 0):
                raise InputError(
                    f"the loss weight {name} is {weight}: give a finite number of at least 0"
                )
        if not any(astuple(self)):
            raise InputError("all loss weights are 0: give at least one a value above 0")

    @property
    def need_labels(self) -> bool:
        """Whether a loss that needs labels has a weight above 0."""
        return any(getattr(self, name) for name, term in LOSS_TERMS.items() if term.needs_labels)


LOSS_TERMS: dict[str, LossTerm] = {f.name: get_args(f.type)[1] for f in fields(LossWeights)}
"""The losses by the names of their weights, in the order in which they are summed."""

PAPER_WEIGHTS = LossWeights(**{name: term.paper_weight for name, term in LOSS_TERMS.items()})
"""The weights with which the paper trains."""


def multi_task_loss(
    image_embeddings: Tensor,
    text_embeddings: Tensor,
    logits: Tensor,
    labels: Tensor,
    weights: LossWeights,
    temperature: float | Tensor,
    renormalise: bool = True,
    supcon_on: SupConOn = "fused",
) -> dict[str, Tensor]:
    """All of `LOSS_TERMS` by name, and their weighted sum (Eq. 4).

    total = λ₁·bce + λ₂·supcon + λ₃·clip. Takes the unnormalised embeddings, twice [N, d], the
    head's logits [N] and the labels [N]. The SupCon loss sees the fused embeddings (`fuse`) or,
    by `supcon_on`, the L2-normalised image or text embeddings alone. The losses that need labels,
    bce and supcon, are 0 where all of them have weight 0, and then the labels may be unknown (−1).
    Half-precision inputs are raised to float32 and autocast is off inside: a similarity divided by
    τ needs the digits.

    Raises:
        InputError: a label other than 0 and 1 where labels are needed, a temperature that is not
            a positive number, an empty batch, embeddings of two shapes, or an unknown `supcon_on`.
    """
    _check_pairs(image_embeddings, text_embeddings)
    check_choice("supcon_on", supcon_on, SupConOn)
    if weights.need_labels:
        _check_labels(labels)
    with torch.autocast(image_embeddings.device.type, enabled=False):
        images, texts, logits = map(_full_precision, (image_embeddings, text_embeddings, logits))
        batch = LossBatch(images, texts, logits, labels, temperature, renormalise, supcon_on)
        losses = {
            name: images.new_zeros(())
            if term.needs_labels and not weights.need_labels
            else term.value(batch)
            for name, term in LOSS_TERMS.items()
        }
        # Not `sum`, which would begin with 0: the same operations as Eq. 4 written out.
        total = reduce(add, (getattr(weights, name) * loss for name, loss in losses.items()))
    return {**losses, "total": total}


def _full_precision(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _check_batch(values: Tensor) -> None:
    if len(values) == 0:
        raise InputError("the batch is empty: a loss needs at least one study")


def _check_pairs(image_embeddings: Tensor, text_embeddings: Tensor) -> None:
    _check_batch(image_embeddings)
    if image_embeddings.shape != text_embeddings.shape:
        raise InputError(
            f"image embeddings {list(image_embeddings.shape)} and text embeddings "
            f"{list(text_embeddings.shape)} differ in shape: give one of each per study"
        )


def _check_temperature(temperature: float | Tensor) -> None:
    # A tensor is the exponential of a learned scale, positive by construction; reading it here
    # would make a GPU wait at every step.
    if not isinstance(temperature, Tensor) and not (math.isfinite(temperature) and temperature > 0):
        raise InputError(f"the temperature is {temperature}: give a finite number above 0")


def _check_labels(labels: Tensor) -> None:
    wrong = labels[(labels != 0) & (labels != 1)]
    if len(wrong):
        losses = " and ".join(name for name, term in LOSS_TERMS.items() if term.needs_labels)
        raise InputError(
            f"{len(wrong)} of {len(labels)} labels are neither 0 nor 1 (the first is "
            f"{wrong[0].item()}): label every study, or set the weights of {losses} to 0"
        )
