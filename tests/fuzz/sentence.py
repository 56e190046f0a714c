"""What an error's sentence must be where it is read: one line, not long, as text, with a remedy."""

import io
import re
import unicodedata

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.terminal import PlainConsole, exit_code

_UNSHOWN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Categories of Unicode that steer a terminal, turn the direction of writing or end a line."""

LONGEST = 1200
"""Characters of a whole line; of an escaped character one becomes up to ten."""


def told(error: InputError) -> str:
    """What the command line says of bad input, and nothing else."""

    def fail() -> None:
        raise error

    file = io.StringIO()
    code = exit_code(fail, PlainConsole(file=file, soft_wrap=True))
    assert code == 2, f"bad input ends with {code}"
    return file.getvalue()


def flaws_of(line: str) -> list[str]:
    """What is wrong with what `told` gives."""
    flaws = []
    if line.count("\n") != 1:
        flaws.append("has several lines")
    if any(unicodedata.category(character) in _UNSHOWN for character in line.replace("\n", "")):
        flaws.append("holds control codes")
    if len(line) > LONGEST:
        flaws.append(f"has more than {LONGEST} characters")
    if not re.search(r"\w.*[:;] \w", line.removeprefix("error: ")):
        flaws.append("names no remedy behind a colon")
    return flaws
