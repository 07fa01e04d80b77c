"""A table as a report shows it, whatever it is of."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Rows of text under a header, with a note below, or none."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
