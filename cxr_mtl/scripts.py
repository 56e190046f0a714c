"""Data as a classic script, which pages opened from disk may load where they may not fetch."""

import json
from typing import Any


def assignment(variable: str, value: Any) -> str:
    """A script that sets `window.<variable>` to a JSON value, in ASCII.

    No text in the value can end a script element, also where the script is put inside a page.

    Raises:
        ValueError: the value holds NaN or infinity.
    """
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    escaped = text.replace("<", r"\u003c")
    return f"window.{variable} = {escaped};\n"
