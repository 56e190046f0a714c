"""The numbers of the paper's Tables I to III."""

import json
from importlib.resources import files
from typing import Any

from cxr_mtl.errors import InputError

PAPER_TABLES: dict[str, Any] = json.loads(
    files("cxr_mtl").joinpath("data/paper_tables.json").read_text(encoding="utf-8")
)
"""The paper's Tables I to III, number by number; its key `source` names them."""


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
