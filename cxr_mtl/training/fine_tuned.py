"""A fine-tuned model on disk: the trained tensors alone, under their open_clip names."""

from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, Field
from safetensors.torch import save_file
from torch import Tensor

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import (
    content_key,
    inside,
    read_json_as,
    sha256_of_file,
    write_beside,
    write_json,
)
from cxr_mtl.models.backbones import Backbone, FusionHead
from cxr_mtl.models.weights_file import read_tensors
from cxr_mtl.training.trainer import Trained, TrainingConfig

WEIGHTS = "weights.safetensors"
BACKBONE, HEAD = "backbone.", "head."
_AGAIN = "run the training chapter again"


def save_fine_tuned(
    folder: Path, trained: Trained, backbone: Backbone, config: TrainingConfig
) -> str:
    """Write `weights.safetensors` and `fine_tuned.json` to `folder`; returns the model's key."""
    tensors = {f"{BACKBONE}{n}": t.cpu() for n, t in trained.last_layer.weights().items()}
    tensors |= {f"{HEAD}{n}": t.cpu() for n, t in trained.head.state_dict().items()}
    with write_beside(folder) as beside:
        beside.mkdir()
        save_file(tensors, beside / WEIGHTS)
        digest = sha256_of_file(beside / WEIGHTS)
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


class _Training(BaseModel):
    dropout: float = Field(ge=0, lt=1)


class FineTuned(BaseModel):
    """What `fine_tuned.json` says of a model: what it was trained from, and its keys."""

    source: str
    backbone_key: str
    sha256: str
    key: str
    training: _Training


def read_fine_tuned(folder: Path) -> FineTuned:
    """What is said of the fine-tuned model in `folder`.

    Raises:
        InputError: there is none, or its record is damaged.
    """
    return read_json_as(FineTuned, inside(folder, "fine_tuned.json"), _AGAIN)


def load_fine_tuned(folder: Path, backbone: Backbone) -> tuple[Backbone, FusionHead]:
    """Put fine-tuned weights into `backbone.model` (in place) and give the fusion head.

    Raises:
        InputError: a file is missing or damaged or leads out of the folder, another backbone was
            fine-tuned, or the weights are not those of its last layer and a head.
    """
    about = read_fine_tuned(folder)
    file = inside(folder, WEIGHTS)
    if about.backbone_key != backbone.key and about.source == backbone.source:
        raise InputError(
            f"{backbone.source} is another model (key {backbone.key}) than the one that {folder} "
            f"was fine-tuned from (key {about.backbone_key}): put that one back, or {_AGAIN}"
        )
    if about.backbone_key != backbone.key:
        raise InputError(
            f"{folder} was fine-tuned from {about.source} (key {about.backbone_key}), not "
            f"from {backbone.source} (key {backbone.key}): load the backbone it was trained from"
        )
    if not file.is_file() or sha256_of_file(file) != about.sha256:
        raise InputError(f"{file} is missing or damaged: {_AGAIN}")
    tensors = _tensors(file)
    head = FusionHead(backbone.embedding_size, about.training.dropout)
    for prefix, module in ((BACKBONE, backbone.model), (HEAD, head)):
        try:
            own = _under(prefix, tensors)
            fits = module.load_state_dict(own, strict=False)
        except RuntimeError as error:
            raise InputError(f"{file} holds weights of other shapes: {_AGAIN}") from error
        if not own or fits.unexpected_keys or (prefix == HEAD and fits.missing_keys):
            raise InputError(f"{file} does not hold the weights of a last layer and head: {_AGAIN}")
    head.eval()
    return replace(backbone, source=str(folder), key=about.key), head


def trained_weights(folder: Path) -> dict[str, Tensor]:
    """The fine-tuned tensors of the last layer, named as in `LastLayer.weights()`.

    Raises:
        InputError: their file is missing or damaged.
    """
    return _under(BACKBONE, _tensors(inside(folder, WEIGHTS)))


def _tensors(file: Path) -> dict[str, Tensor]:
    return read_tensors(file, _AGAIN)[1]


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
