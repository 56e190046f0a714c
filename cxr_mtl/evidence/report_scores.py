"""Clinical scores of retrieved reports, which programs with weights of their own compute.

RadEval (Xu et al., "RadEval: A framework for radiology text evaluation", EMNLP 2025, system
demonstrations) bundles RadGraph, CheXbert, GREEN and others. It needs an environment of its own, so
reports go to it as a file and scores come back as one. Nothing here stands in for it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from cxr_mtl.base.csv_files import read_csv, shortened
from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import read_json, read_table, write_json
from cxr_mtl.base.ids import read_id, written_otherwise
from cxr_mtl.evidence.bootstrap import Bootstrap
from cxr_mtl.retrieval.embeddings import stored_embeddings
from cxr_mtl.retrieval.protocols import unit_pair


def write_retrieved(
    path: Path,
    studies: Sequence[str],
    reports: Sequence[str],
    image_embeddings: ArrayLike,
    text_embeddings: ArrayLike,
) -> None:
    """Write each study's report and the one that its image finds first, in RadEval's JSON form.

    The lists `references` and `hypotheses` hold what RadEval reads, `studies` the ids in the same
    order. Reports whose white space is a line break are written on one line.

    Shapes: two embeddings [studies, dim]; the search is that of the strict protocol, among the
    reports of all these studies, the own one included.

    Raises:
        InputError: as `protocols.searches`, or the file cannot be written.
    """
    images, texts = unit_pair(image_embeddings, text_embeddings)
    first = (images @ texts.T).argmax(axis=1)
    lines = [" ".join(report.split()) for report in reports]
    retrieved = [lines[place] for place in first]
    write_json(path, {"studies": list(studies), "references": lines, "hypotheses": retrieved})


def export_retrieved(run: Path, model: str, path: Path) -> int:
    """`write_retrieved` of the test studies of a run's folder, by one of its models.

    Returns:
        The number of studies.

    Raises:
        InputError: a file of the run is missing or damaged, or it has no such model.
    """
    studies = read_table(run / "studies.parquet")
    test = studies[studies["split"] == "test"]
    embeddings = stored_embeddings(run / "embeddings", read_json(run / "models.json"))
    if model not in embeddings:
        raise InputError(f"{run} has no model {model!r}: give one of {', '.join(embeddings)}")
    write_retrieved(path, list(test["study"]), list(test["text"]), *embeddings[model])
    return len(test)


def read_scores(path: Path | str, studies: Sequence[str]) -> pd.DataFrame:
    """Read the scores of the reports of `studies` from a CSV with a column study, one row each.

    Every other column is a score, by the name of its metric; an empty value is a score that the
    program did not give.

    Returns:
        float64 [studies, metrics], indexed by study in the order of `studies`.

    Raises:
        InputError: the file is no such CSV, a value is no number, a study stands twice, or one of
            `studies` is missing.
    """
    table = read_csv(path, ["study"])
    table["study"] = table["study"].map(read_id)
    metrics = [name for name in table.columns if name != "study"]
    if not metrics:
        raise InputError(f"{path} has no column beside study: give a column for each metric")
    repeated = table["study"].duplicated()
    if repeated.any():
        study = table["study"][repeated.idxmax()]
        raise InputError(f"{path} repeats the study {shortened(study)}: keep one row each")
    missing = [study for study in studies if study not in set(table["study"])]
    if missing:
        remedy = written_otherwise(set(table["study"]) - set(studies), missing)
        raise InputError(
            f"{path} lacks {len(missing):,} of {len(studies):,} studies (the first is "
            f"{shortened(missing[0])}): {remedy or 'score their reports too'}"
        )
    written = table.set_index("study").loc[list(studies), metrics]
    scores = written.replace("", "nan").apply(pd.to_numeric, errors="coerce").astype(np.float64)
    wrong = np.argwhere((scores.isna() & (written != "")).to_numpy() | np.isinf(scores.to_numpy()))
    if len(wrong):
        row, column = wrong[0]
        raise InputError(
            f"{path} has the {shortened(metrics[column])} {shortened(written.iat[row, column])} "
            f"for study {shortened(str(written.index[row]))}: give a number, or nothing"
        )
    return scores


def score_records(
    scores: pd.DataFrame, *, seed: int, resamples: int = 2000
) -> list[dict[str, Any]]:
    """The mean of each metric with its 95 % interval over studies, and how many have a score.

    A metric without any score has none.
    """
    bootstrap = Bootstrap(len(scores), seed=seed, resamples=resamples)
    records = []
    for metric, values in scores.items():
        if values.notna().any():
            low, high = bootstrap.mean(values)
            found = {"value": float(values.mean()), "low": low, "high": high}
            records.append({"metric": metric, **found, "scored": int(values.notna().sum())})
    return records
