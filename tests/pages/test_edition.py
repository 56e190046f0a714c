"""Which run a build shows, and names that it refuses."""

from types import SimpleNamespace

import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.pages.edition import add_config_values, read_edition


def test_an_empty_variable_names_the_default(monkeypatch):
    monkeypatch.setenv("CXR_MTL_RUN", "mine")
    monkeypatch.setenv("CXR_MTL_REFERENCE", "")
    monkeypatch.delenv("CXR_MTL_REPOSITORY", raising=False)
    values = {}

    def add(name, default, *_):
        values[name] = default

    add_config_values(SimpleNamespace(add_config_value=add))
    assert values == {
        "cxr_mtl_run": "mine",
        "cxr_mtl_reference": "demo",
        "cxr_mtl_repository": "",
    }


@pytest.mark.parametrize(
    ("run", "reference", "repository", "words"),
    [
        ("../x", "demo", "", "the run name '../x'"),
        ("demo", "a b", "", "the run name 'a b'"),
        ("demo", "demo", "cxr", "'cxr' names no repository"),
    ],
)
def test_names_that_lead_elsewhere_are_refused(tmp_path, run, reference, repository, words):
    config = SimpleNamespace(
        cxr_mtl_run=run, cxr_mtl_reference=reference, cxr_mtl_repository=repository
    )
    with pytest.raises(InputError, match=words):
        read_edition(SimpleNamespace(config=config, srcdir=tmp_path))
