"""Models: backbones by name, the features of their frozen part, and the last layer that is trained.

The head takes the mean of an image and a report embedding and tells how abnormal a study is:

>>> import torch
>>> from cxr_mtl.models import FusionHead
>>> head = FusionHead(embedding_size=4, dropout=0.0)
>>> head(torch.ones(3, 4), torch.zeros(3, 4)).shape
torch.Size([3])
"""

from cxr_mtl.models.backbones import FusionHead, load_backbone, load_recorded, source_files
from cxr_mtl.models.features import compute_features, embed, embed_texts, pick_device
from cxr_mtl.models.last_layer import LastLayer, block_count, freeze
from cxr_mtl.models.reading import count_reports, reading_records, reading_table
from cxr_mtl.models.tokenizers import load_tokenizer

__all__ = [
    "FusionHead",
    "LastLayer",
    "block_count",
    "compute_features",
    "count_reports",
    "embed",
    "embed_texts",
    "freeze",
    "load_backbone",
    "load_recorded",
    "load_tokenizer",
    "pick_device",
    "reading_records",
    "reading_table",
    "source_files",
]
