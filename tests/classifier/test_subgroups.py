"""Groups of studies follow the reports' sections, headings and the DICOM tags."""

import numpy as np
import pandas as pd

from cxr_mtl.classifier.subgroups import labels_under_rules, report_groups
from cxr_mtl.data.views import read_views


def open_i_studies():
    tags = read_views("dicom").drop_duplicates("tag").set_index("tag")["image_id"]
    return pd.DataFrame(
        {
            "findings": ["Clear.", "", "Clear.", "Clear."],
            "impression": ["Normal.", "Normal.", "", "Nodule."],
            # Parquet gives lists back as arrays.
            "mesh_major": [
                np.array(["normal"], dtype=object),
                np.array(["No Indexing"], dtype=object),
                np.array(["normal"], dtype=object),
                np.array(["Nodule/lung", "Cicatrix"], dtype=object),
            ],
            "image_id": [tags["PA"], tags["AP"], tags["LL"], "CXR_not_tagged"],
        }
    )


def test_groups_follow_sections_indexing_and_view_tags():
    members = {
        name: np.flatnonzero(rows).tolist()
        for name, rows in report_groups(open_i_studies()).items()
    }
    assert members == {
        "findings and impression": [0, 3],
        "without findings": [1],
        "without impression": [2],
        "indexed": [0, 2, 3],
        "not indexed": [1],
        "view tag PA": [0],
        "view tag AP": [1],
        "another view tag or none": [2, 3],
    }


def test_every_rule_labels_the_studies_and_marks_those_it_drops():
    labels = {rule: found.tolist() for rule, found in labels_under_rules(open_i_studies()).items()}
    assert labels == {
        "mesh-normal": [0, 1, 0, 1],
        "mesh-normal+no-indexing": [0, 0, 0, 1],
        "drop-no-indexing": [0, -1, 0, 1],
    }


def test_pairs_have_neither_groups_nor_rules():
    pairs = pd.DataFrame({"study": ["a"], "image": ["a.png"], "text": ["Clear."], "label": [0]})
    assert report_groups(pairs) == {}
    assert labels_under_rules(pairs) == {}
