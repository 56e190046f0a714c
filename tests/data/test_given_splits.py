"""A split that is given: every id is matched or told, every study kept or dropped by name."""

import os
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.data.given_splits import check_given_split, part_named, read_split
from cxr_mtl.data.loaded import Dataset, dropped_rows
from cxr_mtl.data.splits import split_studies, write_split


def data(*studies: str, dropped: tuple[str, ...] = ()) -> Dataset:
    """Studies with labels 0, 1, 0, 1, …"""
    table = pd.DataFrame({"study": studies, "text": "t"})
    table["label"] = np.arange(len(studies)) % 2
    return Dataset(table, dropped_rows(dropped, "image missing", dropped))


def split_csv(tmp_path, *rows: str, header: str = "study,split") -> Path:
    path = tmp_path / "published.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


GOOD = ["0,train", "1,Train", "2,val", "CXR3_IM-0001-1001,validation", "4,test", " 5 , TEST "]
SIX = data(*"012345")


def test_a_written_split_is_read_back(tmp_path):
    loaded = data(*map(str, range(70)))
    studies = split_studies(loaded.studies, test_per_class=5, seed=0)
    write_split(tmp_path / "split.csv", studies)
    again = read_split(tmp_path / "split.csv", loaded)
    pd.testing.assert_frame_equal(again.studies, studies)
    assert (len(again.dropped), again.notices) == (0, [])


def test_studies_that_the_split_does_not_name_are_dropped_by_its_name(tmp_path):
    loaded = read_split(split_csv(tmp_path, *GOOD), data(*"01234567", dropped=("9",)))
    assert dict(zip(loaded.studies.study, loaded.studies.split, strict=True)) == {
        "0": "train",
        "1": "train",
        "2": "validation",
        "3": "validation",
        "4": "test",
        "5": "test",
    }
    assert loaded.dropped.study.tolist() == ["9", "6", "7"]
    assert loaded.dropped.reason.tolist() == ["image missing", "not in split", "not in split"]
    assert loaded.dropped.detail[1] == f"{tmp_path / 'published.csv'} does not name it"
    assert [notice.sentence for notice in loaded.notices] == [
        "studies dropped: 3 of 9 (2 x not in split, 1 x image missing); dropped.parquet lists them"
    ]


def test_ids_of_no_study_are_told_and_those_of_dropped_studies_apart(tmp_path):
    rows = [*GOOD, "CXR99_IM-0001,train", "x1,test", "x2,test", "x3,test", "9,test"]
    loaded = read_split(split_csv(tmp_path, *rows), data(*"012345", dropped=("9",)))
    assert [tuple(remark) for remark in loaded.remarks] == [
        (
            "split ids of no study",
            "ids of published.csv that name no study: 4 ('99', 'x1', 'x2' and 1 more)",
            4,
        ),
        (
            "split ids of dropped studies",
            "studies that published.csv names but that were dropped before: 1 (1 x image missing)",
            1,
        ),
    ]


def test_ids_written_otherwise_are_told_with_the_study_they_may_mean(tmp_path):
    rows = [*GOOD, "films/0006.png,train", "0007,train"]
    (remark,) = read_split(split_csv(tmp_path, *rows), data(*"01234567")).remarks
    assert "2 ('films/0006.png', '0007')" in remark.sentence
    assert "; ids of studies written otherwise: 2, as 'films/0006.png' for '6'; write" in (
        remark.sentence
    )


@pytest.mark.parametrize(
    ("wrote", "shown"),
    [
        (lambda i: f"{i}.png", "'0000.png' for '0000'"),
        (lambda i: str(int(i)), "'0' for '0000'"),
        (lambda i: f"films/{i}.dcm.png", "'films/0000.dcm.png' for '0000'"),
        (lambda i: f"C:\\films\\{i}.PNG", "PNG' for '0000'"),
    ],
)
def test_a_split_of_which_no_id_matches_is_refused_with_both_forms(tmp_path, wrote, shown):
    ids = [f"{i:04}" for i in range(6)]
    parts = ["train", "train", "val", "val", "test", "test"]
    path = split_csv(tmp_path, *(f"{wrote(i)},{part}" for i, part in zip(ids, parts, strict=True)))
    with pytest.raises(
        InputError, match=rf"none of the 6 studies.*written otherwise: 6, as.*{shown}"
    ):
        read_split(path, data(*ids))


