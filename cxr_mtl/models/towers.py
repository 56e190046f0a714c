"""The end of a tower: its unfrozen blocks, final norm and projection.

A subclass knows one kind of tower: where its blocks are, how an ordinary block runs, and how the
last one runs for the single token that leaves it (see `single_query`).
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from cxr_mtl.models.single_query import standardise
from cxr_mtl.models.token_store import Tokens


class Tower(nn.Module, ABC):
    """The last `unfrozen_blocks` blocks, final norm and projection of one tower of `model`.

    It holds the modules and parameters of the open_clip model themselves, not copies.
    """

    def __init__(self, model: nn.Module, unfrozen_blocks: int) -> None:
        super().__init__()
        blocks = self.blocks_of(model)
        self.blocks = blocks[len(blocks) - unfrozen_blocks :]

    @staticmethod
    @abstractmethod
    def blocks_of(model: nn.Module) -> nn.ModuleList:
        """All blocks of the tower, or none when `model` has another kind of tower."""

    @staticmethod
    @abstractmethod
    def run_whole(model: nn.Module, inputs: Tensor) -> object:
        """Run at least all blocks of the tower."""

    @abstractmethod
    def norm_of(self, block: nn.Module) -> nn.LayerNorm | None:
        """The norm before a block's attention, or None where a block ends with its norms."""

    @abstractmethod
    def run(self, block: nn.Module, tokens: Tensor, is_token: Tensor) -> Tensor:
        """An ordinary block: tokens [batch, n, width] -> the same shape."""

    @abstractmethod
    def run_last(self, block: nn.Module, tokens: Tensor, query: Tensor, is_token: Tensor) -> Tensor:
        """The last block for its one query: [batch, n, width], [batch, width] -> [batch, width]."""

    @abstractmethod
    def project(self, query: Tensor) -> Tensor:
        """Final norm and projection: [batch, width] -> [batch, dim]."""

    def query_of(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """The token that leaves the tower: [batch, n, width] -> [batch, width]."""
        return tokens[:, 0]

    @classmethod
    def entering(cls, model: nn.Module, inputs: Tensor, unfrozen_blocks: int) -> Tensor:
        """What enters the first unfrozen block, [batch, n, width]; with none, what leaves the last.

        `inputs` are images [batch, 3, height, width] or token ids [batch, n].
        """
        reached: list[Tensor] = []

        def stop(_: nn.Module, arguments: tuple[Tensor, ...], output: Tensor | None = None) -> None:
            reached.append(arguments[0] if output is None else output)
            raise _Reached

        blocks = cls.blocks_of(model)
        if unfrozen_blocks:
            hook = blocks[-unfrozen_blocks].register_forward_pre_hook(stop)
        else:
            hook = blocks[-1].register_forward_hook(stop)
        try:
            cls.run_whole(model, inputs)
        except _Reached:
            pass
        finally:
            hook.remove()
        return reached[0]

    def tokens_to_keep(self, entering: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """What of the tokens entering the first unfrozen block never changes and is needed.

        Shapes: entering [batch, n, width], lengths [batch] -> tokens [batch, n, width],
        standardised where the one unfrozen block would do so (n is 1 when no block is unfrozen),
        and query rows [batch, width].
        """
        query = self.query_of(entering, lengths)
        if not len(self.blocks):
            return query[:, None], query
        if len(self.blocks) == 1:
            entering = self._standardised(entering)
        return entering, query

    def forward(self, kept: Tokens) -> Tensor:
        """Embeddings [batch, dim], not L2-normalised, of what `tokens_to_keep` kept."""
        return self.project(self.leaving(kept))

    def leaving(self, kept: Tokens) -> Tensor:
        """What leaves the last block, [batch, width], of what `tokens_to_keep` kept."""
        tokens, lengths, query = kept
        if not len(self.blocks):
            return query
        is_token = torch.arange(tokens.shape[1], device=tokens.device) < lengths[:, None]
        if len(self.blocks) > 1:
            tokens = tokens.to(query.dtype)
            for block in self.blocks[:-1]:
                tokens = self.run(block, tokens, is_token)
            query = self.query_of(tokens, lengths)
            tokens = self._standardised(tokens)
        return self.run_last(self.blocks[-1], tokens, query, is_token)

    def _standardised(self, tokens: Tensor) -> Tensor:
        norm = self.norm_of(self.blocks[-1])
        return tokens if norm is None else standardise(tokens, norm.eps)


class TextTower(Tower, ABC):
    """A tower whose sequences differ in length."""

    @staticmethod
    @abstractmethod
    def lengths_of(model: nn.Module, ids: Tensor) -> Tensor:
        """How many tokens of each padded sequence count: [batch, context] -> [batch]."""


class _Reached(Exception):
    pass
