"""A report encoder: the upper blocks of a language model and a pooling, over cached states."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel

from cxr_mtl.language.pooling import POOLINGS, LatentAttention, Pooling
from cxr_mtl.language.split_decoder import run_blocks
from cxr_mtl.models.token_store import Tokens

GROUP = 16
"""Texts that run together on a CPU: neighbours in length, so that little of them is padding."""
EMBEDDING_BATCH = 256


class ReportEncoder(nn.Module):
    """What of a language model is trained: its upper blocks, and the pooling of their states."""

    def __init__(self, upper: PreTrainedModel, pooling: Pooling = "mean") -> None:
        super().__init__()
        self.upper = upper
        width = upper.config.hidden_size
        self.pool: Callable[[Tensor, Tensor], Tensor] = (
            LatentAttention(width) if pooling == "latent" else POOLINGS[pooling]
        )

    def forward(self, states: Tensor, is_token: Tensor) -> Tensor:
        """[batch, n, width] and is_token [batch, n] -> embeddings [batch, width], normalised."""
        above = run_blocks(self.upper, states.float(), is_token)
        return F.normalize(self.pool(above, is_token), dim=-1)


class Texts(Protocol):
    """Texts as an encoder takes them: a store of states, or token ids.

    `key` is of their content, and of what made them.
    """

    lengths: Tensor
    key: str

    def batch(self, rows: Tensor) -> Tokens:
        """The padded sequences of the texts `rows`."""


def encode(encoder: nn.Module, texts: Texts, rows: Tensor) -> Tensor:
    """Embeddings [batch, dim] of the texts `rows`, run in groups of like length.

    The encoder is a `ReportEncoder`, or takes padded sequences and `is_token` as one does.
    """
    device = next(encoder.parameters()).device
    order = texts.lengths[rows].argsort(stable=True)
    groups = order.split(GROUP if device.type == "cpu" else len(rows))
    parts = []
    for group in groups:
        tokens, lengths, _ = texts.batch(rows[group]).to(str(device))
        is_token = torch.arange(tokens.shape[1], device=device) < lengths[:, None]
        parts.append(encoder(tokens, is_token))
    return torch.cat(parts)[order.argsort().to(device)]


def embeddings_of(encoder: nn.Module, texts: Texts, rows: Tensor) -> Tensor:
    """The same in eval mode and without gradients, float32 on the CPU: [texts, width]."""
    was_training = encoder.training
    encoder.eval()
    with torch.inference_mode():
        parts = [encode(encoder, texts, batch).cpu() for batch in rows.split(EMBEDDING_BATCH)]
    encoder.train(was_training)
    return torch.cat(parts)
