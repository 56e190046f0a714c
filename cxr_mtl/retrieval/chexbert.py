"""Clinical likeness of reports, by the observations that CheXbert finds in them.

CheXbert (Smit et al., "CheXbert: Combining Automatic Labelers and Expert Annotations for Accurate
Radiology Report Labeling Using BERT", EMNLP 2020) is a program of its own with weights of its own:
its script `label.py` writes `labeled_reports.csv`, and this module reads that file. Nothing here
stands in for it.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_mtl.base.csv_files import read_csv, shortened
from cxr_mtl.base.errors import InputError
from cxr_mtl.base.ids import lost_digits, read_id, written_otherwise
from cxr_mtl.retrieval.relevance import Relevance

OBSERVATIONS = (
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
    "No Finding",
)
POSITIVE, NEGATIVE, UNCERTAIN = 1.0, 0.0, -1.0
# The script writes whole numbers where a column holds no blank.
VALUES = {
    "": np.nan,
    "1.0": POSITIVE,
    "1": POSITIVE,
    "0.0": NEGATIVE,
    "0": NEGATIVE,
    "-1.0": UNCERTAIN,
    "-1": UNCERTAIN,
}


def read_chexbert(path: Path | str, studies: Sequence[str]) -> pd.DataFrame:
    """Read the labels that CheXbert gave to the reports of `studies`.

    The file is the `labeled_reports.csv` of CheXbert's `label.py`, to which a column `study` with
    the study ids was added: the script keeps the order of the reports, but no id of them. It may
    hold other studies and other columns too.

    Returns:
        float64 [studies, 14], indexed by study in the order of `studies`, a column per
        observation: 1 positive, 0 negative, -1 uncertain, NaN not mentioned.

    Raises:
        InputError: the file is no such CSV, a value is another, a study stands twice, or one of
            `studies` is missing.
    """
    table = read_csv(path, ["study", *OBSERVATIONS])
    table["study"] = table["study"].map(read_id)
    repeated = table["study"].duplicated()
    if repeated.any():
        line = repeated.idxmax()
        raise InputError(
            f"{path}, line {line}, repeats the study {shortened(table['study'][line])}: "
            + (lost_digits(table["study"][line]) or "keep one row each")
        )
    written = table.set_index("study")[list(OBSERVATIONS)]
    known = written.isin(list(VALUES))
    if not known.all(axis=None):
        row, column = np.argwhere(~known.to_numpy())[0]
        raise InputError(
            f"{path}, line {table.index[row]}, has the {OBSERVATIONS[column]} "
            f"{shortened(written.iat[row, column])}: write 1, 0, -1 or nothing, as CheXbert's "
            "label.py does"
        )
    missing = [study for study in studies if study not in written.index]
    if missing:
        unknown = written.index.difference(list(studies), sort=False)
        raise InputError(
            f"{path} lacks {len(missing):,} of {len(studies):,} studies (the first is "
            f"{shortened(missing[0])}): "
            + (written_otherwise(unknown, missing) or "label their reports too")
        )
    return written.loc[list(studies)].apply(lambda column: column.map(VALUES)).astype(np.float64)


def clinical_overlap(labels: pd.DataFrame) -> Relevance:
    """F1 (Dice) of the positive observations of two reports, 2 |A ∩ B| / (|A| + |B|), 0 … 1.

    Takes labels as `read_chexbert` returns them, [n, 14]. An uncertain observation counts as
    positive, as in F1-CheXbert, the score of generated reports; CheXbert's own evaluation counts
    it as not positive. `No Finding` is an observation like others, so two reports without findings
    are fully alike. A report with no positive observation, `No Finding` included, says nothing
    that could be compared: it has overlap 0 with all, itself included.
    """
    positive = labels[list(OBSERVATIONS)].isin((POSITIVE, UNCERTAIN)).to_numpy(dtype=np.float32)
    count = positive.sum(axis=1)

    def relevance(rows: NDArray[np.integer]) -> NDArray[np.float32]:
        shared = positive[rows] @ positive.T
        return 2 * shared / np.maximum(count[rows][:, None] + count, 1)

    return relevance
