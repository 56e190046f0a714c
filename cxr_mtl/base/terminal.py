"""What a terminal shows: all text as text, whatever it holds and whatever the terminal can show."""

import io
import json
import os
import sys
import textwrap
from collections.abc import Callable
from typing import Any

from rich.console import Console, ConsoleDimensions
from rich.text import Text
from typer import TyperException

from cxr_mtl.base.errors import InputError

LEAST_WIDTH = 60
LONGEST_SENTENCE = 600


def printable(text: str) -> str:
    r"""The text with every character that could steer a terminal or hide written visibly.

    Control characters, marks of direction, invisible ones and lone surrogates become what Python
    writes for them, for example `\x1b`; line ends, tabs and blanks of any width stay.
    """
    if text.isprintable():
        return text
    return "".join(map(_visible, text.replace("\r\n", "\n")))


def filled(text: str, width: int = 72) -> str:
    """`printable` text in lines of about that width, of which none ends within a word or a path."""
    lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
    return printable("\n".join(lines))


def _visible(character: str) -> str:
    # Of the separators, which count as unprintable, only those of lines do more than part words.
    stays = character in "\n\t" or (character.isspace() and character > "\x9f")
    if character.isprintable() or (stays and character not in "\u2028\u2029"):
        return character
    return character.encode("unicode_escape").decode("ascii")


def one_line(sentence: str) -> str:
    """A sentence on bad input in one line; of a very long one the middle is left out."""
    line = "\\n".join(sentence.splitlines())
    if len(line) <= LONGEST_SENTENCE:
        return line
    half = LONGEST_SENTENCE // 2
    return f"{line[:half]} … {line[-half:]}"


class PlainConsole(Console):
    """A console to which every string is text: no markup, no emoji codes, no control characters.

    Styles are given by the argument `style` or by Rich's `Text`. A narrower terminal breaks lines
    of `LEAST_WIDTH` itself: columns would lose their words.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    @property
    def size(self) -> ConsoleDimensions:
        """Columns and lines to fill."""
        return super().size._replace(width=max(super().size.width, LEAST_WIDTH))

    def render_str(self, text: str, **options: Any) -> Text:
        """Every string that is printed, also in tables, passes here before it is measured."""
        shown = printable(text).encode(self.encoding, "backslashreplace").decode(self.encoding)
        return super().render_str(shown, **options)


def printable_json(value: Any) -> str:
    """A value as JSON in printable ASCII."""
    return json.dumps(value, indent=1).replace("\x7f", r"\u007f")  # json leaves this one


def complain(errors: Console, word: str, message: str) -> None:
    """Print a message after a word that stands out."""
    errors.print(Text(word, "bold red"), message)


def exit_code(command: Callable[[], int | None], errors: Console) -> int | None:
    """Call a command of Typer and give the code it ends with; bad input is told in one sentence.

    What the encoding of stdout or stderr lacks is written as escapes, and a reader who has enough,
    such as `head`, is no failure to be told.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = command()
        sys.stdout.flush()
        return code
    except InputError as error:
        complain(errors, "error:", one_line(str(error)))
        return 2
    except TyperException as error:  # the command line was used wrongly
        if error.format_message():
            complain(errors, "error:", f"{error.format_message()} `cxr-mtl --help` helps.")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the last flush
        return 1
