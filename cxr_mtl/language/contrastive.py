"""The supervised contrastive loss of report encoders: a report's answer among all answers."""

import torch
from torch import Tensor
from torch.nn import functional as F


def answer_loss(
    anchors: Tensor,
    positives: Tensor,
    answers: Tensor,
    temperature: float,
    hard_negatives: Tensor | None = None,
) -> Tensor:
    """Cross-entropy of each anchor's own positive among all positives and hard negatives.

    Taken from both sides, the positives' without the hard negatives, and halved, as CLIP does.
    Positives of equal `answers` are no negatives of each other: they are left out of the sums.

    Shapes: anchors, positives and hard negatives [batch, dim], L2-normalised; answers [batch]
    integers that are equal where the positives say the same -> a scalar.
    """
    own = torch.arange(len(anchors), device=anchors.device)
    equal = answers[:, None] == answers
    equal[own, own] = False
    logits = (anchors @ positives.T / temperature).masked_fill(equal, -torch.inf)
    back = F.cross_entropy(logits.T, own)
    if hard_negatives is not None:
        logits = torch.cat([logits, anchors @ hard_negatives.T / temperature], dim=1)
    return (F.cross_entropy(logits, own) + back) / 2
