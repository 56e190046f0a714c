"""Pages: from executed chapters to the HTML book, and to notebooks for students and for Colab.

>>> from cxr_mtl.pages import build_html
>>> build_html("no-such-run")  # doctest: +IGNORE_EXCEPTION_DETAIL
Traceback (most recent call last):
InputError: there is no run runs/no-such-run
"""

from cxr_mtl.pages.build import build_html
from cxr_mtl.pages.student_notebooks import write_teaching_notebooks

__all__ = [
    "build_html",
    "write_teaching_notebooks",
]
