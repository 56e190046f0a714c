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

    Only the CLS token leaves the last block, so only its query is computed, and with one query
    keys and values need not be either: `_attend` reads the tokens themselves. They are normalised
    without the norm's scale and shift, which move to the query and to the context.
    """
    attention, norm = block.attn, block.norm1
    if not (isinstance(attention.q_norm, nn.Identity) and isinstance(attention.norm, nn.Identity)):
        return block(tokens)[:, 0]
    width = tokens.shape[-1]
    plain = F.layer_norm(tokens, (width,), eps=norm.eps)
    query_weight, key_weight, value_weight = attention.qkv.weight.chunk(3)
    bias = attention.qkv.bias
    query_bias, key_bias, value_bias = (None, None, None) if bias is None else bias.chunk(3)
    query = F.linear(plain[:, 0] * norm.weight + norm.bias, query_weight, query_bias)
    context = _attend(
        query,
        plain,
        (key_weight * norm.weight, _shifted(key_weight, norm.bias, key_bias)),
        (value_weight * norm.weight, _shifted(value_weight, norm.bias, value_bias)),
        attention.num_heads,
    )
    cls = tokens[:, 0] + block.ls1(attention.proj(context))
    return cls + block.ls2(block.mlp(block.norm2(cls)))


def _bert_cls(layer: nn.Module, tokens: Tensor, mask: Tensor) -> Tensor:
    """The CLS token after a BERT layer: tokens [batch, n, width] -> [batch, width].

    `mask` [batch, 1, 1, n] is added to the scores. Dropout acts as in the layer itself.
    """
    attention = layer.attention.self
    context = _attend(
        attention.query(tokens[:, 0]),
        tokens,
        (attention.key.weight, attention.key.bias),
        (attention.value.weight, attention.value.bias),
        attention.num_attention_heads,
        mask[:, 0],
        attention.dropout,
    )
    return layer.feed_forward_chunk(layer.attention.output(context, tokens[:, 0]))


def _shifted(weight: Tensor, shift: Tensor, bias: Tensor | None) -> Tensor:
    return weight @ shift if bias is None else weight @ shift + bias


def _attend(
    query: Tensor,
    tokens: Tensor,
    key: tuple[Tensor, Tensor],
    value: tuple[Tensor, Tensor],
    heads: int,
    mask: Tensor | None = None,
    dropout: nn.Module | None = None,
) -> Tensor:
    """Attention of one query per sequence, exactly, without computing keys or values.

    q·(W x + b) = (Wᵀ q)·x + q·b and Σ a (W x + b) = W (Σ a x) + b Σ a, head by head.
    Shapes: query [batch, width], tokens [batch, n, width], weights [width, width] with biases
    [width], mask [batch, 1, n] -> [batch, width].
    """
    (key_weight, key_bias), (value_weight, value_bias) = (
        (weight.unflatten(0, (heads, -1)), bias.view(heads, -1)) for weight, bias in (key, value)
    )
    query = query.unflatten(-1, (heads, -1)) * key_weight.shape[1] ** -0.5
    absorbed = torch.einsum("bhd,hdw->bhw", query, key_weight)
    scores = absorbed @ tokens.transpose(1, 2) + (query * key_bias).sum(-1, keepdim=True)
    attention = (scores if mask is None else scores + mask).softmax(-1)
    attention = attention if dropout is None else dropout(attention)
    mixed = torch.einsum("bhw,hdw->bhd", attention @ tokens, value_weight)
    return (mixed + attention.sum(-1, keepdim=True) * value_bias).flatten(1)


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
