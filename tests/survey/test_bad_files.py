"""Bad files: raised at once, or noted once each."""

from __future__ import annotations

import pytest

from onepass.errors import BadPartition, DataError
from onepass.survey.bad_files import BadFiles

ERRORS = [BadPartition(reason, path=path) for path, reason in (("b", "1"), ("a", "2"), ("b", "3"))]


def test_first_error_is_raised_unless_bad_files_are_skipped():
    bad = BadFiles(skip=False)
    with pytest.raises(BadPartition) as caught:
        bad.add(ERRORS[0])
    assert caught.value is ERRORS[0]
    with pytest.raises(BadPartition) as caught, bad.caught():
        raise ERRORS[1]
    assert caught.value is ERRORS[1]
    assert list(bad) == []


def test_first_error_of_each_file_is_noted_in_the_order_of_finding():
    bad = BadFiles(skip=True)
    for error in ERRORS:
        with bad.caught():
            raise error
    assert list(bad) == ERRORS[:2]
    assert "a" in bad
    assert "c" not in bad


def test_other_errors_pass_though_bad_files_are_skipped():
    with pytest.raises(DataError, match="another"), BadFiles(skip=True).caught():
        raise DataError("another")
