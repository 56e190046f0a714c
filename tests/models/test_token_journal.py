"""A store's account of itself is believed only as far as its files go."""

import json
import shutil

import pytest
import torch

from cxr_mtl.base.errors import InputError
from cxr_mtl.models.token_store import TokenStore, fill_store

LENGTHS = torch.tensor([2, 3, 1])


def compute(rows):
    longest = int(LENGTHS[rows].max())
    return torch.ones(len(rows), longest, 4), torch.ones(len(rows), 4)


def fill(folder):
    return fill_store(folder, LENGTHS, 4, torch.float32, compute, about={})


@pytest.fixture
def store(tmp_path):
    fill(tmp_path / "store")
    return tmp_path / "store"


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": 1}, "is a store of another version"),
        ({"format": "2"}, r"about\.json is damaged at format"),
        ({"dtype": "load"}, r"about\.json is damaged at dtype"),
        ({"width": 0}, r"about\.json is damaged at width"),
        ({"width": 1 << 40}, r"about\.json is damaged at width"),
        ({"width": 5}, r"tokens\.bin is damaged \(it is missing or has not 120 bytes\)"),
        ({"lengths": []}, r"about\.json is damaged at lengths"),
        ({"lengths": [2, 3, "1"]}, r"about\.json is damaged at lengths\.2"),
        ({"lengths": [2, 3, -1]}, r"about\.json is damaged at lengths\.2"),
        ({"lengths": [2, 3, 1 << 62]}, r"about\.json is damaged at lengths\.2"),
        (
            {"lengths": [2, 3, 1 << 19]},
            r"tokens\.bin is damaged \(it is missing or has not 8,388,688",
        ),
    ],
)
def test_a_kind_that_the_files_do_not_bear_out_is_told(store, changes, said):
    edit(store / "about.json", **changes)
    with pytest.raises(InputError, match=said):
        TokenStore.open(store)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"shards": {}}, r"shards\.json is damaged at shards"),
        ({"shards": [3]}, r"shards\.json is damaged at shards\.0"),
        ({"shards": []}, r"shards\.json is not of this store's shards: delete it and run again"),
        ({"shards": [{"x": "y"}]}, r"shards\.json is not of this store's shards"),
        ({"verified": 3}, r"shards\.json is damaged at verified"),
    ],
)
def test_a_journal_of_another_kind_is_told_and_its_deletion_mends_it(store, changes, said):
    edit(store / "shards.json", **changes)
    for use in (TokenStore.open, fill):
        with pytest.raises(InputError, match=said):
            use(store)
    (store / "shards.json").unlink()
    assert len(fill(store)) == 3


@pytest.mark.parametrize("name", ["about.json", "shards.json"])
def test_no_record_leads_out_of_the_store(store, name):
    shutil.move(store / name, store.parent / name)
    (store / name).symlink_to(store.parent / name)
    with pytest.raises(InputError, match="leads out of"):
        TokenStore.open(store)
