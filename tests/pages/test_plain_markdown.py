"""MyST as plain Markdown: nothing of the book's syntax is left, and nothing else changes."""

import pytest

from cxr_mtl.base.errors import InputError
from cxr_mtl.pages.plain_markdown import plain_markdown

ROLES = {"num": lambda content: f"<{content}>", "math": lambda content: f"${content}$"}


def plain(text):
    return plain_markdown(text, "the page", ROLES, lambda words, target: f"{words} ({target})")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# Title\n\n*plain* `code` $x$\n", "# Title\n\n*plain* `code` $x$"),
        ("a {num}`x?k=1:.3f` b {math}`y`", "a <x?k=1:.3f> b $y$"),
        ("`{num}` and `f{x}` stay", "`{num}` and `f{x}` stay"),
        ("[a page](../01_data) here", "a page (../01_data) here"),
        ("[out](https://example.org) [in](#here)", "[out](https://example.org) [in](#here)"),
        ("```{math}\n:label: eq-a\n\nx^2\n```", "$$\nx^2\n$$"),
        ("$$ x^2 $$ (eq-a)", "$$ x^2 $$"),
        (
            "```{exercise} Twice\n:label: ex-a\n\nDo {num}`it`.\n```",
            "## Exercise: Twice\n\nDo <it>.",
        ),
        (":::{tip}\nTry {num}`it`.\n\nTwice.\n:::", "> **Tip**\n>\n> Try <it>.\n>\n> Twice."),
        ("```{admonition} Why?\n:class: tip\nSo.\n```", "> **Why?**\n>\n> So."),
        ("```{code-block} python\n:linenos:\nx = 1\n```", "```python\nx = 1\n```"),
        ("```python\n[a](b) {num}`x`\n```", "```python\n[a](b) {num}`x`\n```"),
        (
            "````{exercise} Deep\n:label: ex-b\n\n```{math}\nx\n```\n\nafter\n````\nlast",
            "## Exercise: Deep\n\n$$\nx\n$$\n\nafter\nlast",
        ),
    ],
)
def test_a_text_reads_the_same_outside_of_the_book(text, expected):
    assert plain(text) == expected


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "```{figure} a.png\n```",
            "the page: {figure} has no plain form: use one of exercise, math",
        ),
        ("see {nowhere}`x`", "the page: {nowhere} has no plain form: use num, math"),
        ("```{note}\nx", "the page: `\\`\\`\\`{note}` has no closing line".replace("\\", "")),
    ],
)
def test_what_has_no_plain_form_is_refused(text, sentence):
    with pytest.raises(InputError) as error:
        plain(text)
    assert sentence in str(error.value)
