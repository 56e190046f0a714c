"""Splits: exact sizes, no study and no duplicate in two parts, bad CSVs refused."""

import numpy as np
import pandas as pd
import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.data.splits import (
    duplicate_ceiling,
    duplicates_across_parts,
    normalise_text,
    split_studies,
)


def table(normal: int, abnormal: int, texts: list[str] | None = None) -> pd.DataFrame:
    n = normal + abnormal
    return pd.DataFrame(
        {
            "study": [str(i) for i in range(n)],
            "text": texts or [f"text {i}" for i in range(n)],
            "label": [0] * normal + [1] * abnormal,
        }
    )


def sizes_by_part(studies: pd.DataFrame) -> dict[tuple[str, int], int]:
    return studies.groupby(["split", "label"]).size().to_dict()


def test_the_papers_sizes_come_out():
    studies = split_studies(table(1406, 2260), seed=0)
    assert sizes_by_part(studies) == {
        ("test", 0): 200,
        ("test", 1): 200,
        ("train", 0): 1085,
        ("train", 1): 1854,
        ("validation", 0): 121,
        ("validation", 1): 206,
    }


def test_a_seed_gives_one_split_whatever_the_order_of_the_rows():
    studies = table(40, 60)
    first = split_studies(studies, test_per_class=10, seed=1)
    again = split_studies(studies.sample(frac=1, random_state=0), test_per_class=10, seed=1)
    other = split_studies(studies, test_per_class=10, seed=2)
    assert again.sort_index().split.tolist() == first.split.tolist()
    assert other.split.tolist() != first.split.tolist()


def test_every_study_is_as_likely_in_the_test_set():
    drawn = np.zeros(20)
    for seed in range(400):
        drawn += (split_studies(table(10, 10), test_per_class=4, seed=seed).split == "test").values
    assert np.abs(drawn / 400 - 0.4).max() < 0.1


def test_together_keeps_equal_reports_in_one_part_and_the_sizes_exact():
    texts = []
    for i in range(100):
        texts += [f"No  Acute disease {i % 60}", f"no acute DISEASE {i % 60}", f"own {i}"]
    studies = table(150, 150, texts)
    parts = split_studies(studies, test_per_class=40, seed=0, duplicates="together")
    assert parts.groupby(parts.text.map(normalise_text)).split.nunique().max() == 1
    assert duplicates_across_parts(parts) == 0
    assert sizes_by_part(parts)["test", 0] == sizes_by_part(parts)["test", 1] == 40
    assert sizes_by_part(parts)["validation", 0] <= 11
    apart = split_studies(studies, test_per_class=40, seed=0)
    assert duplicates_across_parts(apart) > 0.3


def test_together_finds_the_one_exact_test_set():
    texts = ["a"] * 4 + ["b"] * 3 + ["c"] * 3 + ["d"] * 10 + [f"own {i}" for i in range(40)]
    studies = table(20, 40, texts)
    for seed in range(20):
        parts = split_studies(
            studies, test_per_class=6, validation_fraction=0.3, seed=seed, duplicates="together"
        )
        assert set(parts[parts.split == "test"].text[parts.label == 0]) == {"b", "c"}


def test_an_impossible_exact_test_set_says_what_is_possible():
    texts = ["a"] * 4 + ["b"] * 4 + ["c"] * 4 + [f"own {i}" for i in range(20)]
    with pytest.raises(InputError, match="set test_per_class to 4"):
        split_studies(table(12, 20, texts), test_per_class=7, seed=0, duplicates="together")
    with pytest.raises(InputError, match="set duplicates to 'ignore'"):
        split_studies(table(5, 5, ["a"] * 10), test_per_class=2, seed=0, duplicates="together")


