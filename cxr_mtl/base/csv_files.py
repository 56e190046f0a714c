"""A user's CSV, read whole or refused by its line and the cause."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import check_regular_file

if TYPE_CHECKING:
    import pandas as pd  # at run time only where a table is read: the command line starts without

# The module csv takes a quote within an unquoted value for a character of it, so that one lost
# quote can join two rows. By this grammar, RFC 4180's, a table with one quote too many or too few
# never parses: every value holds an even number of them.
_VALUE = re.compile(r'(?:"([^"]*+(?:""[^"]*+)*+)"|([^",\r\n]*+))(,|\r\n|\r|\n|\Z)')
_QUOTED_FROM = re.compile(r'"[^"]*+(?:""[^"]*+)*+')
_QUOTING = "put the whole value in double quotes and write a quote within it twice"

# Only the encodings that switch by escape sequences are valid UTF-8 too, and read as garbage.
_SWITCH = re.compile(rb"\x1b\$(\)[CAG]|[@A-D]|\([@A-D])")
_SWITCHED = {b")C": "ISO-2022-KR", b")A": "ISO-2022-CN", b")G": "ISO-2022-CN"}
_FOR_EXCEL = re.compile(r'"?sep=.?"?[,;\t|]*', re.IGNORECASE)

_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_OTHER_KINDS = {
    b"PK\x03\x04": ("an Excel workbook or another ZIP archive", "export its sheet as CSV (UTF-8)"),
    b"\xd0\xcf\x11\xe0": ("an old Excel workbook", "export its sheet as CSV (UTF-8)"),
    b"\x1f\x8b": ("compressed by gzip", "unpack it and name the CSV"),
    b"BZh": ("compressed by bzip2", "unpack it and name the CSV"),
    b"\xfd7zXZ": ("compressed by xz", "unpack it and name the CSV"),
    b"\x28\xb5\x2f\xfd": ("compressed by zstd", "unpack it and name the CSV"),
    b"PAR1": ("a Parquet file", "export it as CSV"),
    b"%PDF": ("a PDF", "export its table as CSV"),
    b"\xff\xfe": ("UTF-16 text, not UTF-8", "save it as a UTF-8 CSV"),
    b"\xfe\xff": ("UTF-16 text, not UTF-8", "save it as a UTF-8 CSV"),
    b"version https://git-lfs": ("a pointer of git-lfs", "fetch the file itself (git lfs pull)"),
    b"<": ("an HTML or XML page", "download or export the CSV itself"),
    b"{": ("JSON", "export it as CSV"),
    b"[": ("JSON", "export it as CSV"),
}


def read_csv(
    path: Path | str,
    columns: Sequence[str],
    *,
    optional: Sequence[str] = (),
    prose: Sequence[str] = (),
) -> "pd.DataFrame":
    """Read a UTF-8 CSV with a header; every value stays text, an empty field is "".

    Args:
        columns: names that must be there.
        optional: names that the caller reads where they are there.
        prose: those of both that may hold line breaks.

    Returns:
        All columns of the file, indexed by the line each row begins on (the header is line 1).

    Raises:
        InputError: the file is missing, another kind of file, not UTF-8, or without rows; a line
            for Excel stands before the header; a name is missing, written otherwise or there twice;
            a quote stands where RFC 4180 allows none; a row has too few or too many fields, or a
            line break in a column that is no prose.
    """
    text = _text_of(Path(path))
    first = next((line for line in re.split(r"[\r\n]+", text) if line.strip()), "")
    if _FOR_EXCEL.fullmatch(first.strip()):
        raise InputError(
            f"{path} begins with {shortened(first)}, which is for Excel alone: delete this line, "
            "and separate the columns by commas"
        )
    _refuse_other_separators(path, first, columns)
    records = _records(path, text)
    _, header = next(records, (1, []))
    _check_header(path, first, header, columns, optional)
    rows = list(records)
    for line, row in rows:
        if len(row) != len(header):
            raise InputError(
                f"{path}, line {line}, has {len(row)} field{'s' * (len(row) != 1)} instead of "
                f"{len(header)}: put values with commas in double quotes and leave none out"
            )
    if not rows:
        raise InputError(f"{path} has no rows: add at least one under its header")
    import pandas as pd

    lines, values = zip(*rows, strict=True)
    table = pd.DataFrame(values, index=lines, columns=header, dtype=str)
    for name in [*columns, *optional]:
        if name in header and name not in prose:
            _refuse_line_breaks(path, table[name])
    return table


def shortened(text: str, width: int = 40) -> str:
    """The beginning of a text from a file, in quotes, what cannot be seen written as an escape."""
    return repr(text if len(text) <= width else text[: width - 2] + " …")


def listed(names: Sequence[str]) -> str:
    """Names in words: a, b and c."""
    return " and ".join(", ".join(names).rsplit(", ", 1))


def _text_of(path: Path) -> str:
    if not os.path.exists(path) and re.match(r"\w+:/", str(path)):
        raise InputError(f"{path} is an address: download the CSV and name the file")
    check_regular_file(path, "CSV")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}): mend its permissions"
        ) from error
    for beginning, (kind, remedy) in _OTHER_KINDS.items():
        if content.startswith(beginning):
            raise InputError(f"{path} is {kind}: {remedy}")
    if b"\0" in content:
        if content.count(b"\0") > len(content) // 4:
            raise InputError(f"{path} is UTF-16 text, not UTF-8: save it as a UTF-8 CSV")
        line = 1 + content[: content.index(b"\0")].count(b"\n")
        raise InputError(f"{path}, line {line}, holds a NUL byte, as no text does: save it again")
    switch = _SWITCH.search(content)
    if switch:
        line = 1 + content[: switch.start()].count(b"\n")
        encoding = _SWITCHED.get(switch[1], "ISO-2022-JP")
        raise InputError(
            f"{path}, line {line}, is {encoding} text, not UTF-8 (an escape sequence switches its "
            f"letters): save it as a UTF-8 CSV, as by iconv -f {encoding} -t UTF-8"
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = 1 + content[: error.start].count(b"\n")
        raise InputError(
            f"{path}, line {line}, is not UTF-8 text (byte 0x{content[error.start]:02x}): "
            "save it as a UTF-8 CSV"
        ) from None


def _records(path: Path | str, text: str) -> Iterator[tuple[int, list[str]]]:
    """Each row with the line it begins on; blank lines are none."""
    position, line, begins, row = 0, 1, 1, []
    while True:
        match = _VALUE.match(text, position)
        if match is None:
            raise InputError(f"{path}, line {line}, {_misplaced_quote(text, position, line)}")
        quoted, plain, end = match.groups()
        row.append(plain if quoted is None else quoted.replace('""', '"'))
        line += _line_breaks(match[0])
        if end != ",":
            if len(row) > 1 or quoted is not None or plain.strip():
                yield begins, row
            begins, row = line, []
        if end == "":
            return
        position = match.end()


def _misplaced_quote(text: str, position: int, line: int) -> str:
    if text[position] != '"':
        near = re.compile(r"[^,\r\n]*").match(text, position)[0]
        return f"has a double quote within {shortened(near)}: {_QUOTING}"
    value = _QUOTED_FROM.match(text, position)
    opens = f"opens a double quote ({shortened(value[0])})"
    if value.end() == len(text):
        return f"{opens} that is never closed: close it, and write a quote within a value twice"
    rest = re.split(r"[\r\n]", text[value.end() + 1 : value.end() + 40])[0]
    closes = line + _line_breaks(value[0])
    return f"{opens} that ends on line {closes} before {shortened(rest, 20)}: {_QUOTING}"


def _line_breaks(text: str) -> int:
    return text.count("\n") + text.count("\r") - text.count("\r\n")


def _plain(name: str) -> str:
    """A column's name without what people write otherwise: case, blanks and signs."""
    return re.sub(r"[\W_]+", "", name).casefold()


