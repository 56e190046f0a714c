"""The seam between what is frozen and what is trained.

`entering_images` and `entering_texts` run a tower up to its first unfrozen block: without
augmentation the result never changes, so it is computed once. `LastLayer` is everything after.
"""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cxr_mtl.backbones import transformer_blocks
from cxr_mtl.errors import InputError


class LastLayer(nn.Module):
    """The unfrozen blocks, final norm, pooling and projection of both towers.

    It holds the modules of `model` themselves, not copies: training it trains `model`. Take
    `independent_copy()` to train without touching the backbone.
    """

    def __init__(self, model: nn.Module, unfrozen_blocks: int) -> None:
        super().__init__()
        image_blocks, text_blocks = transformer_blocks(model)
        trunk = model.visual.trunk
        self.image_blocks = image_blocks[len(image_blocks) - unfrozen_blocks :]
        self.image_norm = nn.Sequential(trunk.norm, trunk.fc_norm)
        self.image_projection = model.visual.head
        self.text_blocks = text_blocks[len(text_blocks) - unfrozen_blocks :]
        self.text_projection = model.text.proj
        open_clip_name = {id(p): name for name, p in model.named_parameters()}
        self.open_clip_names = {n: open_clip_name[id(p)] for n, p in self.named_parameters()}

    def independent_copy(self) -> "LastLayer":
        """A deep copy, parameters included."""
        return copy.deepcopy(self)

    def embed_images(self, tokens: Tensor) -> Tensor:
        """Tokens [batch, tokens, width] entering the first unfrozen block -> [batch, dim]."""
        for block in self.image_blocks[:-1]:
            tokens = block(tokens)
        cls = _vit_cls(self.image_blocks[-1], tokens) if self.image_blocks else tokens[:, 0]
        return self.image_projection(self.image_norm(cls))

    def embed_texts(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Padded tokens [batch, longest, width] and their lengths [batch] -> [batch, dim]."""
        positions = torch.arange(tokens.shape[1], device=tokens.device)
        is_text = positions[None, :] < lengths[:, None]
        mask = torch.zeros(is_text.shape, dtype=tokens.dtype, device=tokens.device)
        mask = mask.masked_fill(~is_text, torch.finfo(tokens.dtype).min)[:, None, None, :]
        for block in self.text_blocks[:-1]:
            tokens = block(tokens, attention_mask=mask)
        cls = _bert_cls(self.text_blocks[-1], tokens, mask) if self.text_blocks else tokens[:, 0]
        return self.text_projection(cls)

    def weights(self) -> dict[str, Tensor]:
        """Trainable tensors under the names they have in the open_clip model."""
        return {
            self.open_clip_names[name]: parameter.detach()
            for name, parameter in self.named_parameters()
            if parameter.requires_grad
        }

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        """Take over what `weights()` of an equally shaped last layer gave.

        Raises:
            InputError: names or shapes differ.
        """
        own = self.weights()
        if {n: t.shape for n, t in own.items()} != {n: t.shape for n, t in weights.items()}:
            raise InputError(
                "these fine-tuned weights do not fit the backbone: they were trained from "
                "another model or with another number of unfrozen blocks"
            )
        with torch.no_grad():
            for name, tensor in own.items():
                tensor.copy_(weights[name])


def _vit_cls(block: nn.Module, tokens: Tensor) -> Tensor:
    """The CLS token after a timm block: tokens [batch, n, width] -> [batch, width].

    Only the CLS token leaves the last block, so only its query is computed.
    """
    attention = block.attn
    heads, width = attention.num_heads, tokens.shape[-1]
    normed = block.norm1(tokens)
    weight, bias = attention.qkv.weight, attention.qkv.bias
    query = F.linear(normed[:, :1], weight[:width], None if bias is None else bias[:width])
    keys_values = F.linear(normed, weight[width:], None if bias is None else bias[width:])
    q, k, v = (_split(x, heads) for x in (query, *keys_values.chunk(2, dim=-1)))
    context = F.scaled_dot_product_attention(attention.q_norm(q), attention.k_norm(k), v)
    cls = tokens[:, :1] + block.ls1(attention.proj(_merge(context)))
    return (cls + block.ls2(block.mlp(block.norm2(cls))))[:, 0]


def _bert_cls(layer: nn.Module, tokens: Tensor, mask: Tensor) -> Tensor:
    """The CLS token after a BERT layer: tokens [batch, n, width] -> [batch, width].

    `mask` [batch, 1, 1, n] is added to the scores. Dropout acts as in the layer itself.
    """
    attention = layer.attention.self
    heads = attention.num_attention_heads
    q = _split(attention.query(tokens[:, :1]), heads)
    k, v = (_split(project(tokens), heads) for project in (attention.key, attention.value))
    dropout = attention.dropout.p if attention.training else 0.0
    context = F.scaled_dot_product_attention(q, k, v, mask.to(q.dtype), dropout)
    cls = layer.attention.output(_merge(context), tokens[:, :1])
    return layer.feed_forward_chunk(cls)[:, 0]


def _split(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def _merge(x: Tensor) -> Tensor:
    return x.transpose(1, 2).flatten(2)


def entering_images(model: nn.Module, images: Tensor, unfrozen_blocks: int) -> Tensor:
    """What enters the first unfrozen image block: images [batch, 3, h, w] -> [batch, n, width]."""
    image_blocks, _ = transformer_blocks(model)
    trunk = model.visual.trunk
    first = image_blocks[-unfrozen_blocks] if unfrozen_blocks else trunk.norm
    return _input_of(first, lambda: trunk(images))


def entering_texts(model: nn.Module, token_ids: Tensor, unfrozen_blocks: int) -> Tensor:
    """What enters the first unfrozen text block: ids [batch, n] -> [batch, n, width]."""
    _, text_blocks = transformer_blocks(model)
    encoder = model.text.transformer
    is_text = (token_ids != encoder.config.pad_token_id).long()

    def run() -> Tensor:
        return encoder(input_ids=token_ids, attention_mask=is_text).last_hidden_state

    return _input_of(text_blocks[-unfrozen_blocks], run) if unfrozen_blocks else run()


class _Reached(Exception):
    pass


def _input_of(module: nn.Module, run: Callable[[], Tensor]) -> Tensor:
    """Run a forward pass until it reaches `module`; return the first argument given to it."""
    reached: list[Tensor] = []

    def stop(_: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        reached.append(arguments[0])
        raise _Reached

    hook = module.register_forward_pre_hook(stop)
    try:
        run()
    except _Reached:
        pass
    finally:
        hook.remove()
    return reached[0]
