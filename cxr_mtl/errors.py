"""The one error a user can mend."""


class InputError(ValueError):
    """Bad input, told in one sentence: which file, which value, what to do.

    The command line prints the sentence and exits with code 2.
    """
