"""The demo models' architecture: small towers in open_clip's own form, with pretrained fronts.

The image tower is a timm `VisionTransformer` over the feature map of a frozen EfficientNet-Lite0,
the hybrid architecture of Dosovitskiy et al., "An image is worth 16x16 words", ICLR 2021, whose
class token starts from a summary of the whole map. The report tower is all-MiniLM-L6-v2, a BERT,
with a projection of its CLS token.
"""

import shutil
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from timm.layers import HybridEmbed
from timm.models import VisionTransformer, register_model
from torch import Tensor, nn
from torch.nn import functional as F

from cxr_mtl.base.files import write_json
from cxr_mtl.models.convolutional_trunk import CHANNELS, STRIDE, ConvolutionalTrunk
from cxr_mtl.models.packaged_files import MINILM

DemoName = Literal["demo-biomed", "demo-general"]
IMAGE_SIZE = 224
PATCH = 2  # side of a token, in places of the feature map
WIDTH, BLOCKS, HEADS = 160, 2, 5
PLACES = 3  # of the summary, per side: upper, middle and lower, left, middle and right
EMBEDDING_SIZE = 256
CONTEXT = 256  # MiniLM was trained with no more
TOWER_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json")


class SummarisedEmbed(HybridEmbed):
    """`HybridEmbed` with one more token at its front: a linear map of the feature map by place."""

    def __init__(self, *args: Any, embed_dim: int, **kwargs: Any) -> None:
        super().__init__(*args, embed_dim=embed_dim, **kwargs)
        self.summary = nn.Linear(CHANNELS * PLACES**2, embed_dim)

    def forward(self, images: Tensor) -> Tensor:
        """Shapes: [batch, 3, height, width] -> [batch, 1 + patches, width]."""
        maps = self.backbone(images)
        patches = self.proj(maps).flatten(2).mT
        return torch.cat([self.summary(by_place(maps))[:, None], patches], 1)


def by_place(maps: Tensor) -> Tensor:
    """Means of feature maps over 3 x 3 places: [batch, 112, height, width] -> [batch, 1008]."""
    return F.adaptive_avg_pool2d(maps, PLACES).flatten(1)


class SummarisedViT(VisionTransformer):
    """A ViT that adds the first of its embedded tokens to its class token.

    The one query of the last block attends to little; what it starts from reaches the embedding.
    """

    def _pos_embed(self, embedded: Tensor) -> Tensor:
        summary, patches = embedded.split([1, embedded.shape[1] - 1], 1)
        tokens = super()._pos_embed(patches)
        return torch.cat([tokens[:, :1] + summary, tokens[:, 1:]], 1)


@register_model
def cxr_mtl_demo_vit(pretrained: bool = False, **kwargs: Any) -> SummarisedViT:
    """ViT of two blocks, 160 wide, over the 14 x 14 feature map of a 224-pixel image."""
    if pretrained:
        raise ValueError("cxr_mtl_demo_vit has no weights to download: take demo-biomed")
    for unused in ("pretrained_cfg", "pretrained_cfg_overlay", "cache_dir"):
        kwargs.pop(unused, None)
    shape = {
        "img_size": IMAGE_SIZE,
        "patch_size": PATCH,
        "embed_dim": WIDTH,
        "depth": BLOCKS,
        "num_heads": HEADS,
    } | kwargs
    embed = partial(
        SummarisedEmbed,
        backbone=ConvolutionalTrunk(),
        feature_size=-(-shape["img_size"] // STRIDE),
        feature_ratio=STRIDE,
    )
    model = SummarisedViT(**shape, embed_layer=embed)
    model.default_cfg = {}  # open_clip asks every timm model for one
    return model


def write_configuration(folder: Path) -> None:
    """All but the weights of a demo model, as open_clip's `local-dir:` reads it.

    Raises:
        InputError: a file of MiniLM's package is missing or is another.
    """
    for name in TOWER_FILES:
        shutil.copyfile(MINILM.path(name), folder / name)
    vision = {
        "timm_model_name": "cxr_mtl_demo_vit",
        "timm_model_pretrained": False,
        "timm_pool": "token",
        "timm_proj": "linear",
        "image_size": IMAGE_SIZE,
    }
    text = {
        "hf_model_name": "sentence-transformers/all-MiniLM-L6-v2",
        "hf_tokenizer_name": "sentence-transformers/all-MiniLM-L6-v2",
        "hf_proj_type": "linear",
        "hf_pooler_type": "cls_last_hidden_state_pooler",
        "context_length": CONTEXT,
    }
    config = {
        "model_cfg": {"embed_dim": EMBEDDING_SIZE, "vision_cfg": vision, "text_cfg": text},
        "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic"},
    }
    write_json(folder / "open_clip_config.json", config)
