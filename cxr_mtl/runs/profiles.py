"""Profiles: YAML files of parameter values, read as their writers mean them."""

import re
from pathlib import Path
from typing import Any

import yaml

from cxr_mtl.base.errors import InputError

_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


def read_profile(path: Path) -> dict[str, Any]:
    """Read a profile: a flat YAML mapping of parameter names to values.

    Raises:
        InputError: the file is missing, is not such a mapping, names a key twice, or holds a number
            that YAML reads to another base than 10.
    """
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=_StrictLoader)
    except FileNotFoundError:
        raise InputError(f"the profile {path} does not exist: name another file") from None
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        deep = isinstance(error, RecursionError)
        reason = "it is nested too deeply" if deep else " ".join(str(error).split())
        raise InputError(f"the profile {path} is not readable YAML: {reason}") from None
    if values is None:
        return {}
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise InputError(f"the profile {path} must hold lines `name: value` and nothing else")
    return values


class _StrictLoader(yaml.SafeLoader):
    """A safe loader that refuses a key given twice, and says where a value is none of its kind.

    YAML 1.1 reads `010` as 8 and `1:30` as 90, which nobody means; they are refused.
    """

    def construct_scalar(self, node: yaml.Node) -> Any:
        text = super().construct_scalar(node)
        if node.tag in _NUMBERS and re.match(r"[-+]?(0\d|.*:)", text):
            raise yaml.constructor.ConstructorError(
                None,
                None,
                f"YAML reads {text} to another base: write it to the base 10",
                node.start_mark,
            )
        return text

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError):  # a 13th month, `!!bool x`
            kind = node.tag.removeprefix("tag:yaml.org,2002:")
            raise yaml.constructor.ConstructorError(
                None, None, f"this is no {kind}", node.start_mark
            ) from None

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = sorted({str(key) for key in keys if keys.count(key) > 1})
        if twice:
            raise yaml.constructor.ConstructorError(
                None, None, f"{twice[0]} is given twice", node.start_mark
            )
        return super().construct_mapping(node, deep)
