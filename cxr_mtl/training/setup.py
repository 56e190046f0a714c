"""What a training starts from: the pretrained last layer, and the features it is trained on."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from cxr_mtl.base.files import read_table
from cxr_mtl.models.backbones import Backbone, load_recorded
from cxr_mtl.models.features import Features, Precision, compute_features, pick_device
from cxr_mtl.models.last_layer import LastLayer, freeze
from cxr_mtl.training.trainer import Trained, TrainingConfig, train
from cxr_mtl.training.weight_search import TrainingObjective


@dataclass(frozen=True)
class TrainingSetup:
    """A training before it begins; no training changes it.

    Attributes:
        start: the last layer of `backbone`, with which it shares its weights.
        features: of the frozen part, a row per study.
        labels: [studies], 1 abnormal, 0 normal, -1 unknown.
        rows: of each part, train, validation and test, its rows [n] of features and labels.
    """

    studies: pd.DataFrame
    backbone: Backbone
    start: LastLayer
    features: Features
    labels: Tensor
    rows: dict[str, Tensor]
    device: str

    @property
    def _pieces(self) -> tuple[LastLayer, Features, Tensor, Tensor, Tensor]:
        return self.start, self.features, self.labels, self.rows["train"], self.rows["validation"]

    def train(
        self,
        config: TrainingConfig,
        checkpoint: Path | None = None,
        on_epoch: Callable[[dict[str, float]], None] | None = None,
    ) -> Trained:
        """Fine-tune a copy of `start`: see `train`."""
        return train(
            *self._pieces,
            config,
            learned_temperature=self.backbone.learned_temperature,
            checkpoint=checkpoint,
            on_epoch=on_epoch,
            device=self.device,
        )

    def objective(self, config: TrainingConfig) -> TrainingObjective:
        """What a search of the loss weights maximises: see `search_weights`."""
        return TrainingObjective(
            *self._pieces,
            config,
            learned_temperature=self.backbone.learned_temperature,
            device=self.device,
        )


def prepare_training(
    run: Path, cache: Path, unfrozen_blocks: int, precision: Precision, device: str
) -> TrainingSetup:
    """Load what a training of a run starts from, its features computed where `cache` has none.

    Args:
        run: the run's folder, of which `studies.parquet` and `models.json` are read.
        unfrozen_blocks: last blocks of each tower that are trained; 0 is the projections alone.
        precision: of the cached features.
        device: auto, cpu or cuda.

    Raises:
        InputError: a file is missing or damaged, the backbone is not the recorded one, or its
            towers are not known.
    """
    device = pick_device(device)
    studies = read_table(run / "studies.parquet")
    backbone = load_recorded(run / "models.json", "fine_tuned_from")
    features = compute_features(
        backbone, studies, unfrozen_blocks, cache, precision=precision, device=device
    )
    freeze(backbone.model, unfrozen_blocks)
    rows = {
        part: torch.from_numpy(np.flatnonzero(studies["split"] == part))
        for part in ("train", "validation", "test")
    }
    return TrainingSetup(
        studies,
        backbone,
        LastLayer(backbone.model, unfrozen_blocks),
        features,
        torch.tensor(studies["label"].to_numpy()),
        rows,
        device,
    )
