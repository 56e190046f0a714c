"""MyST Markdown as plain Markdown: what a notebook shows outside of the book."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from cxr_mtl.base.errors import InputError

Roles = Mapping[str, Callable[[str], str]]

_OPEN = re.compile(r"^(?P<fence>`{3,}|:{3,})\{(?P<name>[\w-]+)\}[ \t]*(?P<argument>.*)$")
_ROLE = re.compile(r"(?<![`\w])\{([\w:-]+)\}`([^`]+)`")
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)")
_LABELLED_MATH = re.compile(r"^(.*\$\$)[ \t]*\([\w-]+\)$", re.M)
_OPTION = re.compile(r"^:[\w-]+:")
_ADMONITIONS = ("note", "tip", "hint", "warning", "important", "caution", "attention", "seealso")


class Directive(NamedTuple):
    """A directive of MyST: its name, the text after it, and its lines without the options."""

    name: str
    argument: str
    body: str


def plain_markdown(text: str, source: str, roles: Roles, page: Callable[[str, str], str]) -> str:
    """Directives, roles and links to pages of the book as Markdown that any notebook shows.

    Args:
        text: a Markdown cell.
        source: what errors call it, for example its file.
        roles: for each role what becomes of its content.
        page: what becomes of a link to a page, from its words and its target; links with a scheme
            and links inside the page stay.

    Raises:
        InputError: a directive or a role that this does not know, or a directive without an end.
    """
    blocks = []
    for block in _blocks(text, source):
        if isinstance(block, Directive):
            body = (
                block.body
                if block.name == "math"
                else plain_markdown(block.body, source, roles, page)
            )
            blocks.append(_written(block._replace(body=body), source))
        elif block.startswith("```"):
            blocks.append(block)
        else:
            blocks.append(_inline(block, source, roles, page))
    return "\n".join(blocks)


def _blocks(text: str, source: str) -> Iterator[str | Directive]:
    """The text cut into directives, code blocks and what stands between them."""
    lines = text.splitlines()
    plain: list[str] = []
    while lines:
        line = lines.pop(0)
        opened = _OPEN.match(line)
        fence = opened["fence"] if opened else re.match(r"`{3,}|", line)[0]
        if not fence:
            plain.append(line)
            continue
        if plain:
            yield "\n".join(plain)
            plain = []
        closing = re.compile(rf"^{fence[0]}{{{len(fence)},}}[ \t]*$")
        ends = [i for i, later in enumerate(lines) if closing.match(later)]
        if not ends:
            raise InputError(f"{source}: `{line}` has no closing line `{fence}`")
        body, lines = lines[: ends[0]], lines[ends[0] + 1 :]
        if opened:
            while body and (_OPTION.match(body[0]) or not body[0].strip()):
                body.pop(0)
            yield Directive(opened["name"], opened["argument"].strip(), "\n".join(body))
        else:
            yield "\n".join([line, *body, fence])
    if plain:
        yield "\n".join(plain)


def _written(block: Directive, source: str) -> str:
    name, argument, body = block
    if name == "exercise":
        return f"## Exercise: {argument}\n\n{body}"
    if name == "math":
        return f"$$\n{body}\n$$"
    if name in ("code", "code-block"):
        return f"```{argument}\n{body}\n```"
    if name == "admonition" or name in _ADMONITIONS:
        title = argument if name == "admonition" else name.capitalize()
        quoted = "\n".join(f"> {line}".rstrip() for line in body.splitlines())
        return f"> **{title}**\n>\n{quoted}"
    known = ", ".join(["exercise", "math", "code-block", "admonition", *_ADMONITIONS])
    raise InputError(f"{source}: {{{name}}} has no plain form: use one of {known}")


def _inline(text: str, source: str, roles: Roles, page: Callable[[str, str], str]) -> str:
    def role(found: re.Match[str]) -> str:
        name, content = found.groups()
        if name not in roles:
            raise InputError(f"{source}: {{{name}}} has no plain form: use {', '.join(roles)}")
        return roles[name](content)

    def link(found: re.Match[str]) -> str:
        words, target = found.groups()
        stays = re.match(r"\w+:|#", target) is not None
        return found[0] if stays else page(words, target)

    text = _LABELLED_MATH.sub(r"\1", text)
    return _LINK.sub(link, _ROLE.sub(role, text))