def _refuse_other_separators(path: Path | str, first: str, columns: Sequence[str]) -> None:
    wanted = {_plain(name) for name in columns}
    for separator, words in _SEPARATORS.items():
        if separator in first and wanted <= {_plain(name) for name in first.split(separator)}:
            raise InputError(f"{path} separates its columns by {words}: save it with commas")


def _check_header(
    path: Path | str,
    first: str,
    header: Sequence[str],
    columns: Sequence[str],
    optional: Sequence[str],
) -> None:
    reads = f"reads {shortened(first, 60)}" if first else "is empty"
    written = {_plain(name): name for name in header}
    alike = {
        written[_plain(name)]: name
        for name in [*columns, *optional]
        if name not in header and _plain(name) in written
    }
    if alike:
        raise InputError(
            f"{path} names {listed([repr(name) for name in alike])} in its first line: did you "
            f"mean {listed(list(alike.values()))}? Write {'it' if len(alike) == 1 else 'them'} so"
        )
    missing = [name for name in columns if name not in header]
    if missing:
        known = set(header) & {*columns, *optional}
        raise InputError(
            f"{path} lacks the column{'s' * (len(missing) > 1)} {listed(missing)}: its first line "
            f"must name {listed(columns)}, and {reads}"
            + ("" if known or not first else "; if it has no header, add one")
        )
    if header.count("") > 1:
        raise InputError(
            f"{path} leaves {header.count('')} columns without a name: name them, or delete the "
            "commas that are too many in every line"
        )
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{path} names a column twice, {twice!r}: give every column its own name")


def _refuse_line_breaks(path: Path | str, values: "pd.Series") -> None:
    broken = values.str.contains(r"[\r\n]")
    if broken.any():
        line = broken.idxmax()
        raise InputError(
            f"{path}, line {line}, has a line break in its {values.name} "
            f"({shortened(values[line])}): close the double quote before it"
        )
