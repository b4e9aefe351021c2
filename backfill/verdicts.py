"""What `verify` tells of an object: the faults, counted, and the first of them by name."""

from __future__ import annotations

from dataclasses import dataclass, field

NAMED = 1000  # faults of an object that are told one by one; all of them are counted


@dataclass(frozen=True, slots=True)
class Fault:
    """kind: missing (not mirrored) | extra (not at the provider) | different (in `fields`).

    table: the object's, or a child table's whose rows belong to no record.
    """

    table: str
    id: str
    kind: str
    fields: tuple[str, ...] = ()
    repaired: bool = False


@dataclass(slots=True)
class ObjectReport:
    """What came of one object. skipped: why it was not compared, or not to the end.

    behind: records changed after the last poll, which the next one brings. faults: the first
    NAMED of them.
    """

    table: str
    compared: int = 0
    missing: int = 0
    extra: int = 0
    different: int = 0
    repaired: int = 0
    behind: int = 0
    skipped: str | None = None
    faults: list[Fault] = field(default_factory=list)

    @property
    def found(self) -> int:
        return self.missing + self.extra + self.different

    def note(self, fault: Fault) -> None:
        setattr(self, fault.kind, getattr(self, fault.kind) + 1)
        self.repaired += fault.repaired
        if len(self.faults) < NAMED:
            self.faults.append(fault)
