"""Views: each source's count over the real archive, its mapping, and bad projections tables."""

import os
from pathlib import Path

import pandas as pd
import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.data.openi import installed_file, read_reports
from cxr_mtl.data.views import read_views, view_counts


@pytest.fixture(scope="module")
def reports() -> pd.DataFrame:
    return read_reports()[0]


@pytest.fixture
def projections() -> Path:
    if "CXR_MTL_TEST_DATA" not in os.environ:
        pytest.skip("CXR_MTL_TEST_DATA is not set")
    return Path(os.environ["CXR_MTL_TEST_DATA"]) / "openi-samples" / "indiana_projections.csv"


def written(tmp_path, *rows: str) -> Path:
    path = tmp_path / "projections.csv"
    path.write_text("\n".join(["uid,filename,projection", *rows]) + "\n")
    return path


def test_dicom_tags_are_blank_for_2586_images_and_pa_for_2315_studies(reports):
    counts = view_counts(reports, read_views("dicom"))
    # 2,314 without study 1, whose ids differ between the reports and the DICOM table; and the one
    # image that table lacks is unknown beside the 2,586 blank ones.
    assert counts["pa_studies"] == 2314 + 1
    assert counts["unknown_images"] == 2586 + 1
    assert counts["frontal_studies"] == 2562
    table = pd.read_csv(installed_file("nlmcxr_dicom_metadata.csv.gz"), usecols=["View Position"])
    assert table["View Position"].isna().sum() == 2586


def test_tsne_labels_give_3267_frontal_studies(reports):
    views = read_views("tsne")
    counts = view_counts(reports, views)
    assert (len(views), counts["frontal_studies"], counts["pa_studies"]) == (3851, 3267, 3267)


def test_a_tsne_label_wins_over_the_dicom_tag(reports):
    both = read_views("dicom+tsne").set_index("image_id")
    tsne = read_views("tsne").set_index("image_id")
    dicom = read_views("dicom").set_index("image_id")
    assert both.view[tsne.index].equals(tsne.view)
    rest = dicom.index.difference(tsne.index)
    assert both.view[rest].equals(dicom.view[rest])
    assert view_counts(reports, both.reset_index())["frontal_studies"] == 3634


def test_a_projections_table_gives_3689_frontal_studies(reports, projections):
    counts = view_counts(reports, read_views("projections", projections))
    assert counts["frontal_studies"] == 3689
    assert counts["frontal_studies_with_text"] == 3666
    assert counts["frontal_studies_with_both_sections"] == 3193


def test_where_dicom_and_projections_disagree_on_what_is_frontal(projections):
    merged = read_views("projections", projections).merge(read_views("dicom"), on="image_id")
    pa = merged[merged.tag_y == "PA"]
    assert (pa.view_x == "lateral").sum() == 1368
    tsne = read_views("projections", projections).merge(read_views("tsne"), on="image_id")
    assert ((tsne.view_y == "frontal") & (tsne.view_x == "lateral")).sum() == 2


def test_pa_and_ap_are_frontal_and_the_tag_is_kept():
    views = read_views("dicom")
    assert views.groupby("tag").view.unique().map(list).to_dict() == {
        "PA": ["frontal"],
        "AP": ["frontal"],
        "LL": ["lateral"],
        "RL": ["lateral"],
        "LATERAL": ["lateral"],
        "LARGE LATERAL": ["lateral"],
    }
    assert views.image_id.is_unique


def test_a_projections_filename_becomes_the_reports_image_id(tmp_path):
    path = written(
        tmp_path, "1,1_IM-0001-4001.dcm.png,Frontal", "12,12_IM-0002-1001.dcm.png,Lateral"
    )
    views = read_views("projections", path)
    assert views.to_numpy().tolist() == [
        ["CXR1_1_IM-0001-4001", "frontal", "Frontal"],
        ["CXR12_IM-0002-1001", "lateral", "Lateral"],
    ]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["2,2_IM-1.dcm.png,Oblique"], "line 2, has the projection 'Oblique'"),
        (["2,2_IM-1.dcm.png,Frontal", "2,2_IM-1.dcm.png,Lateral"], "line 3, repeats a filename"),
        (["2,2_IM-1.dcm.png"], "line 2, has 2 fields"),
    ],
)
def test_a_bad_projections_table_is_refused(tmp_path, rows, message):
    with pytest.raises(InputError, match=message):
        read_views("projections", written(tmp_path, *rows))


def test_projections_without_a_table_are_refused(tmp_path):
    with pytest.raises(InputError, match="needs the parameter projections_csv"):
        read_views("projections")
    with pytest.raises(InputError, match="is missing"):
        read_views("projections", tmp_path / "gone.csv")
