"""What a token store says of itself: of which kind it is, and which of its shards are finished."""

from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, Field

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import inside, read_json_as, write_json
from cxr_mtl.models.token_layout import FORMAT, QUERY, TOKENS, Digests, Layout

ABOUT, JOURNAL = "about.json", "shards.json"


class _Kind(BaseModel):
    format: int


class _About(_Kind):
    width: int = Field(gt=0, lt=1 << 20)
    dtype: Literal["float32", "bfloat16", "float16"]
    lengths: list[Annotated[int, Field(ge=1, lt=1 << 40)]] = Field(min_length=1)


class Journal(BaseModel):
    """The checksums of each finished shard, and the files' stamp when all was last found right."""

    shards: list[Digests | None]
    verified: dict[str, list[int]] | None = None


def read_layout(folder: Path) -> Layout:
    """Where everything lies in the store `folder`, by its own account.

    Raises:
        InputError: there is no store, it is damaged or of another version.
    """
    path = inside(folder, ABOUT)
    if read_json_as(_Kind, path).format != FORMAT:
        raise InputError(f"{folder} is a store of another version: delete it and run again")
    about = read_json_as(_About, path)
    return Layout(torch.tensor(about.lengths), about.width, getattr(torch, about.dtype))


def agreed_journal(folder: Path, layout: Layout, about: dict[str, Any]) -> Journal:
    """The journal of the store `folder`, which is begun as `layout` says where there is none.

    Raises:
        InputError: the folder holds a store of another kind, or a damaged one.
    """
    settings = layout.settings()
    if (folder / ABOUT).exists():
        found = read_json_as(dict[str, Any], inside(folder, ABOUT))
        other = [name for name, value in settings.items() if found.get(name) != value]
        if other:
            raise InputError(
                f"{folder} holds a store that differs in its {' and '.join(other)}: "
                "delete it and run again"
            )
    else:
        (folder / JOURNAL).unlink(missing_ok=True)  # it belonged to an about.json that is gone
        write_json(folder / ABOUT, settings | {"about": about})
    if (folder / JOURNAL).exists():
        return read_journal(folder, layout)
    return Journal(shards=[None] * len(layout.shards))


def read_journal(folder: Path, layout: Layout) -> Journal:
    """Which shards of the store `folder` are finished.

    Raises:
        InputError: that is missing or damaged, or is of another number of shards.
    """
    path = inside(folder, JOURNAL)
    journal = read_json_as(Journal, path)
    names = ({TOKENS, QUERY}, None)
    if len(journal.shards) != len(layout.shards) or any(
        (shard and set(shard)) not in names for shard in journal.shards
    ):
        raise InputError(f"{path} is not of this store's shards: delete it and run again")
    return journal


def write_journal(
    folder: Path, shards: list[Digests | None], verified: dict[str, list[int]] | None = None
) -> None:
    """Say which shards of the store `folder` are finished."""
    write_json(folder / JOURNAL, {"shards": shards, "verified": verified})


def stamp(folder: Path) -> dict[str, list[int]]:
    """Size and time of change of the files of the store `folder`."""
    stats = {name: (folder / name).stat() for name in (TOKENS, QUERY)}
    return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()}
