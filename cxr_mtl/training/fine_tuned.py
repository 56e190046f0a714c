"""A fine-tuned model on disk: the trained tensors alone, under their open_clip names."""

from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import content_key, read_json, sha256_of_file, write_beside, write_json
from cxr_mtl.models.backbones import Backbone, FusionHead
from cxr_mtl.training.trainer import Trained, TrainingConfig


def save_fine_tuned(
    folder: Path, trained: Trained, backbone: Backbone, config: TrainingConfig
) -> str:
    """Write `weights.safetensors` and `fine_tuned.json` to `folder`; returns the model's key."""
    tensors = {f"backbone.{n}": t.cpu() for n, t in trained.last_layer.weights().items()}
    tensors |= {f"head.{n}": t.cpu() for n, t in trained.head.state_dict().items()}
    with write_beside(folder) as beside:
        beside.mkdir()
        save_file(tensors, beside / "weights.safetensors")
        digest = sha256_of_file(beside / "weights.safetensors")
        key = content_key(backbone.key, digest)
        about = {
            "source": backbone.source,
            "backbone_key": backbone.key,
            "sha256": digest,
            "key": key,
            "unfrozen_blocks": len(trained.last_layer.image.blocks),
            "training": config.model_dump(mode="json"),
        }
        write_json(beside / "fine_tuned.json", about)
    return key


def load_fine_tuned(folder: Path, backbone: Backbone) -> tuple[Backbone, FusionHead]:
    """Put fine-tuned weights into `backbone.model` (in place) and give the fusion head.

    Raises:
        InputError: a file is missing or damaged, or another backbone was fine-tuned.
    """
    about = read_json(folder / "fine_tuned.json")
    file = folder / "weights.safetensors"
    if about["backbone_key"] != backbone.key:
        raise InputError(
            f"{folder} was fine-tuned from {about['source']} (key {about['backbone_key']}), not "
            f"from {backbone.source} (key {backbone.key}): load the backbone it was trained from"
        )
    if not file.is_file() or sha256_of_file(file) != about["sha256"]:
        raise InputError(f"{file} is missing or damaged: run the training chapter again")
    tensors = load_file(file)
    backbone.model.load_state_dict(_under("backbone.", tensors), strict=False)
    head = FusionHead(backbone.embedding_size, about["training"]["dropout"])
    head.load_state_dict(_under("head.", tensors))
    head.eval()
    return replace(backbone, source=str(folder), key=about["key"]), head


def trained_weights(folder: Path) -> dict[str, Tensor]:
    """The fine-tuned tensors of the last layer, named as in `LastLayer.weights()`."""
    return _under("backbone.", load_file(folder / "weights.safetensors"))


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, torch.Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
