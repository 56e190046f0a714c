"""Chapters as notebooks that install everything themselves, opened by links at Colab and Binder."""

import re
from collections.abc import Iterable
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from cxr_mtl.base.errors import InputError
from cxr_mtl.pages.own_folder import write_own_folder
from cxr_mtl.runs.planning import Plan, plan
from cxr_mtl.runs.stages import upstream

REPOSITORY_VARIABLE = "CXR_MTL_REPOSITORY"
BRANCH = "notebooks"
"""The branch of the repository that holds what `write_notebooks` writes."""
ENVIRONMENT = Path("environment.yml")

FIRST_CELL = """\
# Fetch the study, install it, and run the chapters that this one needs.
import os
import subprocess
import sys
from pathlib import Path

if not Path("cxr_mtl/__init__.py").is_file():
    if not Path({name!r}).is_dir():
        repository = "https://github.com/{repository}"
        subprocess.run(["git", "clone", "--depth=1", repository], check=True)
    os.chdir({name!r})
install = [sys.executable, "-m", "pip", "install", "--quiet", "-e", ".[book]"]
subprocess.run(install, check=True)
for chapter in {needed!r}:
    command = [sys.executable, "-m", "cxr_mtl", "run", chapter]
    subprocess.run(command, check=True)
sys.path.insert(0, os.getcwd())"""


def write_notebooks(folder: Path, repository: str) -> list[Path]:
    """Write each chapter and its exercises as a notebook with the values of the profile `demo`.

    The first cell clones the repository, installs it and runs the chapters that are needed, in
    their order. Beside them lies `environment.yml` for Binder, which has no GPU: FAISS is the one
    for processors.

    Args:
        folder: written beside and renamed; what it held is replaced, if that was written so.
        repository: `OWNER/NAME` at GitHub.

    Raises:
        InputError: the repository is not written so, or as in `write_own_folder` and
            `planning.plan`.
    """
    check_repository(repository)
    planned = plan("demo", "demo")
    with write_own_folder(folder) as beside:
        for notebook, name in _notebooks(planned, repository):
            path = beside / f"{name}.ipynb"
            path.parent.mkdir(parents=True, exist_ok=True)
            nbformat.write(notebook, path)
        packages = ENVIRONMENT.read_text(encoding="utf-8")
        without_gpu = packages.replace("- faiss-gpu", "- faiss-cpu")
        (beside / ENVIRONMENT.name).write_text(without_gpu, encoding="utf-8")
    return [folder / f"{name}.ipynb" for name in planned.stages]


def check_repository(repository: str) -> None:
    """Refuse what is no repository's name.

    Raises:
        InputError: it is not written `OWNER/NAME`.
    """
    owner, _, name = repository.partition("/")
    usable = re.fullmatch(r"[A-Za-z0-9-]+", owner) and re.fullmatch(r"[A-Za-z0-9._-]+", name)
    if not usable or name in (".", "..") or name.endswith(".git"):
        raise InputError(
            f"{repository!r} names no repository at GitHub: write OWNER/NAME in --repository or "
            f"{REPOSITORY_VARIABLE}, without .git"
        )


def launch_links(repository: str, stage: str) -> dict[str, str]:
    """Where a chapter can be opened and run, by the name of the service."""
    return {
        "Binder": f"https://mybinder.org/v2/gh/{repository}/{BRANCH}"
        f"?urlpath=lab/tree/{stage}.ipynb",
        "Colab": f"https://colab.research.google.com/github/{repository}/blob/{BRANCH}"
        f"/{stage}.ipynb",
    }


def _notebooks(planned: Plan, repository: str) -> Iterable[tuple[NotebookNode, str]]:
    for chapter, values in planned.stages.values():
        notebook = chapter.notebook_with(values)
        first_cell = FIRST_CELL.format(
            repository=repository,
            name=repository.partition("/")[2],
            needed=upstream(chapter.name, planned.chapters),
        )
        notebook.cells.insert(0, new_code_cell(first_cell))
        for key in set(notebook.metadata) - {"kernelspec"}:
            del notebook.metadata[key]
        nbformat.validate(notebook)
        yield notebook, chapter.name
