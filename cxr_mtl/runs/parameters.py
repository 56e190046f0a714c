"""Typed parameters: declared once, in a chapter's cell tagged `parameters`, and checked there."""

import ast
import difflib
import io
import json
import re
import tokenize
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Optional, get_origin

from pydantic import ConfigDict, TypeAdapter, ValidationError

from cxr_mtl.base import choices
from cxr_mtl.base.errors import InputError
from cxr_mtl.base.files import user_path
from cxr_mtl.runs.parameter_ranges import RANGES, READ_WITH, SYMBOLS

Values = dict[str, Any]
"""Checked values by the names of their parameters."""
MADE = ("run_dir", "cache_dir")
"""Folders that a run makes: paths, though what lies in them is no input of a stage."""
_TYPES = {
    "int": int,
    "float": float,
    "str": str,
    "bool": bool,
    "Path": Path,
    "list": list,
    "Optional": Optional,
    **{name: choice for name, choice in vars(choices).items() if get_origin(choice) is Literal},
}


@dataclass(frozen=True)
class Parameter:
    """One line `name: annotation = default  # comment` of a parameters cell.

    `default` and every checked value are JSON values; a `Path` is held as text.
    """

    name: str
    annotation: str
    default: Any
    comment: str

    @property
    def is_path(self) -> bool:
        """Whether the value names a file or a folder that a stage reads."""
        return "Path" in re.findall(r"\w+", self.annotation)

    @property
    def is_place(self) -> bool:
        """Whether the value is a path: of what a stage reads, or of a folder that runs fill."""
        return self.is_path or self.name in MADE

    def check(self, value: Any, source: str) -> Any:
        """Return `value` as the declared type holds it; `source` says where it was written.

        Raises:
            InputError: the value has another type.
        """
        adapter = TypeAdapter(
            _type_of(self.annotation), config=ConfigDict(strict=True, allow_inf_nan=False)
        )
        try:
            # JSON mode is strict about numbers and truth values yet reads a Path from text.
            read = adapter.dump_python(adapter.validate_json(json.dumps(value)), mode="json")
        except (ValidationError, TypeError) as error:
            reason = error.errors()[0]["msg"].lower() if isinstance(error, ValidationError) else ""
            from_file = not source.startswith("-")  # -p and --grid are not read as YAML
            remedy = _yaml_float(value) if "float" in self.annotation and from_file else ""
            raise InputError(
                f"{source}: {self.name} = {value!r} is not of type {self.annotation}: "
                + (remedy or reason or "give a value of that type")
            ) from None
        if self.is_place and isinstance(read, str) and read.startswith("~"):
            return self._at_home(read, source)
        return read

    def _at_home(self, path: str, source: str) -> str:
        try:
            return str(user_path(path))
        except RuntimeError:
            raise InputError(
                f"{source}: {self.name} = {path!r}: there is no such home: write the path in full"
            ) from None

    def check_range(self, value: Any, source: str) -> None:
        """Refuse a value of the right type that is out of the range `RANGES` gives its name.

        Raises:
            InputError: the value is out of range.
        """
        if self.name not in RANGES:
            return
        in_range = Annotated[_type_of(self.annotation), RANGES[self.name]]
        try:
            TypeAdapter(in_range).validate_python(value)
        except ValidationError as error:
            own = error.errors()[0]["msg"].removeprefix("Value error, ")
            reason = own[:1].lower() + own[1:]
            raise InputError(
                f"{source}: {self.name} = {value!r} is out of range: {reason}"
            ) from None

    def parse(self, text: str, source: str) -> Any:
        """Return the value that command-line `text` means for the declared type.

        Raises:
            InputError: the text cannot be read as that type.
        """
        for read in (json.loads, ast.literal_eval):
            try:
                return self.check(read(text), source)
            except (ValueError, SyntaxError, TypeError, RecursionError):
                continue
        return self.check(text, source)


def read_parameters(source: str, chapter: str) -> dict[str, Parameter]:
    """Read the parameters declared in a cell's source, without executing it.

    Raises:
        InputError: a line is not `name: type = literal`, or the type is not allowed, or the line
            is several, which papermill's inspector does not read.
    """
    parameters = {}
    comments = _comments(source)
    for line in _statements(source, chapter):
        if not (
            isinstance(line, ast.AnnAssign)
            and isinstance(line.target, ast.Name)
            and line.value is not None
        ):
            raise InputError(
                f"{chapter}: the parameters cell may hold only lines `name: type = default`, "
                f"not `{ast.unparse(line)}`"
            )
        name, annotation = line.target.id, ast.unparse(line.annotation)
        if name in parameters:
            raise InputError(f"{chapter}: the parameter {name} is declared twice")
        try:
            _type_of(annotation)
            default = ast.literal_eval(line.value)
        except (ValueError, TypeError, SyntaxError):
            raise InputError(
                f"{chapter}: `{ast.unparse(line)}` needs a type made of int, float, str, bool, "
                "Path, list[...], Optional[...] and the names in cxr_mtl/base/choices.py, and a "
                "literal default"
            ) from None
        if line.lineno != line.end_lineno:
            raise InputError(f"{chapter}: write `{ast.unparse(line)}` on one line")
        comment = comments.get(line.lineno, "")
        parameter = Parameter(name, annotation, None, comment)
        checked = parameter.check(default, f"{chapter} (default)")
        parameters[name] = Parameter(name, annotation, checked, comment)
    return parameters


