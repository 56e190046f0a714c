"""Links that open a chapter at Binder and Colab."""

import re

from cxr_mtl.errors import InputError

REPOSITORY_VARIABLE = "CXR_MTL_REPOSITORY"
BRANCH = "notebooks"
"""The branch of the repository that holds what `launch.write_notebooks` writes."""


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
