"""What is trained of a model, and what of it is frozen.

Without augmentation, what enters the first unfrozen block of a tower never changes, so it is
computed once (`features`); `LastLayer` is everything after.
"""

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

from cxr_mtl.base.errors import InputError
from cxr_mtl.models.clip_towers import BertText, ClipText, ClipViT, TimmViT
from cxr_mtl.models.token_store import Tokens
from cxr_mtl.models.towers import TextTower, Tower

AnyTower = TypeVar("AnyTower", bound=Tower)
IMAGE_TOWERS: tuple[type[Tower], ...] = (TimmViT, ClipViT)
TEXT_TOWERS: tuple[type[TextTower], ...] = (BertText, ClipText)


class LastLayer(nn.Module):
    """The unfrozen blocks, final norms and projections of both towers of `model`.

    It holds the parameters of `model` themselves, not copies: training it trains `model`. Take
    `independent_copy()` to train without touching the backbone.

    Raises:
        InputError: a tower whose last block is not known to run exactly for a single query, or
            more unfrozen blocks than a tower has.
    """

    def __init__(self, model: nn.Module, unfrozen_blocks: int) -> None:
        super().__init__()
        image, text = tower_kinds(model)
        depth = block_count(model)
        if not 0 <= unfrozen_blocks <= depth:
            raise InputError(
                f"unfrozen_blocks is {unfrozen_blocks}: give a number from 0 to {depth}"
            )
        self.image = image(model, unfrozen_blocks)
        self.text = text(model, unfrozen_blocks)
        self.embedding_size = self.image.embedding_size
        open_clip_name = {id(p): name for name, p in model.named_parameters()}
        self.open_clip_names = {n: open_clip_name[id(p)] for n, p in self.named_parameters()}

    def independent_copy(self) -> "LastLayer":
        """A deep copy, parameters included."""
        return copy.deepcopy(self)

    def forward(self, images: Tokens, texts: Tokens) -> tuple[Tensor, Tensor]:
        """Image and text embeddings [batch, dim] of cached tokens, not L2-normalised."""
        return self.image(images), self.text(texts)

    def weights(self) -> dict[str, Tensor]:
        """Trainable tensors under the names they have in the open_clip model."""
        return {
            self.open_clip_names[name]: parameter.detach()
            for name, parameter in self.named_parameters()
            if parameter.requires_grad
        }


def tower_kinds(model: nn.Module) -> tuple[type[Tower], type[TextTower]]:
    """The classes that know the image and the text tower of `model`.

    Raises:
        InputError: a tower whose last block is not known to run exactly for a single query.
    """
    return (
        _kind(
            IMAGE_TOWERS,
            model,
            model.visual,
            "an image tower that pools its CLS token: a timm VisionTransformer of plain blocks "
            "(timm_pool 'token') or open_clip's own (pool_type 'tok')",
        ),
        _kind(
            TEXT_TOWERS,
            model,
            getattr(model, "text", model),
            "a text tower that is a Hugging Face BERT encoder with hf_pooler_type "
            "'cls_last_hidden_state_pooler' or CLIP's own causal transformer",
        ),
    )


def text_lengths(model: nn.Module, ids: Tensor) -> Tensor:
    """How many of the ids [batch, context] `encode_text` needs, [batch]: a BERT masks its padding.

    Other text towers are given the whole context, for open_clip's own takes no less.
    """
    if len(BertText.blocks_of(model)):
        return BertText.lengths_of(model, ids)
    return torch.full((len(ids),), ids.shape[1])


def _kind(
    kinds: tuple[type[AnyTower], ...], model: nn.Module, found: nn.Module, wanted: str
) -> type[AnyTower]:
    for kind in kinds:
        if len(kind.blocks_of(model)):
            return kind
    raise InputError(
        f"fine-tuning needs {wanted}; this one is {type(getattr(found, 'trunk', found)).__name__}"
    )


def block_count(model: nn.Module) -> int:
    """Blocks of the tower that has fewer: how many can be unfrozen.

    Raises:
        InputError: as `LastLayer`.
    """
    return min(len(kind.blocks_of(model)) for kind in tower_kinds(model))


def trainable_names(model: nn.Module, unfrozen_blocks: int) -> list[str]:
    """Names of the parameters that fine-tuning changes; all others are frozen.

    The last `unfrozen_blocks` transformer blocks of each tower, its final norm (when a block is
    unfrozen) and both projections; 0 leaves the projections alone. This is the project's reading
    of the paper's "last layer"; open_clip's own `lock` is not used because its meaning differs
    between versions.

    Raises:
        InputError: as `LastLayer`.
    """
    names = LastLayer(model, unfrozen_blocks).open_clip_names
    return [
        name for own, name in names.items() if unfrozen_blocks or own.split(".")[1] == "projection"
    ]


def freeze(model: nn.Module, unfrozen_blocks: int) -> None:
    """Let only `trainable_names(model, unfrozen_blocks)` require gradients."""
    trainable = set(trainable_names(model, unfrozen_blocks))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in trainable)
