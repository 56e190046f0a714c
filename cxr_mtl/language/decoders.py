"""Language models that read reports: decoders from the package index, a folder or the Hub."""

import hashlib
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import user_path
from cxr_mtl.base.quiet import Quiet
from cxr_mtl.models.backbones import HUB, LOCAL
from cxr_mtl.models.model_trials import reason_of
from cxr_mtl.models.packaged_files import SMOLLM2

FILES = ["config.json", "*.safetensors", "*.safetensors.index.json", "token*", "vocab*", "merges*"]
"""What is fetched of a model at the Hub: nothing that is unpickled or run."""
_PARTS = {"embed_tokens": nn.Embedding, "layers": nn.ModuleList, "norm": nn.Module}
_NAMELESS = ("_name_or_path", "transformers_version", "architectures", "quantization_config")

_quiet = Quiet("transformers")


@dataclass(frozen=True)
class LanguageModel:
    """A decoder that reads texts, and the tokenizer that belongs to its weights.

    Args:
        decoder: token embeddings, causal blocks and final norm, in eval mode, float32, on the CPU,
            without gradients.
        head: the linear map from a state to the logits of the next token.
        key: a hash of weights, configuration and tokenizer: equal keys give equal states.
    """

    source: str
    decoder: PreTrainedModel
    head: nn.Module
    tokenizer: PreTrainedTokenizerBase
    key: str

    @property
    def depth(self) -> int:
        """Number of blocks."""
        return len(self.decoder.layers)

    @property
    def width(self) -> int:
        """Length of a state."""
        return self.decoder.config.hidden_size


def load_language_model(source: str) -> LanguageModel:
    """Load a causal language model as a reader of texts.

    `source` is `smollm2` (SmolLM2-135M-Instruct, which comes with the environment),
    `hf-hub:OWNER/NAME` or `local-dir:FOLDER`. A folder holds what `save_pretrained` writes, with
    safetensors, or one GGUF file.

    Raises:
        InputError: unknown name, no such model at the Hub, files that are missing, damaged or
            other ones than expected, or a model that is no decoder of plain blocks.
    """
    folder, gguf = _place(source.strip())
    options = {"gguf_file": gguf} if gguf else {"use_safetensors": True}
    with _quiet, _no_progress_bars():
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, **_only(options, "gguf_file"))
            whole = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **options)
        # What a foreign configuration, tokenizer or GGUF raises can be anything.
        except Exception as error:
            raise InputError(
                f"language model {source!r} cannot be built from {folder} ({reason_of(error)}): "
                "bring a causal model of Hugging Face's form, with safetensors and its tokenizer, "
                "or a GGUF file of an architecture that transformers reads"
            ) from error
    decoder = whole.requires_grad_(False).base_model
    _check_parts(source, decoder)
    # Once read, the weights are plain float32 ones, and are saved as such.
    for config in (whole.config, decoder.config):
        vars(config).pop("quantization_config", None)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "right"
    key = _key(decoder, whole.get_output_embeddings(), tokenizer)
    return LanguageModel(source, decoder.eval(), whole.get_output_embeddings(), tokenizer, key)


def _place(source: str) -> tuple[Path, str | None]:
    """The folder of a model's files, and the name of its GGUF file where it is one."""
    if source == "smollm2":
        path = SMOLLM2.path(*SMOLLM2.sha256)
        return path.parent, path.name
    if source.startswith(HUB):
        return _fetched(source), None
    if not source.startswith(LOCAL):
        raise InputError(
            f"unknown language model {source!r}: give smollm2, hf-hub:OWNER/NAME or "
            "local-dir:FOLDER"
        )
    folder = user_path(source.removeprefix(LOCAL))
    if not folder.is_dir():
        raise InputError(f"language model folder {folder} does not exist: correct its path")
    found = sorted(path.name for path in folder.glob("*.gguf"))
    if len(found) > 1:
        raise InputError(
            f"{folder} holds {len(found)} GGUF files ({', '.join(found[:3])}): leave one there"
        )
    return folder, found[0] if found else None


def _fetched(source: str) -> Path:
    try:
        return Path(snapshot_download(source.removeprefix(HUB), allow_patterns=FILES))
    # The Hub's errors are many; each says what is wrong, and the remedy is the same.
    except Exception as error:
        raise InputError(
            f"language model {source} cannot be fetched ({reason_of(error)}): check the name and "
            "the connection, agree to the model's terms where it has some, or fetch it elsewhere "
            "and give its folder as local-dir:FOLDER"
        ) from error


def _check_parts(source: str, decoder: nn.Module) -> None:
    missing = [
        name for name, kind in _PARTS.items() if not isinstance(getattr(decoder, name, None), kind)
    ]
    if missing:
        raise InputError(
            f"language model {source!r} is a {type(decoder).__name__}, which has no "
            f"{' and no '.join(missing)}: take a decoder of Llama's form (Llama, Qwen, Mistral)"
        )


def _key(decoder: PreTrainedModel, head: nn.Module, tokenizer: PreTrainedTokenizerBase) -> str:
    digest = hashlib.sha256()
    tensors = {**decoder.state_dict(), "head": head.weight.detach()}
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy())
    config = {k: v for k, v in decoder.config.to_dict().items() if k not in _NAMELESS}
    parts = [config, json.loads(tokenizer.backend_tokenizer.to_str()), tokenizer.pad_token_id]
    digest.update(json.dumps(parts, sort_keys=True, default=str).encode())
    return digest.hexdigest()[:16]


@contextmanager
def _no_progress_bars() -> Iterator[None]:
    enabled = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        with redirect_stderr(io.StringIO()):  # reading a GGUF draws a bar whatever is asked for
            yield
    finally:
        if enabled:
            transformers_logging.enable_progress_bar()


def _only(options: dict[str, object], name: str) -> dict[str, object]:
    return {name: options[name]} if name in options else {}
