"""The kinds of tower a CLIP may have: BiomedCLIP's, a timm ViT and a BERT, and CLIP's own two."""

import torch
from open_clip.transformer import ResidualAttentionBlock
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from transformers.models.bert.modeling_bert import BertLayer

from cxr_mtl.models.single_query import Projections, attend
from cxr_mtl.models.towers import TextTower, Tower


class TimmViT(Tower):
    """A timm VisionTransformer whose CLS token is pooled (pre-norm, LayerScale or not)."""

    def __init__(self, model: nn.Module, unfrozen_blocks: int) -> None:
        super().__init__(model, unfrozen_blocks)
        self.norm = nn.Sequential(model.visual.trunk.norm, model.visual.trunk.fc_norm)
        self.projection = model.visual.head
        self.embedding_size = self.projection[-1].out_features

    @staticmethod
    def blocks_of(model: nn.Module) -> nn.ModuleList:
        trunk = getattr(model.visual, "trunk", None)
        blocks = getattr(trunk, "blocks", ())
        fits = getattr(trunk, "global_pool", "") == "token" and all(map(_is_plain_block, blocks))
        return nn.ModuleList(blocks if fits else ())

    @staticmethod
    def run_whole(model: nn.Module, inputs: Tensor) -> Tensor:
        return model.visual.trunk(inputs)

    def norm_of(self, block: nn.Module) -> nn.LayerNorm:
        return block.norm1

    def run(self, block: nn.Module, tokens: Tensor, is_token: Tensor) -> Tensor:
        return block(tokens)

    def run_last(self, block: nn.Module, tokens: Tensor, query: Tensor, is_token: Tensor) -> Tensor:
        attention = block.attn
        query_weight, key, value = attention.qkv.weight.chunk(3)
        bias = attention.qkv.bias
        query_bias, _, value_bias = (None,) * 3 if bias is None else bias.chunk(3)
        context = attend(
            nn.functional.linear(block.norm1(query), query_weight, query_bias),
            tokens,
            Projections(key, value, value_bias, attention.num_heads),
            dropout=attention.attn_drop,
            norm=block.norm1,
        )
        attended = attention.proj_drop(attention.proj(context))
        query = query + block.drop_path1(block.ls1(attended))
        return query + block.drop_path2(block.ls2(block.mlp(block.norm2(query))))

    def project(self, query: Tensor) -> Tensor:
        return self.projection(self.norm(query))


def _is_plain_block(block: nn.Module) -> bool:
    """Whether a timm block is one that `TimmViT.run_last` repeats exactly."""
    if not (isinstance(block, Block) and isinstance(block.norm1, nn.LayerNorm)):
        return False
    attention = block.attn
    norms = (attention.q_norm, attention.k_norm, attention.norm)
    gate = getattr(attention, "gate", None)
    return gate is None and all(isinstance(norm, nn.Identity) for norm in norms)


class BertText(TextTower):
    """A Hugging Face BERT whose CLS of the last hidden state is pooled (post-norm).

    As a decoder it would hide from its CLS what follows it, which is not repeated here.
    """

    def __init__(self, model: nn.Module, unfrozen_blocks: int) -> None:
        super().__init__(model, unfrozen_blocks)
        self.projection = model.text.proj

    @staticmethod
    def blocks_of(model: nn.Module) -> nn.ModuleList:
        text = getattr(model, "text", None)
        encoder = getattr(getattr(text, "transformer", None), "encoder", None)
        layers = getattr(encoder, "layer", ())
        fits = type(getattr(text, "pooler", None)).__name__ == "ClsLastHiddenStatePooler"
        fits = fits and all(isinstance(layer, BertLayer) for layer in layers)
        fits = fits and not text.transformer.config.is_decoder
        return nn.ModuleList(layers if fits else ())

    @staticmethod
    def run_whole(model: nn.Module, inputs: Tensor) -> object:
        encoder = model.text.transformer
        is_token = (inputs != encoder.config.pad_token_id).long()
        return encoder(input_ids=inputs, attention_mask=is_token)

    @staticmethod
    def lengths_of(model: nn.Module, ids: Tensor) -> Tensor:
        return (ids != model.text.transformer.config.pad_token_id).sum(1)

    def norm_of(self, block: nn.Module) -> None:
        return None

    def run(self, block: nn.Module, tokens: Tensor, is_token: Tensor) -> Tensor:
        mask = torch.zeros(is_token.shape, dtype=tokens.dtype, device=tokens.device)
        mask = mask.masked_fill(~is_token, torch.finfo(tokens.dtype).min)
        return block(tokens, attention_mask=mask[:, None, None])

    def run_last(self, block: nn.Module, tokens: Tensor, query: Tensor, is_token: Tensor) -> Tensor:
        attention = block.attention.self
        key, value = attention.key, attention.value
        context = attend(
            attention.query(query),
            tokens,
            Projections(key.weight, value.weight, value.bias, attention.num_attention_heads),
            is_token=is_token,
            dropout=attention.dropout,
        )
        # No output depends on the keys' bias: its gradient is zero, not missing, so that AdamW
        # treats it as in the plain model.
        context = context + 0 * key.bias
        return block.feed_forward_chunk(block.attention.output(context, query))

    def project(self, query: Tensor) -> Tensor:
        return self.projection(query)


class ResblockTower(Tower):
    """A tower of open_clip's own residual attention blocks (pre-norm)."""

    norm: nn.LayerNorm
    projection: Tensor

    def norm_of(self, block: nn.Module) -> nn.LayerNorm:
        return block.ln_1

    def run_last(self, block: nn.Module, tokens: Tensor, query: Tensor, is_token: Tensor) -> Tensor:
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

    def project(self, query: Tensor) -> Tensor:
        return self.norm(query) @ self.projection


class ClipViT(ResblockTower):
    """open_clip's own VisionTransformer whose CLS token is pooled."""

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

    def run(self, block: nn.Module, tokens: Tensor, is_token: Tensor) -> Tensor:
        return block(tokens)


class ClipText(ResblockTower, TextTower):
    """CLIP's own causal text transformer, of which the end-of-text token is pooled.

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

    def run(self, block: nn.Module, tokens: Tensor, is_token: Tensor) -> Tensor:
        length = tokens.shape[1]
        return block(tokens, attn_mask=self.causal_mask[:length, :length])


def _plain_resblocks(holder: nn.Module) -> nn.ModuleList:
    """The blocks of open_clip's transformer when all are of its one plain kind."""
    blocks = holder.transformer.resblocks
    plain = all(type(block) is ResidualAttentionBlock for block in blocks)
    return blocks if plain and holder.transformer.batch_first else nn.ModuleList()
