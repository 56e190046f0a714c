"""Without warnings inside, as before outside, whoever leaves first."""

import logging
import threading
import warnings

import pytest

from cxr_mtl.base.quiet import Quiet


def test_nothing_is_warned_inside_and_everything_outside():
    quiet = Quiet("a library")
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with quiet:
            warnings.warn("inside", stacklevel=1)
        warnings.warn("outside", stacklevel=1)
    assert [str(warning.message) for warning in seen] == ["outside"]


def test_the_library_logs_nothing_inside_and_logs_again_outside(caplog):
    with Quiet("a library"):
        logging.getLogger("a library").warning("inside")
        logging.getLogger("another").warning("of another")
    logging.getLogger("a library").warning("outside")
    assert caplog.messages == ["of another", "outside"]


def test_an_error_leaves_the_filters_as_they_were():
    before = list(warnings.filters)
    with pytest.raises(ValueError, match="broken"), Quiet("a library"):
        raise ValueError("broken")
    assert warnings.filters == before


def test_threads_that_leave_in_the_order_they_entered_leave_the_filters_as_they_were():
    quiet, before = Quiet("a library"), list(warnings.filters)
    entered, left = threading.Event(), threading.Event()

    def second():
        with quiet:
            entered.set()
            left.wait(10)
            assert warnings.filters[0][0] == "ignore"

    other = threading.Thread(target=second)
    with quiet:
        other.start()
        entered.wait(10)
    assert warnings.filters[0][0] == "ignore"
    left.set()
    other.join()
    assert warnings.filters == before
