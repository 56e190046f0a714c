"""CLIP's kinds of tower: open_clip's own VisionTransformer and causal text transformer."""

import torch
from open_clip.transformer import ResidualAttentionBlock
from torch import Tensor, nn

from cxr_mtl.models.single_query import Projections, attend
from cxr_mtl.models.towers import TextTower, Tower


class ClipViT(Tower):
    """open_clip's own VisionTransformer whose CLS token is pooled (pre-norm)."""

    def __init__(self, model: nn.Module, unfrozen_blocks: int) -> None:
        super().__init__(model, unfrozen_blocks)
        self.norm = model.visual.ln_post
        self.projection = model.visual.proj
        self.embedding_size = self.projection.shape[1]

    @staticmethod
    def blocks_of(model: nn.Module) -> nn.ModuleList:
        visual = model.visual
        fits = getattr(visual, "pool_type", "") == "tok" and visual.attn_pool is None
        return _plain_resblocks(visual) if fits else nn.ModuleList()

    @staticmethod
    def run_whole(model: nn.Module, inputs: Tensor) -> Tensor:
        return model.visual(inputs)

    def norm_of(self, block: nn.Module) -> nn.LayerNorm:
        return block.ln_1

    def run(self, block: nn.Module, tokens: Tensor, is_token: Tensor) -> Tensor:
        return block(tokens)

    def run_last(self, block: nn.Module, tokens: Tensor, query: Tensor, is_token: Tensor) -> Tensor:
        return _run_last_resblock(block, tokens, query, is_token)

    def project(self, query: Tensor) -> Tensor:
        return self.norm(query) @ self.projection


class ClipText(TextTower):
    """CLIP's own causal text transformer, of which the end-of-text token is pooled (pre-norm).

    Nothing before the end of a text sees what follows it, so texts run without their padding.
    """

    def __init__(self, model: nn.Module, unfrozen_blocks: int) -> None:
        super().__init__(model, unfrozen_blocks)
        self.norm = model.ln_final
        self.projection = model.text_projection
        self.register_buffer("causal_mask", model.attn_mask, persistent=False)

    @staticmethod
    def blocks_of(model: nn.Module) -> nn.ModuleList:
        fits = getattr(model, "text_pool_type", "") == "argmax" and model.attn_mask is not None
        fits = fits and isinstance(model.text_projection, nn.Parameter)
        return _plain_resblocks(model) if fits else nn.ModuleList()

    @staticmethod
    def run_whole(model: nn.Module, inputs: Tensor) -> Tensor:
        length = inputs.shape[1]
        tokens = model.token_embedding(inputs) + model.positional_embedding[:length]
        return model.transformer(tokens, attn_mask=model.attn_mask[:length, :length])

    @staticmethod
    def lengths_of(model: nn.Module, ids: Tensor) -> Tensor:
        return ids.argmax(1) + 1  # the end of text has the highest id

    def query_of(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        return tokens[torch.arange(len(tokens), device=tokens.device), lengths - 1]

    def norm_of(self, block: nn.Module) -> nn.LayerNorm:
        return block.ln_1

    def run(self, block: nn.Module, tokens: Tensor, is_token: Tensor) -> Tensor:
        length = tokens.shape[1]
        return block(tokens, attn_mask=self.causal_mask[:length, :length])

    def run_last(self, block: nn.Module, tokens: Tensor, query: Tensor, is_token: Tensor) -> Tensor:
        return _run_last_resblock(block, tokens, query, is_token)

    def project(self, query: Tensor) -> Tensor:
        return self.norm(query) @ self.projection


def _plain_resblocks(holder: nn.Module) -> nn.ModuleList:
    """The blocks of open_clip's transformer when all are of its one plain kind."""
    blocks = holder.transformer.resblocks
    plain = all(type(block) is ResidualAttentionBlock for block in blocks)
    return blocks if plain and holder.transformer.batch_first else nn.ModuleList()


def _run_last_resblock(
    block: ResidualAttentionBlock, tokens: Tensor, query: Tensor, is_token: Tensor
) -> Tensor:
    attention = block.attn
    query_weight, key, value = attention.in_proj_weight.chunk(3)
    query_bias, _, value_bias = attention.in_proj_bias.chunk(3)
    context = attend(
        nn.functional.linear(block.ln_1(query), query_weight, query_bias),
        tokens,
        Projections(key, value, value_bias, attention.num_heads),
        is_token=is_token,
        norm=block.ln_1,
    )
    query = query + block.ls_1(attention.out_proj(context))
    return query + block.ls_2(block.mlp(block.ln_2(query)))
