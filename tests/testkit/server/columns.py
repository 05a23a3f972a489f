"""Reads the columns that `kubectl get` prints."""

import re
from itertools import pairwise


def printed_lines(printed: str) -> dict[str, dict[str, str]]:
    """The cells of each line by heading, by the line's name; a cell may be empty, so headings mark the columns."""
    header, *rows = printed.splitlines()
    starts = [heading.start() for heading in re.finditer(r"\S+", header)]
    lines = ([row[begin:end].strip() for begin, end in pairwise([*starts, len(row) + len(header)])] for row in rows)
    return {cells[0]: dict(zip(header.split(), cells, strict=True)) for cells in lines}
