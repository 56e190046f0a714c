"""Groups of the test studies by section, indexing and view tag; labels and texts by other rules.

A table of the user's own pairs has no sections, headings or views, and so none of these.
"""

from typing import get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_mtl.base.choices import Deidentification, LabelRule, Sections
from cxr_mtl.data.openi import NOT_INDEXED
from cxr_mtl.data.studies import label_of, report_text
from cxr_mtl.data.views import read_views

Booleans = NDArray[np.bool_]


def report_groups(studies: pd.DataFrame) -> dict[str, Booleans]:
    """Groups of Open-I studies: name -> which rows belong to it, bool [n].

    By missing sections, by indexing, and by the DICOM tag View Position of the study's image.
    Empty for studies without the columns of a report.
    """
    if "mesh_major" not in studies:
        return {}
    findings, impression = studies["findings"] != "", studies["impression"] != ""
    indexed = studies["mesh_major"].map(lambda headings: NOT_INDEXED not in list(headings))
    tag = studies["image_id"].map(read_views("dicom").set_index("image_id")["tag"])
    groups = {
        "findings and impression": findings & impression,
        "without findings": ~findings,
        "without impression": ~impression,
        "indexed": indexed,
        "not indexed": ~indexed,
        "view tag PA": tag == "PA",
        "view tag AP": tag == "AP",
        "another view tag or none": ~tag.isin(["PA", "AP"]),
    }
    return {name: rows.to_numpy(dtype=bool) for name, rows in groups.items()}


def labels_under_rules(studies: pd.DataFrame) -> dict[str, NDArray[np.int64]]:
    """Labels of Open-I studies under every label rule, [n]; -1 where the rule drops the study.

    Empty for studies without the columns of a report.
    """
    if "mesh_major" not in studies:
        return {}
    labels = {
        rule: [label_of(list(headings), rule) for headings in studies["mesh_major"]]
        for rule in get_args(LabelRule)
    }
    return {
        rule: np.array([-1 if label is None else label for label in found], dtype=np.int64)
        for rule, found in labels.items()
    }


def texts_by_section(
    studies: pd.DataFrame, deidentification: Deidentification
) -> dict[str, list[str]]:
    """The texts of Open-I studies made of both sections, of the findings and of the impression."""
    sections = list(zip(studies["findings"], studies["impression"], strict=True))
    return {
        kind: [report_text(*pair, kind, deidentification) for pair in sections]
        for kind in get_args(Sections)
    }
