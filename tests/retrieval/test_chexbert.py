"""CheXbert's labels: read as its script writes them, and the overlap scikit-learn computes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from cxr_mtl.base.errors import InputError
from cxr_mtl.retrieval.chexbert import OBSERVATIONS, clinical_overlap, read_chexbert

HEADER = ",".join(["study", "Report Impression", *OBSERVATIONS])


def row(study: str, **values: str) -> str:
    """A row with the values of the observations named, e.g. Lung_Opacity; the others blank."""
    named = {name.replace("_", " "): value for name, value in values.items()}
    labels = [named.get(name, "") for name in OBSERVATIONS]
    return ",".join([study, '"Clear, no effusion."', *labels])


def written(folder: Path, *lines: str) -> Path:
    path = folder / "labeled_reports.csv"
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    return path


def random_labels(studies: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    values = rng.choice([np.nan, 1.0, 0.0, -1.0], (studies, 14), p=[0.6, 0.2, 0.1, 0.1])
    values[:2] = np.nan
    return pd.DataFrame(values, columns=OBSERVATIONS)


def test_a_file_as_the_labeller_writes_it_is_read_in_the_order_of_the_studies(tmp_path):
    labels = pd.DataFrame(
        {"study": ["1", "2", "3"], "Report Impression": ["a, b", 'say "c"', "d\ne"]}
        | {name: [np.nan, np.nan, np.nan] for name in OBSERVATIONS}
    )
    labels["Edema"] = [1.0, np.nan, -1.0]
    labels["Fracture"] = [1, 0, -1]
    labels.to_csv(tmp_path / "labeled_reports.csv", index=False)
    read = read_chexbert(tmp_path / "labeled_reports.csv", ["3", "1"])
    assert read.index.tolist() == ["3", "1"]
    assert tuple(read) == OBSERVATIONS
    assert read["Edema"].tolist() == [-1, 1]
    assert read["Fracture"].tolist() == [-1, 1]
    assert read.drop(columns=["Edema", "Fracture"]).isna().all(axis=None)
    assert set(read.dtypes) == {np.dtype("float64")}


@pytest.mark.parametrize("value", ["2", "3.0", "positive", "nan", " 1"])
def test_a_value_the_labeller_does_not_write_is_named_with_its_line(tmp_path, value):
    path = written(tmp_path, row("1"), row("2", Lung_Opacity=value))
    with pytest.raises(InputError, match=rf"line 3, has the Lung Opacity '{value}': write 1, 0"):
        read_chexbert(path, ["1"])


def test_missing_and_repeated_studies_are_refused(tmp_path):
    path = written(tmp_path, row("1"), row("2"))
    with pytest.raises(InputError, match=r"lacks 2 of 3 studies \(the first is '7'\)"):
        read_chexbert(path, ["1", "7", "8"])
    path = written(tmp_path, row("1"), row("2"), row("1"))
    with pytest.raises(InputError, match="line 4, repeats the study '1'"):
        read_chexbert(path, ["2"])


def test_ids_are_read_as_in_other_tables_and_told_where_they_are_written_otherwise(tmp_path):
    path = written(tmp_path, row("Mu\u0308ller "), row("\ufeff2"))
    assert read_chexbert(path, ["2", "Müller"]).index.tolist() == ["2", "Müller"]
    path = written(tmp_path, row("7.jpg"), row("films/8.jpg"), row("9"))
    told = r"lacks 2 of 3 studies .* written otherwise: 2, as '7.jpg' for '7'; write them as"
    with pytest.raises(InputError, match=told):
        read_chexbert(path, ["7", "8", "9"])
    path = written(tmp_path, row("1.2E+14"), row("1.2E+14"))
    with pytest.raises(InputError, match=r"line 3, repeats .*: a spreadsheet has rounded"):
        read_chexbert(path, ["7"])


def test_a_missing_column_is_named(tmp_path):
    path = tmp_path / "labeled_reports.csv"
    path.write_text(HEADER.replace("study,", "").replace(",No Finding", "") + "\n")
    with pytest.raises(InputError, match="lacks the columns study and No Finding"):
        read_chexbert(path, ["1"])


def test_the_overlap_is_scikit_learns_f1_of_positive_or_uncertain_observations():
    labels = random_labels(12)
    positive = labels.isin([1, -1]).to_numpy()
    expected = [[f1_score(a, b, zero_division=0) for b in positive] for a in positive]
    found = clinical_overlap(labels)(np.arange(12))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_array_equal(clinical_overlap(labels)(np.array([7, 2])), found[[7, 2]])


def test_reports_without_finding_are_alike_and_reports_without_observation_are_like_none():
    labels = pd.DataFrame(np.nan, index=range(4), columns=OBSERVATIONS)
    labels.loc[[0, 1], "No Finding"] = 1.0
    labels.loc[2, "Edema"] = 0.0
    expected = [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(clinical_overlap(labels)(np.arange(4)), expected)
