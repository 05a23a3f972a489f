"""Defines the base of all parts of a status, which keeps the fields of other versions as they are."""

from pydantic import ConfigDict

from sdbench_trainer.config import Boundary


class StatusModel(Boundary):
    """A part of a status, which may have fields that this version does not know.

    An operator that was rolled back keeps a newer one's fields, so that nothing is lost until the newer one returns. It
    does not accept an unknown value, such as another phase: it must not act on a Trial whose state it cannot read.
    """

    model_config = ConfigDict(extra="allow")
