"""Text in Markdown: as text, as code, and Markdown of one's own, which is marked as such."""

import re

from cxr_mtl.base.terminal import printable

# An underscore within a word and most colons mean nothing; those that do would hide or link text.
_ANYWHERE = re.compile(r"[\\`*{}\[\]<>$&~|@]|(?<![^\W_])_|_(?![^\W_])|:(?=/)")
_AT_THE_START = re.compile(r"^(?:([0-9]+)(?=[.)](?: |$))|(?=[-+#=%!:]|\(.*\)=))")


class Markdown(str):
    """Markdown of one's own, in which foreign text is escaped; any other `str` is text."""

    __slots__ = ()


def as_markdown(text: str) -> Markdown:
    """Markdown as it is, and text as Markdown that shows it."""
    return text if isinstance(text, Markdown) else markdown_text(text)


def markdown_text(text: str) -> Markdown:
    """Markdown, on one line, that shows the text itself: in the book and in any notebook.

    What is no printable character is written visibly; white space counts as one blank.
    """
    line = " ".join(printable(text).split())
    escaped = _ANYWHERE.sub(r"\\\g<0>", line)
    return Markdown(_AT_THE_START.sub(r"\1\\", escaped))


def code_span(text: str) -> Markdown:
    """Markdown, on one line, that shows the text as code."""
    line = " ".join(printable(text).split()) or " "
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    # One blank at each end is taken off where both are there; one of backticks needs it.
    pad = " " if len(fence) > 1 else ""
    return Markdown(f"{fence}{pad}{line}{pad}{fence}")
