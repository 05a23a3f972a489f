"""Defines the ways in which a request to the API server fails, each with what happens next."""

import json
from collections.abc import Mapping

from sdbench.api.benchmark import Metadata


class ApiError(Exception):
    """A request that was refused; the text is the API server's sentence."""


class NotFound(ApiError):
    """It does not exist."""


class Conflict(ApiError):
    """It has changed, or is another object: look again."""


class AlreadyExists(ApiError):
    """An object has that name: look whose it is."""


class Forbidden(ApiError):
    """A right, quota or admission rule refuses it: wait, and tell a person."""


class Invalid(ApiError):
    """The object itself is refused: a bug, or a CRD of another version."""


class Unavailable(ApiError):
    """The API server cannot answer now: wait."""

    def __init__(self, sentence: str, retry_after: float | None = None) -> None:
        super().__init__(sentence)
        self.retry_after = retry_after


class WebhookFailed(Unavailable):
    """The API server could not ask a webhook, that of the training-operator while it starts: wait."""


class NotServed(ApiError):
    """The cluster does not know this kind of objects: its CRD is not there (yet)."""


class Unreadable(ApiError):
    """The object was written by another version, and this one does not understand it: leave it alone."""

    def __init__(self, sentence: str, metadata: Metadata) -> None:
        super().__init__(sentence)
        self.metadata = metadata


KNOWN: tuple[type[ApiError], ...] = (
    *(ApiError, NotFound, Conflict, AlreadyExists, Forbidden, Invalid),
    *(Unavailable, WebhookFailed, NotServed, Unreadable),
)
"""All of them, as they are counted."""

LONGEST_PATIENCE = 300.0
"""Most seconds that a Retry-After is obeyed."""

WEBHOOK = "failed calling webhook"

_BY_STATUS: dict[int, type[ApiError]] = {400: Invalid, 403: Forbidden, 404: NotFound, 409: Conflict, 422: Invalid}


def patience(error: Exception, at_least: float = 0.0) -> float:
    """Seconds to wait after an error: what the API server has asked for, and no less than this."""
    asked = error.retry_after if isinstance(error, Unavailable) else None
    return max(at_least, asked or 0.0)


def error_in(status: int, body: str, headers: Mapping[str, str]) -> ApiError:
    """The error that a response with a status of 400 or more means."""
    sentence, reason = _said(body)
    text = f"{status}: {sentence or 'no explanation'}"
    if status == 409 and reason == "AlreadyExists":
        return AlreadyExists(text)
    if status in _BY_STATUS:
        return _BY_STATUS[status](text)
    after = headers.get("Retry-After", "")
    error = WebhookFailed if WEBHOOK in sentence else Unavailable
    return error(text, min(float(after), LONGEST_PATIENCE) if after.isdigit() else None)


def _said(body: str) -> tuple[str, str]:
    """Message and reason of a metav1.Status."""
    try:
        status = json.loads(body)
        return str(status["message"]), str(status.get("reason", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        return body.strip()[:500], ""
