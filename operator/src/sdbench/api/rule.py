"""Defines a rule of the spec: one message for the API server, which judges in CEL, and for Python."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from pydantic import model_validator

from sdbench_trainer.config import Boundary


@dataclass(frozen=True)
class Rule:
    """What must hold in a part of the object, and the message if it does not."""

    place: str
    """Path of the blamed field, as in spec.repeats:max. The part before the colon, or the whole, is `self` in CEL."""
    cel: str
    message: str
    reason: str = "FieldValueInvalid"
    only_at_creation: bool = False
    """Makes oldSelf an optional in CEL. The expression itself must hold once that has a value."""
    check: Callable[[Any], bool] | None = None
    """The same condition in Python, where Python must not rely on the API server."""

    @property
    def at(self) -> str:
        """Path of the part that is `self` in CEL; empty for the whole object."""
        return self.place.partition(":")[0]

    @property
    def field(self) -> str:
        """Path of the blamed field from there; empty for the part itself."""
        return self.place.partition(":")[2]

    @property
    def path(self) -> str:
        """Path of the blamed field from the root."""
        return self.place.replace(":", ".").removeprefix(".")

    def is_broken(self, part: Any) -> bool:
        """Whether the part breaks the rule, as far as Python can judge it."""
        return self.check is not None and not self.check(part)

    def document(self) -> dict[str, Any]:
        """The rule as an entry of x-kubernetes-validations."""
        document = {"rule": self.cel, "message": self.message, "reason": self.reason}
        field = {"fieldPath": f".{self.field}"} if self.field else {}
        return document | field | ({"optionalOldSelf": True} if self.only_at_creation else {})


class SpecPart(Boundary):
    """A part of the spec that refuses values that break its own rules."""

    RULES: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="after")
    def _keeps_its_rules(self) -> Self:
        for rule in self.RULES:
            if rule.is_broken(self):
                raise ValueError(f"{rule.field}: {rule.message}" if rule.field else rule.message)
        return self
