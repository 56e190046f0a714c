"""What pages keep to themselves: on which machine, in whose folders the run's files lie."""

import html
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from cxr_mtl.base.markdown_text import markdown_text
from cxr_mtl.base.terminal import printable
from cxr_mtl.runs.manifest import Record


@dataclass(frozen=True)
class PrivatePaths:
    """Absolute paths as readers elsewhere see them: from the repository, or a file's name alone.

    Args:
        shown: what stands in the place of each folder with the slash behind it.
    """

    shown: Mapping[str, str]

    def hide(self, text: str) -> str:
        """The text without the folders, however it writes them: as text, Python, JSON or HTML."""

        def instead(found: re.Match[str]) -> str:
            shown = self._spelt[" ".join(found["folder"].split())]
            return shown if found["slash"] else shown.rstrip("/") or "."

        return self._pattern.sub(instead, text)

    def hide_all(self, value: Any) -> Any:
        """`hide` in all texts of a JSON value, for example a notebook, but for its pictures."""
        if isinstance(value, str):
            return self.hide(value)
        if isinstance(value, dict):
            kept = {key for key in value if key in ("image/png", "image/jpeg")}
            return type(value)(
                {key: one if key in kept else self.hide_all(one) for key, one in value.items()}
            )
        return [self.hide_all(one) for one in value] if isinstance(value, list) else value

    @cached_property
    def _spelt(self) -> dict[str, str]:
        return {
            " ".join(spelling.split()): shown
            for folder, shown in self.shown.items()
            for spelling in _spellings(folder)
        }

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        longest_first = sorted(self._spelt, key=len, reverse=True)
        # Not within a longer path or an address; the colours of a traceback stand before a path.
        begins = r"(?:(?<=file://)|(?<=\dm)|(?<![\w./~-]))"
        # A line may end at a blank of a folder's name.
        words = (map(re.escape, spelling.split()) for spelling in longest_first)
        folders = "|".join(map(r"\s+".join, words))
        return re.compile(rf"{begins}(?P<folder>{folders})(?:(?P<slash>/)|(?![\w~-]))")


def private_paths(root: Path, records: Iterable[Record]) -> PrivatePaths:
    """The repository's folder, this user's home, and those of the files that a run was given."""
    folders = {str(Path.home()): "~/", str(root): "", str(root.resolve()): ""}
    for record in records:
        for path in _absolute_paths(record.parameters):
            for folder in (path.parent, path.resolve().parent):
                folders.setdefault(str(folder), "")
    return PrivatePaths({folder: shown for folder, shown in folders.items() if folder != "/"})


def _absolute_paths(value: Any) -> Iterable[Path]:
    """The absolute paths among parameters, also behind the word of a kind such as `local-dir:`."""
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _absolute_paths(one)
    elif isinstance(value, str) and (found := re.fullmatch(r"(?:[\w-]+:)?(/.*)", value, re.DOTALL)):
        yield Path(found[1])


def _spellings(text: str) -> set[str]:
    """A text as it may stand in texts of notebooks and pages."""
    once = {text, printable(text), str(markdown_text(text)), repr(text)[1:-1]}
    once |= {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
    once.add(text.encode("unicode_escape").decode().replace('"', r"\""))  # papermill's own
    return once | {html.escape(one, quote) for one in once for quote in (True, False)}
