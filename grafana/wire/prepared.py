"""Prepared statements and portals of one connection."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .errors import (
    DUPLICATE_PORTAL,
    DUPLICATE_STATEMENT,
    PROGRAM_LIMIT,
    PROTOCOL_VIOLATION,
    UNDEFINED_PORTAL,
    UNDEFINED_STATEMENT,
    WireError,
)
from .execution import Execution, Request
from .messages import TEXT
from .parameters import parameter_value
from .plans import Plan, Query

if TYPE_CHECKING:
    from duckdb.sqltypes import DuckDBPyType

    from .frontend import Bind
    from .messages import Field
    from .settings import Limits


@dataclass(slots=True)
class Portal:
    """A statement with its parameters, and how far it has been read."""

    plan: Plan
    request: Request
    execution: Execution | None = None


@dataclass(slots=True)
class Statement:
    """A prepared statement, and its columns once somebody has asked for them."""

    plan: Plan
    fields: "list[Field]" = field(default_factory=list["Field"])
    types: "tuple[DuckDBPyType, ...] | None" = None

    @property
    def oids(self) -> tuple[int, ...]:
        """Types of its parameters, in order."""
        return self.plan.oids if isinstance(self.plan, Query) else ()

    def bound(self, bind: "Bind") -> Portal:
        """Return a portal with the parameters of *bind*.

        Raises:
            WireError: They are not as many as the statement has, or cannot be read.
        """
        values, formats = bind.parameters, bind.parameter_formats
        if len(values) != len(self.oids):
            msg = f"{len(values)} parameters for a statement that has {len(self.oids)}"
            raise WireError(PROTOCOL_VIOLATION, msg)
        if len(formats) < 2:
            formats = (formats or (TEXT,)) * len(values)
        parameters = {
            str(number): parameter_value(value, oid, code, number)
            for number, (value, oid, code) in enumerate(
                zip(values, self.oids, formats, strict=True), 1
            )
        }
        text = self.plan.text if isinstance(self.plan, Query) else ""
        return Portal(self.plan, Request(text, parameters, bind.result_formats, self.types))


class Prepared:
    """Statements and portals by name; the empty name is replaced, others are not.

    Args:
        limits: How many of each there may be.
    """

    def __init__(self, limits: "Limits") -> None:
        self._limits = limits
        self._statements: dict[str, Statement] = {}
        self._portals: dict[str, Portal] = {}

    def add_statement(self, name: str, statement: Statement) -> None:
        """Keep a statement.

        Raises:
            WireError: The name is taken, or there are too many.
        """
        if name and name in self._statements:
            msg = f"the prepared statement {name!r} exists already"
            raise WireError(DUPLICATE_STATEMENT, msg)
        if len(self._statements) >= self._limits.prepared:
            msg = f"more than {self._limits.prepared} prepared statements; close some"
            raise WireError(PROGRAM_LIMIT, msg)
        self._statements[name] = statement

    def statement(self, name: str) -> Statement:
        """Return the statement of that name.

        Raises:
            WireError: There is none.
        """
        if name not in self._statements:
            msg = f"there is no prepared statement {name!r}"
            raise WireError(UNDEFINED_STATEMENT, msg)
        return self._statements[name]

    def drop_statement(self, name: str) -> bool:
        """Forget a statement; False if there was none."""
        return self._statements.pop(name, None) is not None

    def drop_statements(self) -> None:
        """Forget all statements."""
        self._statements.clear()

    def add_portal(self, name: str, portal: Portal) -> None:
        """Keep a portal.

        Raises:
            WireError: The name is taken, or there are too many.
        """
        if name in self._portals:
            msg = f"the portal {name!r} exists already"
            raise WireError(DUPLICATE_PORTAL, msg)
        if len(self._portals) >= self._limits.portals:
            msg = f"more than {self._limits.portals} portals; close some"
            raise WireError(PROGRAM_LIMIT, msg)
        self._portals[name] = portal

    def portal(self, name: str) -> Portal:
        """Return the portal of that name.

        Raises:
            WireError: There is none.
        """
        if name not in self._portals:
            msg = f"there is no portal {name!r}"
            raise WireError(UNDEFINED_PORTAL, msg)
        return self._portals[name]

    def drop_portal(self, name: str) -> list[Execution]:
        """Forget a portal; return what is to be closed of it."""
        portal = self._portals.pop(name, None)
        return [portal.execution] if portal is not None and portal.execution is not None else []

    def drop_portals(self) -> list[Execution]:
        """Forget all portals; return what is to be closed of them."""
        return [execution for name in list(self._portals) for execution in self.drop_portal(name)]
