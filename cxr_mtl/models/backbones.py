"""open_clip models with their preprocessing and tokenizer, and the head that joins them."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import open_clip
import torch
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor, nn

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import read_json
from cxr_mtl.base.fingerprints import FileState, folder_states
from cxr_mtl.models import demo_architecture  # noqa: F401  (registers the demo's image tower with timm)

HUB_NAMES = {
    "biomedclip": "hf-hub:microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224",
    "clip": "hf-hub:timm/vit_base_patch16_clip_224.openai",
}
LOCAL = "local-dir:"
WEIGHTS = ("*.safetensors", "*.bin", "*.pth")
TOKENIZER_FILES = ("tokenizer.json", "vocab.txt")


@dataclass(frozen=True)
class Backbone:
    """A pretrained CLIP with the preprocessing and tokenizer that belong to its weights.

    `key` is a hash of weights, preprocessing and tokenizer: equal keys give equal embeddings.
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
    holds `open_clip_config.json` and weights and, for a Hugging Face text tower, that tower's
    `config.json` and tokenizer files; nothing is then asked of the network. Weights are read as
    safetensors or with PyTorch's restricted (weights-only) unpickler.

    Raises:
        InputError: unknown name, missing piece of a folder, or weights that do not fit.
    """
    name, text_tower = open_clip_name(source)
    try:
        with quiet_open_clip():
            model, _, preprocess = open_clip.create_model_and_transforms(
                name, require_pretrained=True, **text_tower
            )
            tokenize = open_clip.get_tokenizer(name)
    except UnpicklingError as error:
        raise InputError(
            f"backbone {source!r} cannot be loaded: its weights file holds more than tensors and "
            "is not unpickled; convert it to open_clip_model.safetensors"
        ) from error
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        first_line = str(error).strip().splitlines()[0]
        raise InputError(f"backbone {source!r} cannot be loaded: {first_line}") from error
    model.eval()
    return Backbone(source, model, preprocess, tokenize, _key(model, tokenize))


def open_clip_name(source: str, *, weights: bool = True) -> tuple[str, dict[str, Any]]:
    """What open_clip calls a source, and what makes a local folder's text tower its own.

    Args:
        weights: whether a folder must hold weights, too.

    Raises:
        InputError: unknown name or missing piece of a folder.
    """
    name = HUB_NAMES.get(source, source)
    if name.startswith(LOCAL):
        return name, _check_folder(Path(name.removeprefix(LOCAL)), weights)
    if not name.startswith("hf-hub:"):
        raise InputError(
            f"unknown backbone {source!r}: give one of {', '.join(HUB_NAMES)}, demo-biomed, "
            "demo-general, hf-hub:OWNER/NAME or local-dir:FOLDER"
        )
    return name, {}


def source_files(sources: Iterable[str]) -> list[FileState]:
    """The files of those sources that are folders; the Hub names what it keeps by its content."""
    folders = [Path(s.removeprefix(LOCAL)) for s in sources if s.startswith(LOCAL)]
    return [state for folder in folders for state in folder_states(folder)]


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


def _check_folder(folder: Path, weights: bool) -> dict[str, Any]:
    """Name the first missing piece of a model folder; point the text tower at its own files."""
    if not folder.is_dir():
        raise InputError(f"backbone folder {folder} does not exist: check the path")
    config_file = folder / "open_clip_config.json"
    config = read_json(config_file)
    if "model_cfg" not in config:
        raise InputError(f"{config_file} has no 'model_cfg': it is not an open_clip configuration")
    if weights and not any(any(folder.glob(pattern)) for pattern in WEIGHTS):
        raise InputError(f"{folder} holds no weights: add open_clip_model.safetensors")
    text = config["model_cfg"].get("text_cfg", {})
    if not text.get("hf_model_name"):
        return {}
    if not (folder / "config.json").is_file():
        raise InputError(
            f"{folder} lacks config.json, the text tower's Hugging Face configuration: copy it "
            f"from {text['hf_model_name']}"
        )
    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        raise InputError(
            f"{folder} lacks the tokenizer (tokenizer.json or vocab.txt): copy it from "
            f"{text.get('hf_tokenizer_name') or text['hf_model_name']}"
        )
    return {"text_cfg": text | {"hf_model_name": str(folder), "hf_model_pretrained": False}}


def _key(model: nn.Module, tokenize: Callable[[list[str]], Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy())
    preprocessing = open_clip.model.get_model_preprocess_cfg(model)
    digest.update(json.dumps(preprocessing, sort_keys=True, default=str).encode())
    digest.update(_vocabulary(tokenize).encode())
    return digest.hexdigest()[:16]


def _vocabulary(tokenize: Callable[[list[str]], Tensor]) -> str:
    huggingface = getattr(tokenize, "tokenizer", None)
    words = huggingface.get_vocab() if huggingface is not None else tokenize.encoder
    return json.dumps([tokenize.context_length, sorted(words.items(), key=lambda item: item[1])])
