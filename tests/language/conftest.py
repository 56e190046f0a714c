"""A language model of four tiny blocks."""

import pytest
from small_language_model import write_language_model

from cxr_mtl.language.decoders import load_language_model


@pytest.fixture(scope="session")
def language_folder(tmp_path_factory):
    return write_language_model(tmp_path_factory.mktemp("language model"))


@pytest.fixture
def language_model(language_folder):
    return load_language_model(f"local-dir:{language_folder}")