def write_parameters(source: str, values: Mapping[str, Any]) -> str:
    """Return a parameters cell with the defaults replaced by `values`, comments kept."""
    lines = source.splitlines()
    for line in ast.parse(source).body:
        name, old = line.target.id, line.value
        if name in values and ast.literal_eval(old) != values[name]:
            # Offsets of the ast count UTF-8 bytes.
            written = lines[line.lineno - 1].encode()
            before, after = written[: old.col_offset], written[old.end_col_offset :]
            lines[line.lineno - 1] = f"{before.decode()}{values[name]!r}{after.decode()}"
    return "\n".join(lines)


def value_text(value: Any) -> str:
    """A parameter's value as `-p` takes it."""
    return value if isinstance(value, str) else json.dumps(value)


def merge_declarations(chapters: Mapping[str, Mapping[str, Parameter]]) -> dict[str, Parameter]:
    """Join the declarations of all chapters; a shared name must be declared alike.

    Raises:
        InputError: two chapters declare a name with different types or defaults.
    """
    merged: dict[str, Parameter] = {}
    declared_in: dict[str, str] = {}
    for chapter, parameters in chapters.items():
        for name, parameter in parameters.items():
            other = merged.setdefault(name, parameter)
            if (other.annotation, other.default) != (parameter.annotation, parameter.default):
                raise InputError(
                    f"{chapter} declares {name}: {parameter.annotation} = {parameter.default!r}, "
                    f"but {declared_in[name]} has {other.annotation} = {other.default!r}: "
                    "make them alike"
                )
            declared_in.setdefault(name, chapter)
    return merged


def resolve(
    declared: Mapping[str, Parameter],
    profile: Mapping[str, Any],
    profile_path: str,
    overrides: Iterable[str] = (),
) -> dict[str, Any]:
    """Return the value of every declared parameter: default, then profile, then `name=value`.

    An override may name a parameter by its symbol in the paper (`SYMBOLS`).

    Raises:
        InputError: a name is not declared or overridden twice, or a value has the wrong type, is
            out of its range, or would not be read.
    """
    values = {name: parameter.default for name, parameter in declared.items()}
    sources = dict.fromkeys(declared, "default")
    for name, value in profile.items():
        values[name] = known(name, declared, profile_path).check(value, profile_path)
        sources[name] = profile_path
    for override in overrides:
        name, equals, text = override.partition("=")
        if not equals:
            raise InputError(f"-p {override} lacks its value: write -p NAME=VALUE")
        name = SYMBOLS.get(name, name)
        values[name] = known(name, declared, "-p").parse(text, "-p")
        if sources[name] == "-p":
            raise InputError(f"-p gives {name} twice, the second time as {override}: give it once")
        sources[name] = "-p"
    for name, source in sources.items():
        declared[name].check_range(values[name], source)
        if source == "-p":
            _check_read(name, values)
    return values


def _check_read(name: str, values: Mapping[str, Any]) -> None:
    """Refuse a value that was asked for and that nothing would read."""
    other, choice = READ_WITH.get(name, (name, values[name]))
    if values[name] is not None and values.get(other) != choice:
        raise InputError(
            f"-p {name}={values[name]} would not be read, for {other} is {values.get(other)!r}: "
            f"add -p {other}={choice}, or leave it out"
        )


def known(
    name: str,
    declared: Mapping[str, Parameter],
    source: str,
    lacks: str = "no chapter has a parameter",
) -> Parameter:
    """The parameter of that name; `source` says where it was written.

    Raises:
        InputError: none is declared; the sentence tells the nearest name.
    """
    if name in declared:
        return declared[name]
    symbol = [SYMBOLS[name]] if SYMBOLS.get(name) in declared else []
    near = symbol or difflib.get_close_matches(name, declared, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(declared))}"
    raise InputError(f"{source}: {lacks} {name}: {hint}")


def _statements(source: str, chapter: str) -> list[ast.stmt]:
    try:
        return ast.parse(source).body
    except SyntaxError as error:
        raise InputError(f"{chapter}: the parameters cell is not Python ({error})") from None


def _type_of(annotation: str) -> Any:
    """Evaluate an annotation in a namespace that holds the allowed types and nothing else."""
    tree = ast.parse(annotation, mode="eval")
    for node in ast.walk(tree.body):
        if not isinstance(node, ast.Name | ast.Subscript | ast.Load):
            raise ValueError(f"{type(node).__name__} is not allowed in a type")
        if isinstance(node, ast.Name) and node.id not in _TYPES:
            raise ValueError(f"{node.id} is not an allowed type")
    if re.search(r"\bOptional\b(?!\[)", annotation):
        raise ValueError("Optional needs a type in brackets")
    return eval(compile(tree, "annotation", "eval"), {"__builtins__": {}}, _TYPES)


def _comments(source: str) -> dict[int, str]:
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    except (tokenize.TokenError, SyntaxError):
        return {}
    return {
        token.start[0]: token.string.lstrip("# ").strip()
        for token in tokens
        if token.type == tokenize.COMMENT
    }


def _yaml_float(value: Any) -> str:
    """How to spell the first text in `value` that YAML 1.1 does not read as a number."""
    for text in value if isinstance(value, list) else [value]:
        number = isinstance(text, str) and re.fullmatch(
            r"([+-]?\d+)(\.\d*)?(?:[eE]([+-]?)(\d+))?", text.strip()
        )
        if number:
            whole, fraction, sign, exponent = number.groups()
            fraction = fraction if fraction and len(fraction) > 1 else ".0"
            exponent = f"e{sign or '+'}{exponent}" if exponent else ""
            return f"write {whole}{fraction}{exponent}, since YAML reads {text} as text"
    return ""
