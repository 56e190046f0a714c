"""A model that the Hub does not give is told with the Hub's own reason."""

import pytest
from huggingface_hub import errors

from cxr_mtl.base.errors import InputError
from cxr_mtl.models import hub
from cxr_mtl.models.backbones import load_backbone


def unmade(kind):
    """An error of the Hub without the answer of a server that its maker wants."""
    error = kind.__new__(kind)
    error.args = ("said by the Hub",)
    return error


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (errors.RepositoryNotFoundError, "is not at the Hub, or is private: correct its name, or"),
        (errors.GatedRepoError, "is given to those who have agreed to its terms: agree to them"),
        (errors.RemoteEntryNotFoundError, "has no open_clip_config.json: take a model in OpenCLIP"),
        (errors.LocalEntryNotFoundError, "cannot be fetched, the Hugging Face Hub does not answer"),
        (errors.OfflineModeIsEnabled, "cannot be fetched, the Hugging Face Hub does not answer"),
        (ConnectionResetError, "cannot be fetched, the Hugging Face Hub does not answer"),
    ],
)
def test_why_a_model_cannot_be_fetched_is_told(monkeypatch, kind, said):
    def refuse(*_):
        raise unmade(kind)

    monkeypatch.setattr(hub, "hf_hub_download", refuse)
    with pytest.raises(InputError, match=f"^hf-hub:owner/name {said}"):
        load_backbone("hf-hub:owner/name")


@pytest.mark.parametrize("name", ["a b/c", "a/b/c", "", "../x"])
def test_a_name_that_no_model_can_have_is_told(name):
    with pytest.raises(InputError, match="names no model of the Hub: write hf-hub:OWNER/NAME"):
        load_backbone(f"hf-hub:{name}")


def test_weights_that_cannot_be_fetched_are_told_too(monkeypatch, untrained_folder):
    def fetch(repository, name):
        if name == hub.CONFIG:
            return str(untrained_folder / name)
        raise unmade(errors.LocalEntryNotFoundError)

    def several_names(repository):
        raise FileNotFoundError("Failed to download file. Last error: none that helps")

    monkeypatch.setattr(hub, "hf_hub_download", fetch)
    monkeypatch.setattr(hub, "download_pretrained_from_hf", several_names)
    with pytest.raises(InputError, match="cannot be fetched, the Hugging Face Hub does not answer"):
        load_backbone("hf-hub:owner/name")
