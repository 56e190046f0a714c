"""A decoder in two parts: lower blocks, causal and frozen, and upper ones that see both ways.

What enters the upper blocks never changes, so it is computed once, as the study does with the last
layer of CLIP. Both parts are decoders of the same class: what the library's masks, rotary positions
and blocks do is theirs.
"""

import copy

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from cxr_mtl.base.errors import InputError


def split_decoder(
    decoder: PreTrainedModel, lower: int, upper: int, *, causal: bool = False
) -> tuple[PreTrainedModel, PreTrainedModel]:
    """The first `lower` blocks, causal and without a norm, and the `upper` blocks after them.

    The upper part ends with the decoder's norm; blocks after it are left out. Both hold the
    decoder's own modules: take a `trainable_copy` of what is trained. With `causal`, and no block
    left out, the one after the other is the decoder itself.

    Raises:
        InputError: more blocks than the decoder has, no upper block, or a version of transformers
            in which the upper blocks would still be causal.
    """
    depth = len(decoder.layers)
    if lower < 0 or upper < 1 or lower + upper > depth:
        raise InputError(
            f"lower_blocks is {lower} and upper_blocks {upper}: the language model has {depth} "
            "blocks, of which at least one is an upper one"
        )
    below = _part(decoder, decoder.layers[:lower], nn.Identity(), causal=True)
    above = _part(decoder, decoder.layers[lower : lower + upper], decoder.norm, causal=causal)
    above.embed_tokens = None  # it is given states
    if not causal:
        check_sees_both_ways(above)
    return below, above


def trainable_copy(part: PreTrainedModel) -> PreTrainedModel:
    """A copy of a part whose weights may be trained; the decoder keeps its own."""
    return copy.deepcopy(part).requires_grad_(True)


def run_blocks(part: PreTrainedModel, states: Tensor, is_token: Tensor) -> Tensor:
    """States after the blocks of a part: [batch, n, width], is_token [batch, n] -> as states."""
    output = part(inputs_embeds=states, attention_mask=is_token.long(), use_cache=False)
    return output.last_hidden_state


def reach(part: PreTrainedModel, states: Tensor, is_token: Tensor) -> Tensor:
    """How far each state that leaves the blocks moves when one that enters them is changed.

    Shapes: states [n, width], is_token [n] -> [n changed, n moved], the length of each difference.
    """
    changed = states + torch.eye(len(states), device=states.device)[..., None]
    both = torch.cat([states[None], changed])
    with torch.no_grad():
        whole, *moved = run_blocks(part, both, is_token.expand(len(both), -1))
    return (torch.stack(moved) - whole).norm(dim=-1)


def check_sees_both_ways(part: PreTrainedModel) -> None:
    """That a change of a late token moves the first state, with padding behind it and without.

    Raises:
        InputError: it does not: the blocks are causal, whatever their configuration says.
    """
    weight = next(part.layers.parameters())
    width = part.config.hidden_size
    states = torch.randn(4, width, generator=torch.Generator().manual_seed(0)).to(weight)
    for padding in (0, 1):
        is_token = torch.arange(4, device=weight.device) < 4 - padding
        if reach(part, states, is_token)[2, 0] == 0:
            raise InputError(
                "the upper blocks are still causal: this version of transformers ignores "
                "is_causal; install transformers 5.2 or newer"
            )


def _part(
    decoder: PreTrainedModel, blocks: nn.ModuleList, norm: nn.Module, *, causal: bool
) -> PreTrainedModel:
    part = copy.copy(decoder)
    part._modules = dict(decoder._modules)
    part.config = copy.deepcopy(decoder.config)
    part.config.num_hidden_layers = len(blocks)
    part.config.is_causal = causal
    part.config.use_cache = False
    part.layers = blocks
    part.norm = norm
    return part
