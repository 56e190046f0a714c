"""The demo models' architecture: a small timm ViT, a small BERT, in open_clip's own form.

The image tower is an ordinary timm `VisionTransformer` behind a strided convolutional stem
(Xiao et al., "Early convolutions help transformers see better", 2021): small models trained for
minutes learn with it, and with a plain patch embedding they do not.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import torch
from timm.models import VisionTransformer, register_model
from tokenizers import BertWordPieceTokenizer
from torch import Tensor, nn
from transformers import BertConfig, BertTokenizerFast

from cxr_mtl.base.files import write_json

DemoName = Literal["demo-biomed", "demo-general"]
IMAGE_SIZE = 112
WIDTH, BLOCKS, HEADS = 128, 3, 4
CONTEXT, VOCABULARY = 128, 4000
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
STEM = ((24, 2), (48, 2), (64, 1), (96, 2), (128, 1), (WIDTH, 2))  # channels, stride


class ConvStem(nn.Module):
    """3 x 3 convolutions, four of stride 2: an image becomes a grid of tokens of 16 x 16 pixels.

    Shapes: images [batch, channels, height, width] -> tokens [batch, height/16 * width/16, dim].
    """

    def __init__(
        self, img_size: int, patch_size: int, in_chans: int, embed_dim: int, **_: Any
    ) -> None:
        super().__init__()
        self.grid_size = (img_size // patch_size, img_size // patch_size)
        self.num_patches = self.grid_size[0] * self.grid_size[1]
        layers: list[nn.Module] = []
        before = in_chans
        for channels, stride in STEM:
            layers += [
                nn.Conv2d(before, channels, 3, stride=stride, padding=1, bias=False),
                nn.BatchNorm2d(channels),
                nn.GELU(),
            ]
            before = channels
        self.layers = nn.Sequential(*layers[:-2])  # the transformer has its own norms

    def forward(self, images: Tensor) -> Tensor:
        images = images.contiguous(memory_format=torch.channels_last)
        # bfloat16 convolutions make pretraining on a CPU several times faster.
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.training):
            grid = self.layers(images)
        return grid.float().flatten(2).transpose(1, 2)


@register_model
def cxr_mtl_demo_vit(pretrained: bool = False, **kwargs: Any) -> VisionTransformer:
    """ViT with 3 blocks of width 128 behind a convolutional stem, for 112-pixel images."""
    if pretrained:
        raise ValueError("cxr_mtl_demo_vit has no weights to download: it is trained locally")
    for unused in ("pretrained_cfg", "pretrained_cfg_overlay", "cache_dir"):
        kwargs.pop(unused, None)
    shape = {
        "img_size": IMAGE_SIZE,
        "patch_size": 16,
        "embed_dim": WIDTH,
        "depth": BLOCKS,
        "num_heads": HEADS,
        "embed_layer": ConvStem,
    }
    model = VisionTransformer(**(shape | kwargs))
    model.default_cfg = {}  # open_clip asks every timm model for one
    return model


def write_untrained(folder: Path, texts: Iterable[str]) -> None:
    """Configuration and a tokenizer trained on `texts`, as open_clip's `local-dir:` reads them."""
    tokenizer = _trained_tokenizer(list(texts))
    file = folder / "tokenizer.json"
    tokenizer.save(str(file))
    BertTokenizerFast(tokenizer_file=str(file)).save_pretrained(folder)
    BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=WIDTH,
        num_hidden_layers=BLOCKS,
        num_attention_heads=HEADS,
        intermediate_size=4 * WIDTH,
        max_position_embeddings=CONTEXT,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    ).save_pretrained(folder)
    vision = {
        "timm_model_name": "cxr_mtl_demo_vit",
        "timm_model_pretrained": False,
        "timm_pool": "token",
        "timm_proj": "linear",
        "image_size": IMAGE_SIZE,
    }
    text = {
        "hf_model_name": "cxr-mtl-demo-text",
        "hf_tokenizer_name": "cxr-mtl-demo-text",
        "hf_proj_type": "mlp",
        "hf_pooler_type": "cls_last_hidden_state_pooler",
        "context_length": CONTEXT,
    }
    config = {
        "model_cfg": {"embed_dim": WIDTH, "vision_cfg": vision, "text_cfg": text},
        "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.25] * 3, "interpolation": "bilinear"},
    }
    write_json(folder / "open_clip_config.json", config)


def _trained_tokenizer(texts: list[str]) -> BertWordPieceTokenizer:
    """A WordPiece tokenizer, the same for the same texts.

    The trainer numbers the letters inside words ("##a") in the order of a hash map, another at
    every call, and breaks ties by number. Naming them all first leaves it nothing to choose.
    """
    trained = BertWordPieceTokenizer(lowercase=True)
    letters = sorted({letter for text in texts for letter in trained.normalize(text)})
    first = [*SPECIAL_TOKENS, *(f"##{letter}" for letter in letters if not letter.isspace())]
    trained.train_from_iterator(
        texts, vocab_size=VOCABULARY, special_tokens=first, show_progress=False
    )
    return BertWordPieceTokenizer(trained.get_vocab(), lowercase=True)
