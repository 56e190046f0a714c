"""What upper blocks are trained on: answers to reports, and masked tokens."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import content_key
from cxr_mtl.language.contrastive import answer_loss
from cxr_mtl.language.encoders import GROUP, Texts, embeddings_of, encode
from cxr_mtl.language.masked_prediction import MaskedTexts, masked_loss
from cxr_mtl.language.split_decoder import run_blocks
from cxr_mtl.language.training_loop import EncoderConfig, train_epochs
from cxr_mtl.models.token_store import TokenStore
from cxr_mtl.retrieval.metrics import TIE_TOLERANCE, reciprocal_rank


@dataclass(frozen=True)
class AnswerPairs:
    """Texts that belong together, by their rows in a store: such as findings and impression.

    Shapes: anchors, positives [pairs] int64; `answers` [pairs] are equal where positives say the
    same; `hard_negatives` [pairs], -1 where a pair has none, or None.

    Raises:
        InputError: other numbers of rows, or an anchor that is its own positive.
    """

    anchors: Tensor
    positives: Tensor
    answers: Tensor
    hard_negatives: Tensor | None = None

    def __post_init__(self) -> None:
        if not len(self.anchors) == len(self.positives) == len(self.answers):
            raise InputError(
                f"{len(self.anchors)} anchors, {len(self.positives)} positives and "
                f"{len(self.answers)} answers: give as many of each"
            )
        same = (self.anchors == self.positives).nonzero().flatten()
        if len(same):
            raise InputError(
                f"text {int(self.anchors[same[0]])} is its own positive: leave such pairs out"
            )

    def __len__(self) -> int:
        return len(self.anchors)

    def at(self, places: Tensor) -> "AnswerPairs":
        """The pairs at `places`."""
        rest = None if self.hard_negatives is None else self.hard_negatives[places]
        return AnswerPairs(self.anchors[places], self.positives[places], self.answers[places], rest)

    def rows(self) -> list[list[int]]:
        """All rows, for a key."""
        parts = (self.anchors, self.positives, self.answers, self.hard_negatives)
        return [part.tolist() for part in parts if part is not None]


def train_on_answers(
    encoder: nn.Module,
    texts: Texts,
    pairs: AnswerPairs,
    validation: AnswerPairs,
    config: EncoderConfig,
    *,
    checkpoint: Path | None = None,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
) -> pd.DataFrame:
    """Train `encoder` itself, so that anchors find their positives: `answer_loss`.

    Returns:
        A row an epoch: the mean loss, and `mrr` of the validation pairs (`answers_found`).

    Raises:
        InputError: as `train_epochs`.
    """

    def loss_of(places: Tensor) -> Tensor:
        batch = pairs.at(places)
        negatives = None
        if batch.hard_negatives is not None:
            there = batch.hard_negatives[batch.hard_negatives >= 0]
            negatives = encode(encoder, texts, there) if len(there) else None
        anchors, positives = (
            encode(encoder, texts, rows) for rows in (batch.anchors, batch.positives)
        )
        answers = batch.answers.to(anchors.device)
        return answer_loss(anchors, positives, answers, config.temperature, negatives)

    return train_epochs(
        encoder,
        len(pairs),
        loss_of,
        config,
        data_key=content_key("answers", texts.key, pairs.rows(), validation.rows()),
        checkpoint=checkpoint,
        measure=lambda: {"mrr": float(answers_found(encoder, texts, validation).mean())},
        on_epoch=on_epoch,
    )


def answers_found(encoder: nn.Module, texts: Texts, pairs: AnswerPairs) -> np.ndarray:
    """Reciprocal rank of each anchor's answer among the distinct answers of `pairs`, [pairs]."""
    _, first, own = np.unique(pairs.answers.numpy(), return_index=True, return_inverse=True)
    questions = embeddings_of(encoder, texts, pairs.anchors)
    answers = embeddings_of(encoder, texts, pairs.positives[torch.from_numpy(first)])
    return reciprocal_rank((questions @ answers.T).numpy(), own, TIE_TOLERANCE)


def train_on_masked_tokens(
    upper: PreTrainedModel,
    head: nn.Module,
    states: TokenStore,
    masked: MaskedTexts,
    config: EncoderConfig,
    *,
    checkpoint: Path | None = None,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
) -> pd.DataFrame:
    """Train the blocks `upper` themselves to predict masked tokens: `masked_loss`.

    `states` are those of `masked.ids` (`token_states`); the `head` stays as it is.

    Raises:
        InputError: as `train_epochs`.
    """
    device = next(upper.parameters()).device

    def loss_of(places: Tensor) -> Tensor:
        total, count = torch.zeros((), device=device), 0
        for group in places[states.lengths[places].argsort()].split(GROUP):
            tokens, lengths, _ = states.batch(group).to(str(device))
            is_token = torch.arange(tokens.shape[1], device=device) < lengths[:, None]
            found, targets = (
                [part[row] for row in group.tolist()] for part in (masked.places, masked.targets)
            )
            size = sum(map(len, found))
            states_above = run_blocks(upper, tokens.float(), is_token)
            total = total + size * masked_loss(states_above, found, targets, head)
            count += size
        return total / count

    return train_epochs(
        upper,
        len(masked),
        loss_of,
        config,
        data_key=content_key("masked tokens", states.key, masked.places),
        checkpoint=checkpoint,
        on_epoch=on_epoch,
    )
