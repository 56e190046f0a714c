"""Each pooling is its definition, by loops, and padding moves none of them."""

import pytest
import torch

from cxr_mtl.language.pooling import LatentAttention, last_token, mean_of_echo, mean_of_tokens

IS_TOKEN = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]]).bool()
STATES = torch.randn(2, 4, 8, generator=torch.Generator().manual_seed(0))


def latent_by_loops(pooling, tokens):
    """Equations of NV-Embed: softmax over the latents a head, an MLP, and a mean over tokens."""
    out = []
    for token in tokens:
        heads = []
        query = pooling.query(token)
        keys, values = pooling.key(pooling.latents), pooling.value(pooling.latents)
        for part in torch.arange(8).split(8 // pooling.heads):
            weights = ((keys[:, part] @ query[part]) / len(part) ** 0.5).softmax(0)
            heads.append(weights @ values[:, part])
        attended = token + pooling.output(torch.cat(heads))
        out.append(attended + pooling.mlp(attended))
    return torch.stack(out).mean(0)


@pytest.mark.parametrize("name", ["mean", "last", "echo", "latent"])
def test_a_pooling_is_its_definition_and_padding_moves_nothing(name):
    torch.manual_seed(0)
    latent = LatentAttention(8, latents=5, heads=2)
    pool, by_hand = {
        "mean": (mean_of_tokens, lambda tokens: tokens.mean(0)),
        "last": (last_token, lambda tokens: tokens[-1]),
        "echo": (mean_of_echo, lambda tokens: tokens[len(tokens) // 2 :].mean(0)),
        "latent": (latent, lambda tokens: latent_by_loops(latent, tokens)),
    }[name]
    expected = torch.stack([by_hand(STATES[0]), by_hand(STATES[1, :2])])
    torch.testing.assert_close(pool(STATES, IS_TOKEN), expected)
    padded = STATES.clone()
    padded[~IS_TOKEN] = 1000
    torch.testing.assert_close(pool(padded, IS_TOKEN), expected)
