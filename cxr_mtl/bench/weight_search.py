"""What the weight search costs at full size, with one worker and with several."""

import os
import tempfile
from pathlib import Path

import torch

from cxr_mtl.bench.models import random_biomedclip, random_features
from cxr_mtl.bench.timing import Measurement, Report, Size, compared, measure
from cxr_mtl.models.last_layer import LastLayer, freeze
from cxr_mtl.training.trainer import TrainingConfig
from cxr_mtl.training.weight_search import TrainingObjective, search_weights

WHAT = "search"
SCALES: dict[Size, tuple[int, int, int]] = {"quick": (256, 2, 1), "full": (3_451, 20, 20)}
"""Studies for training and validation, trials, epochs of each."""


def run(size: Size, device: str, report: Report) -> list[Measurement]:
    """Search with BiomedCLIP's last layer on cached random tokens; validation is a tenth.

    At full size this is the paper's whole search: 20 trials of 20 epochs on Open-I's studies
    without its 400 test studies.
    """
    studies, trials, epochs = SCALES[size]
    model = random_biomedclip()
    freeze(model, 1)
    found: list[Measurement] = []
    with random_features(studies, "bfloat16") as features:
        validation = studies // 10
        rows = torch.arange(studies)
        objective = TrainingObjective(
            start=LastLayer(model, 1),
            features=features,
            labels=rows % 2,
            train_rows=rows[validation:],
            validation_rows=rows[:validation],
            config=TrainingConfig(epochs=epochs, precision="bfloat16"),
            device=device,
        )
        every_core = os.cpu_count() or 1
        for workers in {"quick": sorted({1, every_core}), "full": [every_core]}[size]:
            report(f"{trials} trials of {epochs} epochs, {_workers(workers)}")

            def search(workers: int = workers) -> None:
                with tempfile.TemporaryDirectory() as folder:
                    storage = Path(folder) / "search.db"
                    search_weights(objective, storage, "bench", trials=trials, workers=workers)

            timing = measure(search, 1, warmup=0, device=device)
            case = f"{trials} trials of {epochs} epochs, {studies:,} studies, {_workers(workers)}"
            target = "≤ 45 min" if size == "full" and device == "cpu" else None
            baseline = found[0] if found else None
            found.append(compared(WHAT, case, "search", timing, baseline=baseline, target=target))
    return found


def _workers(count: int) -> str:
    return "1 worker" if count == 1 else f"{count} workers"
