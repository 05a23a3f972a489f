"""What time is it? The API server's time, so that all times in a status are of one clock."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

WHOLE_SECOND = timedelta(seconds=1)


class ServerClock:
    """Follows the `Date` header of responses; in between, monotonic seconds are added.

    A header has whole seconds, so its moment is somewhere in the second that it names. The clock runs on while it
    is inside, so that it does not step back and forth, and is set to the nearer edge when it is not.
    """

    def __init__(self) -> None:
        self._known: tuple[datetime, float] | None = None

    def seen(self, date: str, monotonic: float) -> None:
        """Take note of a response's Date header."""
        earliest = parsedate_to_datetime(date).astimezone(UTC)
        latest = earliest + WHOLE_SECOND
        guess = self.now(monotonic) if self._known else earliest
        self._known = (min(max(guess, earliest), latest), monotonic)

    def now(self, monotonic: float) -> datetime:
        """The server's time at this monotonic moment; there must have been a response."""
        if self._known is None:
            raise LookupError("no response of the API server has been seen")
        moment, then = self._known
        return moment + timedelta(seconds=monotonic - then)
