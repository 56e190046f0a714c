"""Texts that people and programs bring: other scripts, markup, control codes, huge numbers."""

import string

from hypothesis import strategies as st

PIECES = (
    "",
    " ",
    ".",
    "..",
    "../secret",
    "/etc/passwd",
    "nan",
    "None",
    "null",
    "NULL",
    "-0",
    "1e309",
    "0001",
    "1.0",
    "=1+1",
    '"',
    "'",
    '""',
    ",",
    ";",
    "\t",
    "\n",
    "\r",
    "\r\n",
    "\\",
    "\\n",
    "\0",
    "\x1b[31m",
    "\x1b]0;title\x07",
    "\ufeff",
    "\u202e",
    "\u2028",
    "\ud800",
    "<script>alert(1)</script>",
    "<svg onload=alert(1)>",
    "`<img src=x onerror=alert(1)>`",
    "$\\foo$",
    "$5 to $7",
    "{{7*7}}",
    "{}",
    "%s",
    "[bold]",
    "[/]",
    "µ",
    "é",
    "e\u0301",
    "肺",
    "𝔁",
    "🫁",
    "A" * 200,
    "9" * 40,
    "XXXX XXXX.",
    "No acute disease.",
    "Large right pleural effusion.",
)

pieces = st.sampled_from(PIECES)

texts = st.lists(pieces | st.text(max_size=8), max_size=4).map("".join)
"""Short texts, most of them odd."""

plain = st.text(string.ascii_letters + string.digits + "_- .", min_size=1, max_size=12)
"""Texts as honest files hold them."""

seeds = st.integers(0, 2**32 - 1)
"""What a mutation made by `random.Random` is drawn by: faster than drawing its bytes."""
