"""A folder with an OpenCLIP model: which pieces it must hold, and what is believed of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import read_json, read_json_as, user_path
from cxr_mtl.models.weights_file import ENDINGS, OTHER_ENDINGS, check_no_pointer

CONFIG = "open_clip_config.json"
TOWER_CONFIG = "config.json"
TOKENIZER_FILES = ("tokenizer.json", "vocab.txt")
DEPTHS = ("layers", "num_hidden_layers", "depth")

LONGEST_CONTEXT = 100_000
COUNTED_FROM_PADDING = ("roberta", "xlm-roberta")
"""Text towers whose first position is the one after `pad_token_id`."""

_BELONGING = "bring the one that belongs to the weights"


class _TextConfig(BaseModel):
    context_length: Annotated[int, Field(ge=3, le=LONGEST_CONTEXT)] = 77
    vocab_size: int = 49408
    hf_model_name: str | None = None
    hf_tokenizer_name: str | None = None


class _ModelConfig(BaseModel):
    embed_dim: int
    vision_cfg: dict[str, Any]
    text_cfg: _TextConfig


_THREE = Field(min_length=3, max_length=3)


class _Preprocessing(BaseModel):
    mean: Annotated[list[float], _THREE] | None = None
    std: Annotated[list[Annotated[float, Field(gt=0)]], _THREE] | None = None
    mode: Literal["RGB"] | None = None
    interpolation: Literal["bicubic", "bilinear", "random"] | None = None
    resize_mode: Literal["shortest", "longest", "squash"] | None = None


class _Config(BaseModel):
    """What is relied on in `open_clip_config.json`."""

    model_config = ConfigDict(protected_namespaces=())

    model_cfg: _ModelConfig
    preprocess_cfg: _Preprocessing = _Preprocessing()


class _TowerConfig(BaseModel):
    """What is relied on in the `config.json` of a text tower."""

    model_type: str | None = None
    vocab_size: int | None = None
    max_position_embeddings: int | None = None
    pad_token_id: int | None = None


def model_folder(text: str) -> Path:
    """The folder that a source `local-dir:` names; `~` is the user's home.

    Raises:
        InputError: it is missing or is a file.
    """
    if not text.strip():
        raise InputError("local-dir: names no folder: write local-dir:FOLDER")
    folder = user_path(text)
    if folder.is_file():
        raise InputError(
            f"{folder} is a file: name the folder that holds it, local-dir:{folder.parent}"
        )
    if not folder.is_dir():
        raise InputError(f"backbone folder {folder} does not exist: correct its path")
    return folder


def text_tower_of(folder: Path) -> dict[str, Any]:
    """Name the first missing or unusable piece of a model folder, its weights aside.

    Returns:
        What open_clip must be told so that a Hugging Face text tower comes from this folder.

    Raises:
        InputError: a piece is missing or damaged, or asks to run code of its own.
    """
    if not (folder / CONFIG).exists():
        raise InputError(f"{folder} lacks {CONFIG}: {_instead(folder)}")
    check_config(folder / CONFIG)
    text = read_json(folder / CONFIG)["model_cfg"]["text_cfg"]
    if not text.get("hf_model_name"):
        return {}
    if not (folder / TOWER_CONFIG).is_file():
        raise InputError(
            f"{folder} lacks {TOWER_CONFIG}, the text tower's Hugging Face configuration: copy it "
            f"from {text['hf_model_name']}"
        )
    tokenizer = [name for name in TOKENIZER_FILES if (folder / name).is_file()]
    if not tokenizer:
        raise InputError(
            f"{folder} lacks the tokenizer (tokenizer.json or vocab.txt): copy it from "
            f"{text.get('hf_tokenizer_name') or text['hf_model_name']}"
        )
    for name in (TOWER_CONFIG, *tokenizer):
        check_no_pointer(folder / name)
    for name in (TOWER_CONFIG, "tokenizer_config.json"):
        if (folder / name).exists():
            _check_runs_no_code(folder / name)
    _check_context(folder)
    return {"text_cfg": text | {"hf_model_name": str(folder), "hf_model_pretrained": False}}


def vocabulary_of(folder: Path) -> int | None:
    """How many words the text tower of a checked folder knows, where its configuration tells."""
    text = read_json_as(_Config, folder / CONFIG, _BELONGING).model_cfg.text_cfg
    if not text.hf_model_name:
        return text.vocab_size
    return read_json_as(_TowerConfig, folder / TOWER_CONFIG, _BELONGING).vocab_size


def check_config(path: Path) -> None:
    """Refuse an `open_clip_config.json` that describes no model, or asks to run code.

    Raises:
        InputError: which field is missing or of another type, or what asks to run code.
    """
    check_no_pointer(path)
    read_json_as(_Config, path, _BELONGING)
    _check_runs_no_code(path)


def weights_in(folder: Path) -> Path:
    """The one file of weights in a model folder.

    Raises:
        InputError: there is none, or more than one: which.
    """
    found = sorted(path for path in folder.iterdir() if path.suffix in ENDINGS)
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise InputError(f"{folder} holds {len(found)} files of weights ({names}): keep one there")
    if not found:
        others = sorted(
            f"{path.name} is of {OTHER_ENDINGS[path.suffix]}"
            for path in folder.iterdir()
            if path.suffix in OTHER_ENDINGS
        )
        only = f", {' and '.join(others)}" if others else ""
        raise InputError(f"{folder} holds no weights{only}: add open_clip_model.safetensors")
    return found[0]


def check_depth(folder: Path, tensors: int) -> None:
    """Refuse a configuration of more layers, each to be built, than the weights have tensors.

    Raises:
        InputError: which file names how many.
    """
    for name in (CONFIG, TOWER_CONFIG):
        path = folder / name
        for key, value in _fields(read_json(path)) if path.exists() else ():
            if key in DEPTHS and isinstance(value, int) and value > tensors:
                raise InputError(
                    f"{path} names {value:,} {key} for weights of {tensors} tensors: {_BELONGING}"
                )


def _check_context(folder: Path) -> None:
    """Refuse a context beyond the positions that a Hugging Face text tower has."""
    context = read_json_as(_Config, folder / CONFIG, _BELONGING).model_cfg.text_cfg.context_length
    tower = read_json_as(_TowerConfig, folder / TOWER_CONFIG, _BELONGING)
    positions = tower.max_position_embeddings
    if positions is None:
        return
    if tower.model_type in COUNTED_FROM_PADDING and tower.pad_token_id is not None:
        positions -= tower.pad_token_id + 1
    if context > positions:
        raise InputError(
            f"{folder / CONFIG} names a context_length of {context:,} tokens, and the "
            f"max_position_embeddings of {folder / TOWER_CONFIG} ({tower.max_position_embeddings:,}"
            f") leave room for {positions:,}: give at most that many"
        )


def _check_runs_no_code(path: Path) -> None:
    for key, value in _fields(read_json(path, _BELONGING)):
        if key in ("auto_map", "trust_remote_code") and value:
            raise InputError(
                f"{path} asks by {key} to run code that comes with the model, which is not done: "
                "take a model without"
            )


def _fields(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key with its value, at any depth."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            yield from value.items()
            waiting += value.values()


def _instead(folder: Path) -> str:
    """What to do about a folder without a configuration, by what else it holds."""
    deeper = sorted([*folder.glob(f"*/{CONFIG}"), *folder.glob(f"snapshots/*/{CONFIG}")])
    if deeper:
        return f"{deeper[0].parent} has one, so name that folder"
    other = folder / TOWER_CONFIG  # beside weights of OpenCLIP's it is that of their text tower
    if other.is_file() and not any(folder.glob("open_clip_*")):
        config = read_json(other, _BELONGING)
        kind = config.get("model_type") if isinstance(config, dict) else None
        if kind:
            return (
                f"its {TOWER_CONFIG} is that of a Hugging Face transformers model ({kind}), so "
                "fetch the same model in OpenCLIP's form"
            )
    return f"a model folder holds {CONFIG} and one file of weights, so copy both there"
