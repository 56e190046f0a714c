"""One vector of a text's states: the last one, their mean, or what learned latents gather."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Pooling = Literal["mean", "last", "echo", "latent"]


def mean_of_tokens(states: Tensor, is_token: Tensor) -> Tensor:
    """The mean of a text's states, padding left out: [batch, n, width] -> [batch, width]."""
    weights = is_token[..., None].to(states.dtype)
    return (states * weights).sum(1) / weights.sum(1)


def last_token(states: Tensor, is_token: Tensor) -> Tensor:
    """The state of a text's last token: [batch, n, width] -> [batch, width]."""
    last = is_token.sum(1) - 1
    return states[torch.arange(len(states), device=states.device), last]


def mean_of_echo(states: Tensor, is_token: Tensor) -> Tensor:
    """The mean of the second half of the states, of texts that are said twice (`said_twice`).

    Springer et al., "Repetition improves language model embeddings", 2024: even a causal model
    has read the whole text when it reads it again.

    Shapes: [batch, n, width], of which an even number are tokens -> [batch, width].
    """
    place = torch.arange(is_token.shape[1], device=is_token.device)
    return mean_of_tokens(states, is_token & (place >= is_token.sum(1, keepdim=True) // 2))


class LatentAttention(nn.Module):
    """Tokens attend to learned latents, an MLP follows, and the mean over the tokens is taken.

    Lee et al., "NV-Embed", ICLR 2025, with the sizes that LLM2VEC4CXR takes: 512 latents, 8 heads.
    """

    def __init__(self, width: int, latents: int = 512, heads: int = 8) -> None:
        super().__init__()
        self.heads = heads
        self.latents = nn.Parameter(torch.randn(latents, width) * 0.02)
        self.query, self.key, self.value, self.output = (
            nn.Linear(width, width, bias=False) for _ in range(4)
        )
        self.mlp = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, states: Tensor, is_token: Tensor) -> Tensor:
        """[batch, n, width], is_token [batch, n] -> [batch, width]."""
        latents = self.latents.expand(len(states), -1, -1)
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (self.query(states), self.key(latents), self.value(latents))
        )
        attended = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        attended = states + self.output(attended)
        return mean_of_tokens(attended + self.mlp(attended), is_token)


POOLINGS = {"mean": mean_of_tokens, "last": last_token, "echo": mean_of_echo}
"""The poolings without weights."""
