"""Runs: the chapters executed with parameters, each stage fresh or told why not.

A run is a folder; every stage leaves its numbers there as records.

>>> import tempfile
>>> from cxr_mtl.runs import Run
>>> run = Run(tempfile.mkdtemp())
>>> run.write_results("05_retrieval", [{"metric": "mrr", "value": 0.5}])
>>> run.results("05_retrieval")
[{'metric': 'mrr', 'value': 0.5}]
"""

from cxr_mtl.runs.exercise_checks import (
    expect_between,
    expect_close,
    expect_equal,
    expect_numbers,
    expect_several,
    expect_table,
)
from cxr_mtl.runs.notebook_parameters import check_parameters
from cxr_mtl.runs.run import Run, open_run
from cxr_mtl.runs.watched_files import watch

__all__ = [
    "Run",
    "check_parameters",
    "expect_between",
    "expect_close",
    "expect_equal",
    "expect_numbers",
    "expect_several",
    "expect_table",
    "open_run",
    "watch",
]
