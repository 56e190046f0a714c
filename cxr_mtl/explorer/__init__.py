"""Search for readers: in the browser, over a bundle that a page loads, and on the command line.

>>> import tempfile
>>> from cxr_mtl.explorer import query_run
>>> from cxr_mtl.runs import Run
>>> query_run(Run(tempfile.mkdtemp()), text=" ")  # doctest: +IGNORE_EXCEPTION_DETAIL
Traceback (most recent call last):
InputError: the text to search for is empty
"""

from cxr_mtl.explorer.bundle import model_entry, write_bundle
from cxr_mtl.explorer.example_queries import EXAMPLE_QUERIES
from cxr_mtl.explorer.query import query_run

__all__ = [
    "EXAMPLE_QUERIES",
    "model_entry",
    "query_run",
    "write_bundle",
]
