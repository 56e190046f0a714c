"""Two parts of a decoder are the whole, and upper blocks see both ways or are refused."""

import pytest
import torch
from transformers.masking_utils import create_causal_mask
from transformers.models.llama import modeling_llama

from cxr_mtl.base.errors import InputError
from cxr_mtl.language.split_decoder import (
    check_sees_both_ways,
    reach,
    run_blocks,
    split_decoder,
    trainable_copy,
)

IS_TOKEN = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]).bool()
IDS = torch.tensor([[2, 3, 4, 5, 6], [7, 8, 9, 0, 0]])


@pytest.mark.parametrize("lower", [0, 1, 3])
def test_causal_parts_are_the_whole_decoder(language_model, lower):
    decoder = language_model.decoder
    below, above = split_decoder(decoder, lower, 4 - lower, causal=True)
    states = run_blocks(below, decoder.embed_tokens(IDS), IS_TOKEN)
    whole = decoder(IDS, attention_mask=IS_TOKEN.long(), use_cache=False).last_hidden_state
    ours = run_blocks(above, states, IS_TOKEN)
    torch.testing.assert_close(ours[IS_TOKEN], whole[IS_TOKEN], rtol=0, atol=0)
    assert len(decoder.layers) == 4


def test_a_late_token_moves_the_first_state_of_the_upper_blocks_alone(language_model):
    below, above = split_decoder(language_model.decoder, 2, 2)
    states = torch.randn(2, 5, 32)
    later = states.clone()
    later[0, 4] += 1
    for part, moves in ((below, False), (above, True)):
        a, b = (run_blocks(part, x, IS_TOKEN)[0, 0] for x in (states, later))
        assert (not torch.equal(a, b)) == moves


@pytest.mark.parametrize("causal", [True, False])
def test_reach_says_which_state_each_token_moves(language_model, causal):
    part = split_decoder(language_model.decoder, 2, 2, causal=causal)[1]
    states, is_token = torch.randn(5, 32), torch.tensor([1, 1, 1, 1, 0]).bool()
    found = reach(part, states, is_token)
    for changed in range(5):
        other = states.clone()
        other[changed] += 1
        a, b = (run_blocks(part, x[None], is_token[None])[0] for x in (states, other))
        torch.testing.assert_close(found[changed], (a - b).norm(dim=-1), atol=1e-4, rtol=1e-4)
    tokens = found[:4, :4]
    assert ((tokens > 0) == (torch.ones(4, 4).triu() > 0 if causal else True)).all()
    assert (found[4, :4] == 0).all()


def test_what_is_no_token_moves_nothing(language_model):
    above = split_decoder(language_model.decoder, 2, 2)[1]
    states = torch.randn(2, 5, 32)
    padded = states.clone()
    padded[~IS_TOKEN] = 100
    a, b = (run_blocks(above, x, IS_TOKEN)[IS_TOKEN] for x in (states, padded))
    torch.testing.assert_close(a, b)


def test_attention_both_ways_is_that_of_the_equation(language_model):
    """Softmax over all tokens instead of those before, by loops, of a part of one block."""
    above = split_decoder(language_model.decoder, 3, 1)[1]
    block = above.layers[0]
    states = torch.randn(1, 5, 32)
    cos, sin = above.rotary_emb(states, torch.arange(5)[None])
    attention = block.self_attn
    x = block.input_layernorm(states)
    heads = []
    for head in range(4):
        width = 8
        query, key, value = (
            projection(x)[0, :, place * width : (place + 1) * width]
            for projection, place in (
                (attention.q_proj, head),
                (attention.k_proj, head // 2),
                (attention.v_proj, head // 2),
            )
        )

        def turned(vectors):
            half = torch.cat([-vectors[:, 4:], vectors[:, :4]], -1)
            return vectors * cos[0] + half * sin[0]

        scores = turned(query) @ turned(key).T / width**0.5
        heads.append(scores.softmax(-1) @ value)
    attended = states + attention.o_proj(torch.cat(heads, -1))[None]
    expected = above.norm(attended + block.mlp(block.post_attention_layernorm(attended)))
    ours = run_blocks(above, states, torch.ones(1, 5, dtype=torch.bool))
    torch.testing.assert_close(ours, expected)


def test_a_version_that_ignores_is_causal_is_refused(language_model, monkeypatch):
    def as_before(config, **arguments):
        config.is_causal = True
        return create_causal_mask(config=config, **arguments)

    monkeypatch.setattr(modeling_llama, "create_causal_mask", as_before)
    with pytest.raises(InputError, match="still causal"):
        split_decoder(language_model.decoder, 2, 2)


@pytest.mark.parametrize(("lower", "upper"), [(4, 1), (4, 0), (-1, 2), (2, 3)])
def test_blocks_that_are_not_there_are_refused(language_model, lower, upper):
    with pytest.raises(InputError, match="has 4 blocks"):
        split_decoder(language_model.decoder, lower, upper)


def test_training_a_copy_leaves_the_decoder_as_it_was(language_model):
    above = trainable_copy(split_decoder(language_model.decoder, 2, 2)[1])
    with torch.no_grad():
        for parameter in above.parameters():
            parameter.add_(1)
    check_sees_both_ways(above)
    assert not any(
        torch.equal(a, b)
        for a, b in zip(
            above.layers.parameters(), language_model.decoder.layers[2:].parameters(), strict=True
        )
    )
