"""BiomedCLIP's kinds of tower: a timm VisionTransformer and a Hugging Face BERT."""

import torch
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
    """A Hugging Face BERT whose CLS of the last hidden state is pooled (post-norm)."""

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
