"""Training the last layer with three losses at once, and searching for their weights.

Where every image has its own report and no other, the CLIP loss is nearly 0:

>>> import torch
>>> from cxr_mtl.training import clip_loss
>>> pairs = torch.eye(4)
>>> round(clip_loss(pairs, pairs, temperature=0.07).item(), 4)
0.0
"""

from cxr_mtl.training.demo_models import backbone_source
from cxr_mtl.training.demo_notices import drawn_only_records
from cxr_mtl.training.fine_tuned import load_fine_tuned, save_fine_tuned
from cxr_mtl.training.losses import (
    PAPER_WEIGHTS,
    LossWeights,
    classification_loss,
    clip_loss,
    fuse,
    multi_task_loss,
    supervised_contrastive_loss,
)
from cxr_mtl.training.setup import prepare_training
from cxr_mtl.training.trainer import TrainingConfig, embed_rows, train
from cxr_mtl.training.weight_search import search_weights

__all__ = [
    "PAPER_WEIGHTS",
    "LossWeights",
    "TrainingConfig",
    "backbone_source",
    "classification_loss",
    "clip_loss",
    "drawn_only_records",
    "embed_rows",
    "fuse",
    "load_fine_tuned",
    "multi_task_loss",
    "prepare_training",
    "save_fine_tuned",
    "search_weights",
    "supervised_contrastive_loss",
    "train",
]
