"""Attention of one query per sequence, exactly, without computing keys or values.

Only one token leaves the last block of a tower, so one query per head is enough. With one query,
q·(W_K x + b_K) = (W_Kᵀ q)·x + const, and the softmax does not see the constant; and the attention
a sums the values to Σ aⱼ (W_V xⱼ + b_V) = W_V (Σ aⱼ xⱼ) + b_V Σ aⱼ. So a head reads its tokens
twice, for its scores and for their weighted sum, and never makes a key or a value of them.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

GROUP = 16  # sequences


class Projections(NamedTuple):
    """Key and value projections of an attention layer: weights [width, width], biases [width].

    The bias of the keys is not among them: no output depends on it.
    """

    key: Tensor
    value: Tensor
    value_bias: Tensor | None
    heads: int


def standardise(tokens: Tensor, eps: float) -> Tensor:
    """Layer norm without its scale and shift, which never change: it can be cached."""
    return F.layer_norm(tokens, tokens.shape[-1:], eps=eps)


def attend(
    query: Tensor,
    tokens: Tensor,
    projections: Projections,
    *,
    is_token: Tensor | None = None,
    dropout: nn.Module | None = None,
    norm: nn.LayerNorm | None = None,
) -> Tensor:
    """What one query per sequence gathers from its sequence, before the output projection.

    With `norm`, `tokens` are standardised and its scale γ and shift β are still to be applied:
    both projections take up γ; β cancels in the scores and joins the bias of the values.

    Shapes: query [batch, width] after its projection, tokens [batch, n, width], is_token
    [batch, n] (False is padding, behind all others) -> [batch, width].
    """
    key, value, value_bias, heads = projections if norm is None else _absorb(projections, norm)
    key, value = key.unflatten(0, (heads, -1)), value.unflatten(0, (heads, -1))
    query = query.unflatten(-1, (heads, -1)) * key.shape[1] ** -0.5
    absorbed = torch.einsum("bhd,hdw->bhw", query, key)
    summed, total = _weighted_sum(absorbed, tokens, is_token, dropout)
    context = torch.einsum("bhw,hdw->bhd", summed, value)
    if value_bias is not None:
        context = context + total * value_bias.unflatten(0, (heads, -1))
    return context.flatten(1)


def _weighted_sum(
    absorbed: Tensor, tokens: Tensor, is_token: Tensor | None, dropout: nn.Module | None
) -> tuple[Tensor, Tensor]:
    """Each head's weighted sum of its tokens, and the sum of its weights: 1, but for dropout.

    On a CPU, `GROUP` sequences of similar lengths at a time: else most of what is read is padding.

    Shapes: absorbed [batch, heads, width], tokens [batch, n, width], is_token [batch, n] or None ->
    [batch, heads, width], [batch, heads, 1].
    """
    if is_token is None or tokens.device.type != "cpu" or len(tokens) <= GROUP:
        return _weighted_sum_padded(absorbed, tokens, is_token, dropout)
    lengths, order = is_token.sum(1).sort()
    groups = []
    for part, rows, part_lengths in zip(
        absorbed.index_select(0, order).split(GROUP),
        order.split(GROUP),
        lengths.split(GROUP),
        strict=True,
    ):
        shortened = tokens[rows, : part_lengths[-1]], is_token[rows, : part_lengths[-1]]
        groups.append(_weighted_sum_padded(part, *shortened, dropout))
    back = order.argsort()
    summed, total = (torch.cat(parts).index_select(0, back) for parts in zip(*groups, strict=True))
    return summed, total


def _weighted_sum_padded(
    absorbed: Tensor, tokens: Tensor, is_token: Tensor | None, dropout: nn.Module | None
) -> tuple[Tensor, Tensor]:
    tokens = tokens.to(_matmul_type(absorbed))
    scores = absorbed @ tokens.mT
    if is_token is not None:
        scores = scores.masked_fill(~is_token[:, None], torch.finfo(scores.dtype).min)
    attention = scores.softmax(-1)
    attention = attention if dropout is None else dropout(attention)
    return attention @ tokens, attention.sum(-1, keepdim=True)


def _absorb(projections: Projections, norm: nn.LayerNorm) -> Projections:
    key, value, bias, heads = projections
    shift = value @ norm.bias
    shift = shift if bias is None else shift + bias
    return Projections(key * norm.weight, value * norm.weight, shift, heads)


def _matmul_type(operand: Tensor) -> torch.dtype:
    device = operand.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else operand.dtype
