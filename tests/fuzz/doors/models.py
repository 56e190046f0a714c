"""Folders that bring weights: backbones, fine-tuned models, embeddings."""

import random
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from damage import (
    STRANGERS,
    Files,
    contents,
    damaged_json,
    damaged_safetensors,
    laid,
    maybe_seeds,
    with_sums,
)
from door import Door
from safetensors.numpy import save
from untrained import write_untrained_model

from cxr_mtl.models.backbones import FusionHead, load_backbone
from cxr_mtl.models.last_layer import LastLayer
from cxr_mtl.retrieval.embeddings import read_pair
from cxr_mtl.training.fine_tuned import load_fine_tuned, save_fine_tuned, trained_weights
from cxr_mtl.training.trainer import Trained, TrainingConfig


@cache
def _pair() -> bytes:
    rng = np.random.default_rng(0)
    return save({name: rng.random((5, 4), np.float32) for name in ("image", "text")})


def _lay_pair(folder: Path, seed: int | None) -> Path:
    laid(folder, {"a.safetensors": _pair()}, {"a.safetensors": damaged_safetensors}, seed)
    return folder / "a.safetensors"


def _read_pair(path: Path) -> Any:
    return read_pair(path, "run chapter 05_retrieval again")


def _check_pair(path: Path, seed: int | None, pair: Any) -> None:
    assert all(part.ndim == 2 and part.dtype == np.float32 for part in pair)
    assert pair[0].shape == pair[1].shape


@cache
def backbone_folder() -> Path:
    """An untrained model in a folder that is made once."""
    folder = Path(tempfile.mkdtemp(dir=Path.cwd()))
    write_untrained_model(folder)
    return folder


@cache
def _backbone() -> Any:
    return load_backbone(f"local-dir:{backbone_folder()}")


def _lay_backbone(folder: Path, seed: int | None) -> Path:
    files = contents(backbone_folder())
    damages = {name: damaged_json for name in files if name.endswith(".json")}
    damages["open_clip_model.safetensors"] = damaged_safetensors
    laid(folder, files, damages, seed)
    weights = folder / "open_clip_model.safetensors"
    if seed is not None and seed % 8 == 0 and weights.exists():
        rng = random.Random(seed)
        weights.unlink()
        name = rng.choice(("open_clip_pytorch_model.bin", "epoch_20.pt", "model.pth"))
        (folder / name).write_bytes(rng.choice(STRANGERS))
    return folder


def _load_backbone(folder: Path) -> Any:
    return load_backbone(f"local-dir:{folder}")


def _check_backbone(folder: Path, seed: int | None, backbone: Any) -> None:
    assert not Path("unpickled").exists()
    assert len(backbone.key) == 16


@cache
def fine_tuned() -> Files:
    """The files of a fine-tuned model."""
    backbone, config = _backbone(), TrainingConfig(epochs=1, batch_size=2)
    head = FusionHead(backbone.embedding_size, 0.1)
    trained = Trained(LastLayer(backbone.model, 1), head, pd.DataFrame(), pd.DataFrame())
    folder = Path(tempfile.mkdtemp(dir=Path.cwd())) / "fine tuned"
    save_fine_tuned(folder, trained, backbone, config)
    return contents(folder)


def _lay_fine_tuned(folder: Path, seed: int | None) -> Path:
    damages = {"weights.safetensors": damaged_safetensors, "fine_tuned.json": damaged_json}
    laid(folder, fine_tuned(), damages, seed)
    return with_sums(folder, seed, "fine_tuned.json", ["weights.safetensors"])


def _load_fine_tuned(folder: Path) -> Any:
    return load_fine_tuned(folder, _backbone())


DOORS = [
    Door("embeddings", maybe_seeds, _lay_pair, _read_pair, None, 1000, _check_pair),
    Door("fine-tuned model", maybe_seeds, _lay_fine_tuned, _load_fine_tuned, None, 300),
    Door("fine-tuned weights", maybe_seeds, _lay_fine_tuned, trained_weights, None, 300),
    Door("backbone", maybe_seeds, _lay_backbone, _load_backbone, None, 40, _check_backbone),
]
