"""Edits of the JSON files of a model folder."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

CONFIG = "open_clip_config.json"
Change = Callable[[Any], Any]


def changed(path: Path, change: Change) -> None:
    """Change the content of a JSON file in place."""
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def of(file: str, **values: Any) -> tuple[str, Change]:
    """A file, and an edit of some of its fields."""
    return file, lambda content: content.update(values)


def of_model(part: str, **values: Any) -> tuple[str, Change]:
    """The same of a part of the model that open_clip's configuration describes."""
    return CONFIG, lambda content: content["model_cfg"][part].update(values)
