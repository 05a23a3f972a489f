"""Tests which error a response becomes, and how long the operator waits after it."""

import pytest

from sdbench.controller.apiserver import errors
from sdbench.controller.apiserver.errors import error_in


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (404, '{"message": "gone", "reason": "NotFound"}', errors.NotFound),
        (409, '{"message": "there", "reason": "AlreadyExists"}', errors.AlreadyExists),
        (409, '{"message": "changed", "reason": "Conflict"}', errors.Conflict),
        (403, '{"message": "exceeded quota"}', errors.Forbidden),
        (422, '{"message": "invalid"}', errors.Invalid),
        (503, "upstream connect error", errors.Unavailable),
        (500, '{"message": "Internal error occurred: failed calling webhook \\"v\\": EOF"}', errors.WebhookFailed),
        (429, "[]", errors.Unavailable),
    ],
)
def test_each_response_becomes_its_kind_of_error(status: int, body: str, kind: type) -> None:
    error = error_in(status, body, {"Retry-After": "3"})
    assert type(error) is kind
    assert str(status) in str(error)
    if isinstance(error, errors.Unavailable):
        assert error.retry_after == 3


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (errors.Unavailable("429", retry_after=90), 90),
        (errors.Unavailable("429", retry_after=1), 5),
        (errors.Unavailable("503"), 5),
        (errors.WebhookFailed("500", retry_after=7), 7),
        (errors.Forbidden("403"), 5),
        (RuntimeError(), 5),
    ],
)
def test_the_delay_is_the_retry_after_or_the_usual_one_if_that_is_longer(error: Exception, seconds: float) -> None:
    assert errors.retry_after(error, at_least=5) == seconds


def test_a_retry_after_of_days_is_cut_to_minutes() -> None:
    error = error_in(429, "[]", {"Retry-After": "86400"})
    assert isinstance(error, errors.Unavailable)
    assert error.retry_after == errors.LONGEST_RETRY_AFTER
