"""Models of the Hugging Face Hub: fetched once, or told why not."""

from pathlib import Path

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)
from open_clip.pretrained import HF_WEIGHTS_NAME, download_pretrained_from_hf

from cxr_mtl.base.errors import InputError
from cxr_mtl.models.model_folder import CONFIG, check_config

_UNREACHED = (
    "cannot be fetched, the Hugging Face Hub does not answer: check the connection, or fetch the "
    "model elsewhere and give its folder as local-dir:FOLDER"
)
_SENTENCES = (
    (HFValidationError, "names no model of the Hub: write hf-hub:OWNER/NAME"),
    (
        GatedRepoError,
        "is given to those who have agreed to its terms: agree to them on its page at "
        "huggingface.co and log in with `hf auth login`",
    ),
    (
        RepositoryNotFoundError,
        "is not at the Hub, or is private: correct its name, or log in with `hf auth login`",
    ),
    (LocalEntryNotFoundError, _UNREACHED),
    (EntryNotFoundError, "has no {name}: take a model in OpenCLIP's form"),
    (OSError, _UNREACHED),
)
"""What the Hub's errors mean; the first that an error belongs to counts."""


def hub_model(repository: str) -> tuple[Path, Path]:
    """The configuration and the weights of a model OWNER/NAME, fetched into the Hub's own cache.

    Raises:
        InputError: no network, no such model or no leave to fetch it, it is not in OpenCLIP's
            form, or its configuration is unusable.
    """
    config = hub_configuration(repository)
    try:
        return config, Path(download_pretrained_from_hf(repository))
    except FileNotFoundError:
        # open_clip tries several names and tells nothing of why: ask once more for the last one.
        return config, _fetched(repository, HF_WEIGHTS_NAME)


def hub_configuration(repository: str) -> Path:
    """The configuration of a model OWNER/NAME alone; errors as of `hub_model`."""
    config = _fetched(repository, CONFIG)
    check_config(config)
    return config


def _fetched(repository: str, name: str) -> Path:
    try:
        return Path(hf_hub_download(repository, name))
    except tuple(kind for kind, _ in _SENTENCES) as error:
        sentence = next(words for kind, words in _SENTENCES if isinstance(error, kind))
        raise InputError(f"hf-hub:{repository} {sentence.format(name=name)}") from error
