"""The book's pages: Jupyter Book builds them beside, and they replace the old ones when whole."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from cxr_mtl.base.files import check_writable, write_beside
from cxr_mtl.pages.launch import REPOSITORY_VARIABLE, check_repository
from cxr_mtl.runs.run import existing_run, named_run

BUILD = Path("_build")
RUN_VARIABLE = "CXR_MTL_RUN"
REFERENCE_VARIABLE = "CXR_MTL_REFERENCE"


class PagesError(RuntimeError):
    """Jupyter Book refused a page: what it said."""


def check_edition(reference: str | None = None) -> None:
    """Refuse, before any work, what the pages would refuse after hours of it.

    Raises:
        InputError: the reference (by default the variable `CXR_MTL_REFERENCE`) is no name of a
            run, the variable `CXR_MTL_REPOSITORY` names no repository, or nothing can be written
            into `_build`.
    """
    check_writable(BUILD / "html")
    named_run(reference or os.environ.get(REFERENCE_VARIABLE) or "demo")
    repository = os.environ.get(REPOSITORY_VARIABLE)
    if repository:
        check_repository(repository)


def build_html(run_name: str, reference: str | None = None) -> Path:
    """Build all pages of the current directory's book anew; returns `_build/html/index.html`.

    Outputs and numbers come from `runs/<run_name>`, and pages of another run than the reference
    (by default the variable `CXR_MTL_REFERENCE`, else `demo`) say what differs from it. Every
    warning is an error, and after an error the pages that stood before still stand.

    Raises:
        PagesError: the build failed.
        InputError: there is no such run, or as in `check_edition`.
    """
    existing_run(run_name)
    check_edition(reference)
    environment = {**os.environ, RUN_VARIABLE: run_name}
    if reference:
        environment[REFERENCE_VARIABLE] = reference
    beside = BUILD / ".next"
    shutil.rmtree(beside, ignore_errors=True)
    jupyter_book = "from jupyter_book.cli.main import main; main()"
    options = ["-W", "-n", "--keep-going", "-q", "--path-output", str(beside)]
    done = subprocess.run(
        [sys.executable, "-c", jupyter_book, "build", ".", *options],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    pages = beside / "_build/html"
    if done.returncode != 0 or not (pages / "index.html").exists():
        said = re.sub(r"\x1b\[[0-9;]*m", "", done.stderr).strip()
        raise PagesError(f"the pages could not be built:\n{said[-4000:]}")
    with write_beside(BUILD / "html") as whole:
        pages.rename(whole)
    shutil.rmtree(beside)
    return BUILD / "html/index.html"
