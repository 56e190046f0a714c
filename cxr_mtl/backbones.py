"""open_clip models with their preprocessing and tokenizer, and what of them is trained."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

import open_clip
import torch
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor, nn

from cxr_mtl import demo_architecture  # noqa: F401  (registers the demo's image tower with timm)
from cxr_mtl.errors import InputError
from cxr_mtl.files import read_json

HUB_NAMES = {
    "biomedclip": "hf-hub:microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224",
    "clip": "hf-hub:timm/vit_base_patch16_clip_224.openai",
}
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
        return (
            self.model.visual.head[-1].out_features
            if _is_timm(self.model)
            else (self.model.visual.output_dim)
        )

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
    name = HUB_NAMES.get(source, source)
    text_tower = {}
    if name.startswith("local-dir:"):
        text_tower = _check_folder(Path(name.removeprefix("local-dir:")))
    elif not name.startswith("hf-hub:"):
        raise InputError(
            f"unknown backbone {source!r}: give one of {', '.join(HUB_NAMES)}, demo-biomed, "
            "demo-general, hf-hub:OWNER/NAME or local-dir:FOLDER"
        )
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


def _check_folder(folder: Path) -> dict:
    """Name the first missing piece of a model folder; point the text tower at its own files."""
    if not folder.is_dir():
        raise InputError(f"backbone folder {folder} does not exist: check the path")
    config_file = folder / "open_clip_config.json"
    config = read_json(config_file)
    if "model_cfg" not in config:
        raise InputError(f"{config_file} has no 'model_cfg': it is not an open_clip configuration")
    if not any(any(folder.glob(pattern)) for pattern in WEIGHTS):
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


class quiet_open_clip:
    """Keep open_clip's loading chatter, said on the root logger, out of notebooks."""

    def __enter__(self) -> None:
        self._level = logging.root.level
        logging.root.setLevel(logging.ERROR)

    def __exit__(self, *_: object) -> None:
        logging.root.setLevel(self._level)


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


def _is_timm(model: nn.Module) -> bool:
    return isinstance(model.visual, open_clip.timm_model.TimmModel)


def trainable_names(model: nn.Module, unfrozen_blocks: int) -> list[str]:
    """Names of the parameters that fine-tuning changes; all others are frozen.

    The last `unfrozen_blocks` transformer blocks of each tower, the image trunk's final norm
    (when a block is unfrozen) and both projections; 0 leaves the projections alone. This is the
    project's reading of the paper's "last layer"; open_clip's own `lock` is not used because its
    meaning differs between versions.

    Raises:
        InputError: a tower that is neither a timm ViT nor a Hugging Face BERT, or more blocks
            than it has.
    """
    image_blocks, text_blocks = transformer_blocks(model)
    depth = min(len(image_blocks), len(text_blocks))
    if not 0 <= unfrozen_blocks <= depth:
        raise InputError(f"unfrozen_blocks is {unfrozen_blocks}: give a number from 0 to {depth}")
    prefixes = ["visual.head.", "text.proj."]
    if unfrozen_blocks:
        prefixes += ["visual.trunk.norm.", "visual.trunk.fc_norm."]
    for tower, blocks in (
        ("visual.trunk.blocks", image_blocks),
        ("text.transformer.encoder.layer", text_blocks),
    ):
        first = len(blocks) - unfrozen_blocks
        prefixes += [f"{tower}.{number}." for number in range(first, len(blocks))]
    return [name for name, _ in model.named_parameters() if name.startswith(tuple(prefixes))]


def transformer_blocks(model: nn.Module) -> tuple[nn.ModuleList, nn.ModuleList]:
    """The blocks of the image and the text tower.

    Raises:
        InputError: the towers are not a timm ViT with CLS pooling and a Hugging Face BERT with
            the CLS of its last hidden state.
    """
    trunk = getattr(model.visual, "trunk", None)
    if not hasattr(trunk, "blocks") or getattr(trunk, "global_pool", "") != "token":
        raise InputError(
            "fine-tuning needs an image tower that is a timm VisionTransformer with CLS pooling "
            f"(timm_pool 'token'); this one is {type(trunk or model.visual).__name__}"
        )
    text = getattr(model, "text", None)
    pooler = type(getattr(text, "pooler", None)).__name__
    encoder = getattr(getattr(text, "transformer", None), "encoder", None)
    if pooler != "ClsLastHiddenStatePooler" or not hasattr(encoder, "layer"):
        raise InputError(
            "fine-tuning needs a text tower that is a Hugging Face BERT with "
            "hf_pooler_type 'cls_last_hidden_state_pooler'; this one is "
            f"{type(text).__name__ if text is not None else 'built into the model'}"
        )
    return trunk.blocks, encoder.layer


def freeze(model: nn.Module, unfrozen_blocks: int) -> None:
    """Let only `trainable_names(model, unfrozen_blocks)` require gradients."""
    trainable = set(trainable_names(model, unfrozen_blocks))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in trainable)


def trainable_parameters(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """The named parameters that require gradients."""
    return ((name, p) for name, p in model.named_parameters() if p.requires_grad)


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
