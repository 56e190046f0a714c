"""The paper's differences between models on the scale of what its 400 queries can show."""

import pandas as pd

from cxr_mtl.paper_tables import PAPER_TABLES
from cxr_mtl.significance import holm, most_favourable_p, unpaired_p

QUERIES = 400
SHARES = ("accuracy", "precision")
"""The paper's metrics that are a share of its queries."""


def paper_differences(against: str, queries: int = QUERIES) -> pd.DataFrame:
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
            "queries": round(values[0] * queries) - round(values[column] * queries),
            "surest": most_favourable_p(values[0], values[column], queries),
            "independent": unpaired_p(values[0], values[column], queries),
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
