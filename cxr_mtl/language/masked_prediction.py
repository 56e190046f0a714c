"""Masked next-token prediction: upper blocks learn to use what stands behind a token.

BehnamGhader et al., "LLM2Vec", COLM 2024: tokens are masked, and each is predicted from the state
of the token before it, as the decoder predicted all its life. The masks are drawn once a copy of
the text, so that the states that enter the upper blocks can be kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cxr_mtl.base.errors import InputError
from cxr_mtl.language.decoders import LanguageModel

MASK = "_"


@dataclass(frozen=True)
class MaskedTexts:
    """Texts of which some tokens are masked.

    Args:
        ids: of each text, with the mask's id in the masked places.
        places: masked places of each text, ascending, never the first.
        targets: the ids that stood there.
    """

    ids: list[list[int]]
    places: list[list[int]]
    targets: list[list[int]]

    def __len__(self) -> int:
        return len(self.ids)


def mask_id_of(model: LanguageModel) -> int:
    """The id of the token that stands for a masked one.

    Raises:
        InputError: the vocabulary has no such token.
    """
    found = model.tokenizer.get_vocab().get(MASK)
    if found is None:
        raise InputError(
            f"the tokenizer of {model.source} has no token {MASK!r} to mask with: leave masked "
            "prediction out for this model"
        )
    return found


def mask_tokens(
    ids: Sequence[Sequence[int]], mask_id: int, share: float, *, seed: int, copies: int = 1
) -> MaskedTexts:
    """Mask a `share` of the tokens of each text, at least one, `copies` times over.

    A text of a single token has nothing before it to predict from, and is left out.

    Raises:
        InputError: a share that is not between 0 and 1, or no text of two tokens.
    """
    if not 0 < share < 1:
        raise InputError(f"the masked share is {share}: give a number between 0 and 1")
    generator = torch.Generator().manual_seed(seed)
    masked = MaskedTexts([], [], [])
    for row in list(ids) * copies:
        if len(row) < 2:
            continue
        drawn = torch.rand(len(row) - 1, generator=generator)
        places = (drawn < share).nonzero().flatten() if (drawn < share).any() else drawn.argmin()
        chosen = (places.reshape(-1) + 1).tolist()
        masked.ids.append([mask_id if p in set(chosen) else token for p, token in enumerate(row)])
        masked.places.append(chosen)
        masked.targets.append([row[place] for place in chosen])
    if not masked.ids:
        raise InputError("no text has two tokens: there is nothing to mask")
    return masked


def masked_loss(
    states: Tensor,
    places: Sequence[Sequence[int]],
    targets: Sequence[Sequence[int]],
    head: nn.Module,
) -> Tensor:
    """Mean cross-entropy of the masked tokens, each predicted from the state before its place.

    Logits are computed in those places alone.

    Shapes: states [batch, n, width] after the upper blocks -> a scalar.
    """
    rows = torch.tensor([row for row, found in enumerate(places) for _ in found])
    before = torch.tensor([place - 1 for found in places for place in found])
    wanted = torch.tensor([token for found in targets for token in found], device=states.device)
    return F.cross_entropy(head(states[rows, before]), wanted)
