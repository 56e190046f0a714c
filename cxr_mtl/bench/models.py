"""Full-size models with random weights and random studies, for measuring time and exactness.

Time and rounding do not depend on what the weights have learnt; what a model finds does, so
nothing here says how well anything retrieves.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import open_clip
import torch
from torch import Tensor, nn
from transformers import BertConfig

from cxr_mtl.models.backbones import quiet_open_clip
from cxr_mtl.models.features import Features, Precision
from cxr_mtl.models.token_store import TokenStore, fill_store

SHORTEST, LONGEST = 30, 110
"""Tokens of a report, begin and end included: what most of Open-I's reports have."""


@dataclass(frozen=True)
class Batch:
    """Random studies.

    Shapes: images [batch, 3, 224, 224], ids [batch, context], lengths and labels [batch].
    """

    images: Tensor
    ids: Tensor
    lengths: Tensor
    labels: Tensor

    def first(self, count: int) -> "Batch":
        """Its first `count` studies."""
        return Batch(*(tensor[:count] for tensor in vars(self).values()))


def random_biomedclip(seed: int = 0, dropout: float = 0.1) -> nn.Module:
    """A model of BiomedCLIP's shape: 195.9 million random parameters, context 256."""
    torch.manual_seed(seed)
    bert = BertConfig(hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout)
    vision = {
        "timm_model_name": "vit_base_patch16_224",
        "timm_model_pretrained": False,
        "timm_pool": "",
        "timm_proj": "linear",
        "image_size": 224,
    }
    with tempfile.TemporaryDirectory() as folder, quiet_open_clip():
        bert.save_pretrained(folder)
        text = {
            "hf_model_name": folder,
            "hf_model_pretrained": False,
            "hf_proj_type": "mlp",
            "hf_pooler_type": "cls_last_hidden_state_pooler",
            "context_length": 256,
        }
        return _with_biases(open_clip.CustomTextCLIP(512, vision, text))


def random_clip(seed: int = 0) -> nn.Module:
    """A model of the shape of CLIP ViT-B/16 with random weights, context 77."""
    torch.manual_seed(seed)
    with quiet_open_clip():
        return _with_biases(open_clip.create_model("ViT-B-16"))


def _with_biases(model: nn.Module) -> nn.Module:
    """Biases begin as zeros; a trained model's are not."""
    for parameter in model.parameters():
        if parameter.ndim == 1:
            parameter.data.add_(torch.randn_like(parameter), alpha=0.02)
    return model.eval()


def random_batch(studies: int, context: int, seed: int = 0) -> Batch:
    """Random studies whose texts begin with id 2, end with the highest id and are padded with 0."""
    random = torch.Generator().manual_seed(seed)
    images = torch.randn(studies, 3, 224, 224, generator=random)
    lengths = torch.randint(SHORTEST, min(LONGEST, context) + 1, (studies,), generator=random)
    ids = torch.randint(3, 28_000, (studies, context), generator=random)
    ids = ids.masked_fill(torch.arange(context) >= lengths[:, None], 0)
    ids[:, 0] = 2
    ids[torch.arange(studies), lengths - 1] = 29_999
    labels = torch.arange(studies) % 2
    return Batch(images, ids, lengths, labels)


@contextmanager
def random_features(studies: int, precision: Precision) -> Iterator[Features]:
    """A cache of random tokens of the shape that BiomedCLIP's last blocks read."""
    random = torch.Generator().manual_seed(0)
    lengths = torch.randint(SHORTEST, LONGEST + 1, (studies,), generator=random)
    whole = torch.full((studies,), 197)
    dtype = getattr(torch, precision)
    with tempfile.TemporaryDirectory(prefix="cxr_mtl_bench_") as folder:

        def fill(what: str, lengths: Tensor) -> TokenStore:
            def compute(rows: Tensor) -> tuple[Tensor, Tensor]:
                tokens = torch.randn(len(rows), int(lengths[rows].max()), 768, generator=random)
                return tokens, tokens[:, 0]

            about = {"what": "random tokens"}
            return fill_store(Path(folder) / what, lengths, 768, dtype, compute, about=about)

        yield Features(fill("images", whole), fill("texts", lengths), key="random")
