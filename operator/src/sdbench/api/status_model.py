"""Defines the base of all parts of a status, which keeps the fields of other versions as they are.

An operator that was rolled back finds statuses of a newer one. What is unknown to it stays where it stands, in the
rows above all, so that nothing is lost until the newer one returns; what follows from the rows (plan, points, summary)
each version computes anew. A *value* that is unknown (of a phase, of a reason) can't be read: whoever does not know
where a Trial stands must not act on it.
"""

from pydantic import ConfigDict

from sdbench_trainer.config import Boundary


class Answer(Boundary):
    """A part of a status. Unlike a question, of which every field must be understood."""

    model_config = ConfigDict(extra="allow")