def test_an_archive_of_three_films_per_patient_says_what_is_possible_at_once():
    n = np.arange(24_000)
    studies = pd.DataFrame(
        {"study": n.astype(str), "text": "t", "label": n // 3 % 2, "patient": (n // 3).astype(str)}
    )
    with pytest.raises(InputError, match=r"no 1000 .* studies of one patient: set .* to 999$"):
        split_studies(studies, test_per_class=1000, seed=0)
    parts = split_studies(studies, test_per_class=999, seed=0)
    assert sizes_by_part(parts)["test", 0] == sizes_by_part(parts)["test", 1] == 999
    assert parts.groupby("patient").split.nunique().max() == 1


def test_studies_without_labels_are_one_class():
    studies = table(0, 50).assign(label=-1)
    parts = split_studies(studies, test_per_class=10, seed=0)
    assert parts.split.value_counts().to_dict() == {"train": 36, "test": 10, "validation": 4}


@pytest.mark.parametrize(
    ("normal", "abnormal", "message"),
    [
        (5, 50, "only 5 studies are normal"),
        (50, 0, "only 0 studies are abnormal"),
        (10, 50, "train part without any normal|validation part without any normal"),
        (12, 50, "validation part without any normal"),
    ],
)
def test_an_empty_class_is_named(normal, abnormal, message):
    with pytest.raises(InputError, match=message):
        split_studies(table(normal, abnormal), test_per_class=10, seed=0)


@pytest.mark.parametrize(("per_class", "fraction"), [(0, 0.1), (5, 0.0), (5, 1.0), (5, -1)])
def test_values_out_of_range_are_refused(per_class, fraction):
    with pytest.raises(InputError, match="is no split"):
        split_studies(table(50, 50), test_per_class=per_class, validation_fraction=fraction, seed=0)


def linked(rng: np.random.Generator, n: int) -> pd.DataFrame:
    """Studies of which some share a text, a picture or a patient."""
    return pd.DataFrame(
        {
            "study": [f"s{i}" for i in range(n)],
            "text": [f"text {i}" for i in rng.integers(0, 4 * n, n)],
            "pixels_sha256": [f"{i}" for i in rng.integers(0, 4 * n, n)],
            "patient": [f"p{i}" for i in rng.integers(0, 4 * n, n)],
            "label": rng.integers(0, 2, n),
        }
    )


@pytest.mark.parametrize("seed", range(5))
def test_what_shares_text_picture_or_patient_stays_together_along_every_chain(seed):
    studies = linked(np.random.default_rng(seed), 60)
    parts = split_studies(
        studies, test_per_class=10, validation_fraction=0.3, seed=seed, duplicates="together"
    )
    for column in ("text", "pixels_sha256", "patient"):
        assert parts.groupby(column).split.nunique().max() == 1
    assert parts.split.value_counts()["test"] == 20
    patients = split_studies(studies, test_per_class=10, validation_fraction=0.3, seed=seed)
    assert patients.groupby("patient").split.nunique().max() == 1
    assert patients.groupby(["text", "pixels_sha256"]).split.nunique().max() == 1


def test_pictures_and_patients_of_their_own_do_not_change_the_draw():
    studies = table(40, 60, [f"text {i % 70}" for i in range(100)])
    alone = studies.assign(
        pixels_sha256=studies.study.map(hash).astype(str), patient=studies.study[::-1].to_numpy()
    )
    for duplicates in ("ignore", "together"):
        first, second = (
            split_studies(one, test_per_class=9, seed=3, duplicates=duplicates)
            for one in (studies, alone)
        )
        assert first.split.tolist() == second.split.tolist()


def test_patients_that_allow_no_exact_test_set_are_named():
    studies = table(5, 5).assign(patient="one")
    with pytest.raises(InputError, match=r"parting studies of one patient: give a split of your"):
        split_studies(studies, test_per_class=2, seed=0)
    with pytest.raises(InputError, match=r"parting equal reports or pictures: set dup"):
        split_studies(
            table(5, 5).assign(pixels_sha256="x"), test_per_class=2, seed=0, duplicates="together"
        )


def test_the_duplicate_ceiling_is_the_expected_accuracy_of_a_random_tie_break():
    texts = ["Normal.", "normal.", " NORMAL.\n", "Opacity.", "no  effusion", "No effusion"]
    same = [[normalise_text(a) == normalise_text(b) for b in texts] for a in texts]
    assert duplicate_ceiling(texts) == pytest.approx(np.mean([1 / sum(row) for row in same]))
    with pytest.raises(InputError, match="no text"):
        duplicate_ceiling([])
