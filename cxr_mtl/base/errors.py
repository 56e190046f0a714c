"""The one error a user can mend."""

from typing import Any, get_args


class InputError(ValueError):
    """Bad input, told in one sentence: which file, which value, what to do.

    The command line prints the sentence and exits with code 2.
    """


def check_choice(name: str, value: Any, choices: Any) -> None:
    """Refuse a value of the parameter `name` that the Literal type `choices` does not list.

    Raises:
        InputError: naming the parameter, the value and every choice.
    """
    if value not in get_args(choices):
        known = ", ".join(map(str, get_args(choices)))
        raise InputError(f"{name}='{value}' is no choice: write one of {known}")