def test_ids_that_look_the_same_match(tmp_path):
    ids = [f"Müller {i}" for i in range(6)]
    odd = [unicodedata.normalize("NFD", ids[0]), "Müller\u00a01", "\ufeffMüller 2\u200b", *ids[3:]]
    parts = ["train", "train", "val", "val", "test", "test"]
    path = split_csv(tmp_path, *(f"{i},{part}" for i, part in zip(odd, parts, strict=True)))
    loaded = read_split(path, data(*ids))
    assert (len(loaded.studies), loaded.notices) == (6, [])
    path = split_csv(
        tmp_path, *(f"{i},{part}" for i, part in zip(odd, parts, strict=True)), f"{ids[0]},test"
    )
    with pytest.raises(InputError, match="line 8, puts study 'Müller 0' in two parts"):
        read_split(path, data(*ids))


def test_ids_that_a_spreadsheet_rounded_are_told(tmp_path):
    message = r"a spreadsheet has rounded '1.2346E\+11', so format its column as text"
    rows = ["1.2346E+11,train", "1.2346E+11,train"]
    with pytest.raises(InputError, match=rf"none of the 6 studies by its 1 ids; {message}"):
        read_split(split_csv(tmp_path, *rows), data(*(f"12345678901{i}" for i in range(6))))
    with pytest.raises(InputError, match=rf"line 3, puts study .* in two parts: {message}"):
        read_split(split_csv(tmp_path, *rows[1:], "1.2346E+11,test"), SIX)


def test_a_foreign_split_is_refused_without_a_false_remedy(tmp_path):
    path = split_csv(tmp_path, "other,train")
    with pytest.raises(InputError, match="they are like 'other', those of the studies") as told:
        read_split(path, SIX)
    assert "use more studies" not in str(told.value)
    assert "otherwise" not in str(told.value)
    with pytest.raises(InputError, match=r"but 1 that were dropped before .1 x image missing"):
        read_split(path, data(*"012345", dropped=("other",)))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([*GOOD, "CXR3_IM-1,test"], "line 8, puts study '3' in two parts: keep only one"),
        ([*GOOD, "6,dev"], "line 8, names the part 'dev'"),
        (GOOD[:-1], "leaves the test part without any abnormal study: let it name one of each"),
        (["0,train", "x,test"], "train part without any abnormal .* part; of its ids 1 name no st"),
        ([], "has no rows"),
    ],
)
def test_a_bad_split_is_refused(tmp_path, rows, message):
    with pytest.raises(InputError, match=message):
        read_split(split_csv(tmp_path, *rows), SIX)


def test_columns_of_a_split_are_told_as_those_of_any_csv(tmp_path):
    with pytest.raises(InputError, match="did you mean study and split"):
        read_split(split_csv(tmp_path, *GOOD, header="Study,Split"), SIX)
    with pytest.raises(InputError, match="separates its columns by semicolons"):
        read_split(split_csv(tmp_path, "0;train", header="study;split"), SIX)


def test_a_patient_in_two_parts_is_refused_by_name():
    studies = SIX.studies.assign(split=np.repeat(["train", "validation", "test"], 2))
    check_given_split(studies.assign(patient=list("aabbcc")), "it")
    with pytest.raises(InputError, match=r"it puts studies of patient 'b' .* validation and test"):
        check_given_split(studies.assign(patient=list("aabbbc")), "it")


def test_parts_have_the_names_that_published_splits_use():
    assert part_named("valid", "x") == part_named(" VAL", "x") == "validation"


@pytest.mark.skipif("CXR_MTL_TEST_DATA" not in os.environ, reason="CXR_MTL_TEST_DATA is not set")
def test_the_published_r2gen_split_is_read():
    path = Path(os.environ["CXR_MTL_TEST_DATA"]) / "splits" / "r2gen.csv"
    uids = pd.read_csv(path).study.str.extract(r"^CXR(\d+)_")[0]
    loaded = read_split(path, data(*uids[5:], "9999"))
    assert [(remark.about, remark.count) for remark in loaded.remarks] == [
        ("split ids of no study", 5)
    ]
    assert loaded.dropped.study.tolist() == ["9999"]
    assert loaded.studies.split.value_counts().to_dict() == {
        "train": 2064,
        "test": 590,
        "validation": 296,
    }
