"""CSV files from users: text as it stands, by line number, nothing guessed."""

import csv
from pathlib import Path

import pandas as pd

from cxr_mtl.errors import InputError


def read_csv(path: Path | str, columns: list[str]) -> pd.DataFrame:
    """Read a UTF-8 CSV with a header; every value stays text, an empty field is "".

    Returns:
        All columns of the file, indexed by the line each row ends on (the header is line 1).

    Raises:
        InputError: the file is missing, not UTF-8, not a CSV, lacks one of `columns`, has a row
            with too few or too many fields, or has no rows.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            rows = [(reader.line_num, row) for row in reader if row]
    except FileNotFoundError:
        raise InputError(f"{path} is missing: correct its path") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text: save it as a UTF-8 CSV") from None
    except (csv.Error, OSError) as error:
        raise InputError(f"{path} is not a readable CSV ({error}): save it again") from error
    missing = [name for name in columns if name not in header]
    if missing:
        raise InputError(
            f"{path} lacks the column{'s' * (len(missing) > 1)} {_in_words(missing)}: "
            f"its first line must name {_in_words(columns)}"
        )
    if len(set(header)) < len(header):
        raise InputError(f"{path} names a column twice: give every column its own name")
    for line, row in rows:
        if len(row) != len(header):
            raise InputError(
                f"{path}, line {line}, has {len(row)} fields instead of {len(header)}: "
                "put values with commas in double quotes"
            )
    if not rows:
        raise InputError(f"{path} has no rows: add at least one under its header")
    lines, values = zip(*rows, strict=True)
    return pd.DataFrame(values, index=lines, columns=header, dtype=str)


def _in_words(names: list[str]) -> str:
    return " and ".join(", ".join(names).rsplit(", ", 1))
