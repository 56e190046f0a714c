"""The numbers of the paper's Tables I to III, and how surely they tell its models apart."""

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.styled_tables import styled
from cxr_mtl.evidence.result_display import SIGNIFICANT, p_text, readable
from cxr_mtl.evidence.significance import holm, most_favourable_p, unpaired_p

PAPER_TABLES: dict[str, Any] = json.loads(
    files("cxr_mtl.evidence").joinpath("paper_tables.json").read_text(encoding="utf-8")
)
"""The paper's Tables I to III, number by number; its key `source` names them."""
QUERIES = 400
SHARES = ("accuracy", "precision")
"""The paper's metrics that are a share of its queries."""
CLAIMS = {
    "all": "rows",
    "never": "no outcome could make the difference significant",
    "never, corrected": "the same after correction",
    "above": "fine-tuned better, were the queries independent",
    "below": "fine-tuned worse, were the queries independent",
}


def paper_value(
    table: int, direction: str, metric: str, k: int | None, model_role: str
) -> float | None:
    """The paper's number, or None where it gives none.

    `model_role` is fine_tuned, biomedclip or clip.

    Raises:
        InputError: another role.
    """
    roles = PAPER_TABLES["models"]
    if model_role not in roles:
        raise InputError(f"the paper has no model {model_role}: choose one of {', '.join(roles)}")
    name = metric if k is None else f"{metric}@{k}"
    row = PAPER_TABLES[f"table_{table}"].get(direction, {}).get(name)
    return None if row is None else row[roles.index(model_role)]


def paper_differences(against: str) -> pd.DataFrame:
    """How surely the paper's fine-tuned model differs from `against`, row by row of its tables.

    The paper gives no outcome per query, so no test can be repeated; a bound can. `surest` is the
    smallest p-value of an exact McNemar test that any pairing of the queries allows, `independent`
    that of Fisher's exact test, had the two models answered different queries. `surest_holm` and
    `independent_holm` are adjusted over the rows returned.

    Returns:
        table, direction, metric, fine_tuned, other, queries (the difference as a number of
        queries), surest, independent, surest_holm, independent_holm.
    """
    column = PAPER_TABLES["models"].index(against)
    rows = [
        {
            "table": table,
            "direction": direction,
            "metric": metric,
            "fine_tuned": values[0],
            "other": values[column],
            "queries": round(values[0] * QUERIES) - round(values[column] * QUERIES),
            "surest": most_favourable_p(values[0], values[column], QUERIES),
            "independent": unpaired_p(values[0], values[column], QUERIES),
        }
        for table in (1, 2, 3)
        for direction, metrics in PAPER_TABLES[f"table_{table}"].items()
        for metric, values in metrics.items()
        if metric.partition("@")[0] in SHARES
    ]
    found = pd.DataFrame(rows)
    for name in ("surest", "independent"):
        found[f"{name}_holm"] = holm(found[name].to_numpy())
    return found


def differences_table(differences: pd.DataFrame, against: str) -> Styler:
    """Rows of `paper_differences` laid out to read; in brackets the adjusted p-values."""

    def p_values(name: str) -> list[str]:
        pairs = zip(differences[name], differences[f"{name}_holm"], strict=True)
        return [f"{p_text(p)} ({p_text(adjusted)})" for p, adjusted in pairs]

    keys = zip(differences["direction"], differences["metric"], strict=True)
    table = pd.DataFrame(
        {
            "metric": [f"{readable(direction)}, {metric}" for direction, metric in keys],
            "fine-tuned": differences["fine_tuned"].map("{:.3f}".format).tolist(),
            readable(against): differences["other"].map("{:.3f}".format).tolist(),
            "difference in queries": differences["queries"].tolist(),
            "p at best": p_values("surest"),
            "p if independent": p_values("independent"),
        }
    )
    return styled(table).hide()


def claim_counts(differences: Mapping[str, pd.DataFrame]) -> list[dict[str, Any]]:
    """How many rows of the paper's tables say what, as records by claim (`CLAIMS`) and `against`.

    `differences` maps models to their `paper_differences`.
    """
    records = []
    for against, rows in differences.items():
        distinct = rows["independent"] < SIGNIFICANT
        counts = {
            "all": len(rows),
            "never": (rows["surest"] >= SIGNIFICANT).sum(),
            "never, corrected": (rows["surest_holm"] >= SIGNIFICANT).sum(),
            "above": ((rows["queries"] > 0) & distinct).sum(),
            "below": ((rows["queries"] < 0) & distinct).sum(),
        }
        records += [
            {"claim": claim, "against": against, "metric": "rows", "value": int(count)}
            for claim, count in counts.items()
        ]
    return records


def claims_table(counts: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """`claim_counts` laid out to read: a row per claim, a column per model."""
    table = pd.DataFrame(counts).pivot_table("value", "claim", "against", sort=False)
    table = table.astype(int).rename(index=CLAIMS, columns=readable)
    return table.rename_axis(index=None, columns=None)
