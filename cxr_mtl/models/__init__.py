"""Models: backbones by name, the features of their frozen part, and the last layer that is trained.

The head takes the mean of an image and a report embedding and tells how abnormal a study is:

>>> import torch
>>> from cxr_mtl.models import FusionHead
>>> head = FusionHead(embedding_size=4, dropout=0.0)
>>> head(torch.ones(3, 4), torch.zeros(3, 4)).shape
torch.Size([3])
"""

from cxr_mtl.models.backbones import FusionHead, load_backbone, source_files
from cxr_mtl.models.features import compute_features, embed, embed_texts, pick_device
from cxr_mtl.models.last_layer import LastLayer, block_count, freeze

__all__ = [
    "FusionHead",
    "LastLayer",
    "block_count",
    "compute_features",
    "embed",
    "embed_texts",
    "freeze",
    "load_backbone",
    "pick_device",
    "source_files",
]
