"""open_clip models with their preprocessing and tokenizer, and the head that joins them."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import open_clip
import torch
from PIL import Image
from pydantic import BaseModel
from torch import Tensor, nn

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.file_hashes import FileState, folder_states
from cxr_mtl.base.files import read_json, read_json_as, user_path
from cxr_mtl.models import demo_architecture  # noqa: F401  (registers the demo's image tower with timm)
from cxr_mtl.models.hub import hub_model
from cxr_mtl.models.model_folder import (
    CONFIG,
    check_depth,
    model_folder,
    text_tower_of,
    weights_in,
)
from cxr_mtl.models.model_keys import model_key
from cxr_mtl.models.model_trials import check_token_ids, reason_of, try_model, try_tokenizer
from cxr_mtl.models.weights_file import check_weights, load_weights

HUB, LOCAL = "hf-hub:", "local-dir:"
_RECORD_AGAIN = "run 02_model again"

HUB_NAMES = {
    "biomedclip": "hf-hub:microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224",
    "clip": "hf-hub:timm/vit_base_patch16_clip_224.openai",
}


@dataclass(frozen=True)
class Backbone:
    """A pretrained CLIP with the preprocessing and tokenizer that belong to its weights.

    `key` is a hash of weights, configuration, preprocessing and tokenizer: equal keys give equal
    embeddings.
    """

    source: str
    model: nn.Module
    preprocess: Callable[[Image.Image], Tensor]
    tokenize: Callable[[list[str]], Tensor]
    key: str

    @property
    def embedding_size(self) -> int:
        """Length of an image or text embedding."""
        visual = self.model.visual
        is_timm = isinstance(visual, open_clip.timm_model.TimmModel)
        return visual.head[-1].out_features if is_timm else visual.output_dim

    @property
    def learned_temperature(self) -> float:
        """The temperature the backbone was pretrained to: 1 / exp(logit scale)."""
        return float((-self.model.logit_scale.detach().float()).exp())


def load_backbone(source: str) -> Backbone:
    """Load an open_clip model in eval mode, on the CPU, in float32.

    `source` is `biomedclip`, `clip`, `hf-hub:OWNER/NAME`, or `local-dir:FOLDER`. A local folder
    holds `open_clip_config.json` and one file of weights and, for a Hugging Face text tower, that
    tower's `config.json` and tokenizer files; nothing is then asked of the network. The file is
    safetensors or a PyTorch one, a checkpoint of open_clip's own training among them, and is read
    as tensors only.

    Raises:
        InputError: unknown name, missing or unusable piece of a folder, no such model at the
            Hub, weights that do not fit, or pieces that do not go together.
    """
    name, text_tower = open_clip_name(source)
    if name.startswith(HUB):
        config, weights = hub_model(name.removeprefix(HUB))
    else:
        folder = Path(name.removeprefix(LOCAL))
        config, weights = folder / CONFIG, weights_in(folder)
    names = check_weights(weights)
    check_depth(config.parent, len(names))
    options = {"load_weights": False, "pretrained_text": False, **text_tower}
    try:
        with quiet_open_clip():
            _check_size(config, weights, name, options)
            model, _, preprocess = open_clip.create_model_and_transforms(name, **options)
            tokenize = open_clip.get_tokenizer(name)
            ids = try_tokenizer(tokenize)
    except InputError:
        raise
    # What a foreign configuration or tokenizer raises can be anything.
    except Exception as error:
        raise InputError(
            f"backbone {source!r} cannot be built from {config} and its tokenizer "
            f"({reason_of(error)}): correct them, or bring those that belong to the weights"
        ) from error
    check_token_ids(source, tokenize, model.vocab_size)
    load_weights(model.float(), weights, names)  # a config.json may name another precision
    model.eval()
    try_model(config, model, preprocess, tokenize, ids)
    key = model_key(model, read_json(config)["model_cfg"], tokenize)
    return Backbone(source, model, preprocess, tokenize, key)


class _Recorded(BaseModel):
    source: str
    key: str


class _Models(BaseModel):
    """What is relied on in a run's `models.json`."""

    fine_tuned_from: _Recorded
    general: _Recorded


def load_recorded(record: Path, role: Literal["fine_tuned_from", "general"]) -> Backbone:
    """Load a model that chapter 2 recorded in a run's `models.json`, the same as it was then.

    Raises:
        InputError: as in `load_backbone`, the record is missing or damaged, or another model lies
            at the place that it names.
    """
    recorded: _Recorded = getattr(read_json_as(_Models, record, _RECORD_AGAIN), role)
    backbone = load_backbone(recorded.source)
    if backbone.key != recorded.key:
        raise InputError(
            f"{backbone.source} is another model (key {backbone.key}) than {record} names (key "
            f"{recorded.key}): put that one back, or {_RECORD_AGAIN}, with --force where it counts "
            "as fresh"
        )
    return backbone


def open_clip_name(source: str) -> tuple[str, dict[str, Any]]:
    """What open_clip calls a source, and what makes a local folder's text tower its own.

    Raises:
        InputError: unknown name, or missing or unusable piece of a folder, its weights aside.
    """
    name = HUB_NAMES.get(source.strip(), source.strip())
    if name.startswith(LOCAL):
        folder = model_folder(name.removeprefix(LOCAL))
        return f"{LOCAL}{folder}", text_tower_of(folder)
    if not name.startswith(HUB):
        raise InputError(
            f"unknown backbone {source!r}: give one of {', '.join(HUB_NAMES)}, demo-biomed, "
            "demo-general, hf-hub:OWNER/NAME or local-dir:FOLDER"
        )
    return name, {}


def source_files(sources: Iterable[str]) -> list[FileState]:
    """The files of those sources that are folders; the Hub names what it keeps by its content."""
    folders = [user_path(s.removeprefix(LOCAL)) for s in sources if s.startswith(LOCAL)]
    return [state for folder in folders for state in folder_states(folder)]


def _check_size(config: Path, weights: Path, name: str, options: dict[str, Any]) -> None:
    """Refuse to make room for more weights than the file has bytes."""
    with torch.device("meta"):
        model = open_clip.create_model(name, device="meta", **options)
    count, size = sum(p.numel() for p in model.parameters()), weights.stat().st_size
    if count > size:
        raise InputError(
            f"{config} describes a model of {count:,} weights, more than the {size:,} bytes of "
            f"{weights} can hold: bring the two that belong together"
        )


class quiet_open_clip:
    """Keep open_clip's loading chatter, said on the root logger, out of notebooks."""

    def __enter__(self) -> None:
        self._level = logging.root.level
        logging.root.setLevel(logging.ERROR)

    def __exit__(self, *_: object) -> None:
        logging.root.setLevel(self._level)


class FusionHead(nn.Module):
    """The paper's classifier: H = Dropout((V + T) / 2), logit = Linear(H), abnormal positive.

    V and T are the embeddings before L2 normalisation.
    Shapes: two [batch, dim] -> [batch].
    """

    def __init__(self, embedding_size: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(embedding_size, 1)

    def forward(self, image_embeddings: Tensor, text_embeddings: Tensor) -> Tensor:
        fused = self.dropout((image_embeddings + text_embeddings) / 2)
        return self.linear(fused).squeeze(-1)
