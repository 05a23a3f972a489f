"""Defines the error that the harness raises when the machine or a process fails."""


class HarnessError(RuntimeError):
    """A message for a person: what failed, and the end of the log that says why."""


def last_lines(text: str, count: int = 30) -> str:
    """The last `count` lines of a log, indented so that they stand out under a message."""
    lines = text.rstrip().splitlines()[-count:]
    return "\n".join(f"    {line}" for line in lines) or "    (the log is empty)"
