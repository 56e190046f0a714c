"""What every package stands on: errors that tell a remedy, files that are whole or absent, records.

A results file is a list of flat records; a query by their fields finds the one that is meant.

>>> from cxr_mtl.base import find_record
>>> records = [
...     {"metric": "recall", "k": 1, "value": 0.25},
...     {"metric": "recall", "k": 10, "value": 0.5},
... ]
>>> find_record(records, "metric=recall&k=10")["value"]
0.5
"""

from cxr_mtl.base.choices import (
    DatasetName,
    Deidentification,
    DeviceName,
    Duplicates,
    LabelRule,
    Precision,
    Sections,
    ViewSource,
)
from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import read_json, read_table, write_json, write_table
from cxr_mtl.base.records import find_record, notices

__all__ = [
    "DatasetName",
    "Deidentification",
    "DeviceName",
    "Duplicates",
    "InputError",
    "LabelRule",
    "Precision",
    "Sections",
    "ViewSource",
    "find_record",
    "notices",
    "read_json",
    "read_table",
    "write_json",
    "write_table",
]
