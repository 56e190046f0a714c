"""A script sets exactly the value it was given, and nothing in the value can end it."""

import json

import pytest

from cxr_mtl.scripts import assignment

HOSTILE = 'a</script><!-- "quoted" \\ \u2028 \u2029 é 肺\n'


def value_of(script, variable):
    head = f"window.{variable} = "
    assert script.startswith(head)
    assert script.endswith(";\n")
    return json.loads(script.removeprefix(head).removesuffix(";\n"))


def test_the_value_comes_back_whatever_its_texts_hold():
    value = {"report": HOSTILE, HOSTILE: [1, 0.5, None, True]}
    assert value_of(assignment("X", value), "X") == value


def test_a_script_is_ascii_on_one_line_and_opens_no_tag():
    script = assignment("X", [HOSTILE])
    assert script.isascii()
    assert "<" not in script
    assert script.count("\n") == 1


def test_a_number_that_is_none_is_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        assignment("X", float("nan"))
