"""Named choices: an unknown one is refused everywhere it can be given."""

from pathlib import Path

import pandas as pd
import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.data.dataset import load_dataset
from cxr_mtl.data.splits import split_studies
from cxr_mtl.data.studies import select_studies
from cxr_mtl.data.views import read_views

NONE = pd.DataFrame()


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("label_rule", lambda x: select_studies(NONE, NONE, Path(), label_rule=x)),
        ("sections", lambda x: select_studies(NONE, NONE, Path(), sections=x)),
        ("deidentification", lambda x: select_studies(NONE, NONE, Path(), deidentification=x)),
        ("view_source", lambda x: read_views(x)),
        ("duplicates", lambda x: split_studies(NONE, seed=0, duplicates=x)),
        ("dataset", lambda x: load_dataset(x)),
    ],
)
def test_an_unknown_choice_is_refused_with_the_known_ones(name, call):
    with pytest.raises(InputError, match=f"{name}='findngs' is no choice: write one of "):
        call("findngs")
