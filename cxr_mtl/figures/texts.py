"""Text in figures, whoever wrote it."""

from cxr_mtl.base.terminal import printable


def drawable(text: str, lines: int = 1, width: int = 30) -> str:
    """Text as a figure can hold it: printable, at most so many lines of so many characters."""
    cut = [line if len(line) <= width else f"{line[: width - 2]} …" for line in text.split("\n")]
    return printable("\n".join(cut if len(cut) <= lines else [*cut[: lines - 1], "…"]))
