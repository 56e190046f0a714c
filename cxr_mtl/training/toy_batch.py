"""Batches small enough to read: image-report pairs as points on the unit circle, given by angle.

Images and reports stand for L2-normalised embeddings of dimension 2, so that a cosine similarity is
the cosine of the angle between two points, and a lesson can draw all there is to see.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from string import ascii_uppercase

import torch
import torch.nn.functional as F
from torch import Tensor

from cxr_mtl.base.errors import InputError


@dataclass(frozen=True)
class ToyBatch:
    """Pairs of one image and one report each, as points of length 1.

    Attributes:
        images: [n, 2], float32.
        reports: [n, 2], float32; row i belongs to image i.
        labels: [n], 1 abnormal and 0 normal.
    """

    images: Tensor
    reports: Tensor
    labels: Tensor

    @classmethod
    def from_degrees(
        cls, images: Sequence[float], reports: Sequence[float], labels: Sequence[int]
    ) -> "ToyBatch":
        """Place images and reports by their angles in degrees, anticlockwise from the right.

        Raises:
            InputError: no pair, more than 26, not one image, report and label each, or a label
                other than 0 and 1.
        """
        if not len(images) == len(reports) == len(labels):
            raise InputError(
                f"the toy batch has {len(images)} images, {len(reports)} reports and "
                f"{len(labels)} labels: give one of each per pair"
            )
        if not 1 <= len(images) <= len(ascii_uppercase):
            raise InputError(f"the toy batch has {len(images)} pairs: give 1 to 26 of them")
        wrong = [label for label in labels if label not in (0, 1)]
        if wrong:
            raise InputError(f"the toy batch has the label {wrong[0]}: give 0 or 1")
        return cls(on_circle(images), on_circle(reports), torch.tensor(labels))

    @property
    def names(self) -> list[str]:
        """The pairs' names: A, B, C, …"""
        return list(ascii_uppercase[: len(self.labels)])


def on_circle(degrees: Sequence[float]) -> Tensor:
    """Points of length 1 at these angles, [n, 2], float32."""
    radians = torch.deg2rad(torch.tensor(degrees, dtype=torch.float64))
    return torch.stack([radians.cos(), radians.sin()], dim=1).float()


def degrees_between(points: Tensor, others: Tensor) -> Tensor:
    """Angle between row i of both [n, 2], whatever the rows' lengths: [n], 0 to 180 degrees."""
    cosines = F.cosine_similarity(points.double(), others.double())
    return torch.rad2deg(cosines.clamp(-1, 1).acos())


def descend(
    loss: Callable[..., Tensor], *points: Tensor, steps: int = 400, learning_rate: float = 0.05
) -> tuple[Tensor, ...]:
    """Move points down the gradient of `loss(*points)` and back to length 1 after every step.

    Takes one or more [n, 2] of length 1 and returns as many; those given stay as they are. What is
    to be held fixed is not an argument of `loss`.
    """
    for _ in range(steps):
        free = [p.detach().requires_grad_() for p in points]
        slopes = torch.autograd.grad(loss(*free), free)
        points = tuple(
            F.normalize(p.detach() - learning_rate * slope, dim=1)
            for p, slope in zip(free, slopes, strict=True)
        )
    return points


def nearest_negative_share(similarities: Tensor, temperature: float) -> Tensor:
    """Share of the CLIP loss's push on the negatives that the most similar one gets, per query.

    −log softmaxⱼ(sᵢⱼ/τ)ᵢ has the derivative pᵢⱼ/τ in the similarity of every negative j ≠ i, with
    p the softmax; the share is max_j pᵢⱼ / Σ_j pᵢⱼ over the negatives. Takes similarities [n, n]
    whose row i is query i and whose diagonal is its own item, and returns [n].

    Raises:
        InputError: fewer than two items.
    """
    if len(similarities) < 2:
        raise InputError("there is 1 item and no negative: give at least 2")
    itself = torch.eye(len(similarities), dtype=torch.bool)
    negatives = (similarities / temperature).masked_fill(itself, -torch.inf)
    return negatives.softmax(dim=1).max(dim=1).values
