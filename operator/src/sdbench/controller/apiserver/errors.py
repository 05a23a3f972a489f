"""Defines the ways in which a request to the API server fails, and how long to wait after each."""

import json
from collections.abc import Mapping

from sdbench.api.benchmark import Metadata


class ApiError(Exception):
    """A request failed; the text is the API server's sentence."""


class NotFound(ApiError):
    """The object does not exist."""


class Conflict(ApiError):
    """The object has changed, or is another one of that name: read it again."""


class AlreadyExists(ApiError):
    """An object of that name exists: find out whose it is."""


class Forbidden(ApiError):
    """A missing right, a quota or an admission rule refuses it: wait, and report it."""


class Invalid(ApiError):
    """The object itself is refused: a bug, or the CRD of another version."""


class Unavailable(ApiError):
    """The API server cannot answer now: wait."""

    def __init__(self, sentence: str, retry_after: float | None = None) -> None:
        super().__init__(sentence)
        self.retry_after = retry_after


class WebhookFailed(Unavailable):
    """The API server could not call a webhook, such as the training-operator's while that starts: wait."""


class NotServed(ApiError):
    """The cluster does not serve this kind of object: its CRD is not installed, or not yet."""


class Unreadable(ApiError):
    """Another version wrote the object, and this one cannot read it: leave it alone."""

    def __init__(self, sentence: str, metadata: Metadata) -> None:
        super().__init__(sentence)
        self.metadata = metadata


KNOWN: tuple[type[ApiError], ...] = (
    *(ApiError, NotFound, Conflict, AlreadyExists, Forbidden, Invalid),
    *(Unavailable, WebhookFailed, NotServed, Unreadable),
)
"""All of them; a metric counts each by its name."""

LONGEST_RETRY_AFTER = 300.0
"""Maximum Retry-After in seconds; a longer one is cut to it."""

WEBHOOK = "failed calling webhook"

_BY_STATUS: dict[int, type[ApiError]] = {400: Invalid, 403: Forbidden, 404: NotFound, 409: Conflict, 422: Invalid}


def retry_after(error: Exception, at_least: float = 0.0) -> float:
    """Seconds to wait after an error: the API server's Retry-After, or `at_least` if that is longer."""
    asked = error.retry_after if isinstance(error, Unavailable) else None
    return max(at_least, asked or 0.0)


def error_in(status: int, body: str, headers: Mapping[str, str]) -> ApiError:
    """The error for a response with a status of 400 or more."""
    sentence, reason = _message_and_reason(body)
    text = f"{status}: {sentence or 'no explanation'}"
    # Both errors are a 409: only the reason tells an existing name from an outdated object.
    if status == 409 and reason == "AlreadyExists":
        return AlreadyExists(text)
    if status in _BY_STATUS:
        return _BY_STATUS[status](text)
    after = headers.get("Retry-After", "")
    error = WebhookFailed if WEBHOOK in sentence else Unavailable
    return error(text, min(float(after), LONGEST_RETRY_AFTER) if after.isdigit() else None)


def _message_and_reason(body: str) -> tuple[str, str]:
    """The message and reason of a metav1.Status; of any other text, its beginning."""
    try:
        status = json.loads(body)
        return str(status["message"]), str(status.get("reason", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        # A proxy or a load balancer answers with a page of its own.
        return body.strip()[:500], ""
