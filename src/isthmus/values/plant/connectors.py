"""What the plant file says about carrying data out: connectors, what each of them gets, and in what portions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from isthmus.values.errors import ConfigError
from isthmus.values.plant.changes import Owners
from isthmus.values.plant.scalars import Name, PathText, Seconds

MAX_ROWS = 100_000
MAX_LINGER_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorSection:
    """One way out. All other keys are settings of its connector."""

    REST: ClassVar[str] = "settings"

    connector: Name
    """Which connector speaks to the other side."""
    tags: tuple[PathText, ...] = ()
    """Paths below which tags are sent; all tags of the plant unless told."""
    types: tuple[Name, ...] = ()
    """Only tags of assets of these types; of all unless told."""
    rows: int = 5_000
    """Samples in one batch at most."""
    linger: Seconds = 1.0
    """How long a batch that is not full waits for more."""
    start: Literal["now", "all"] = "now"
    """Where a new connector begins: with what comes from now on, or with all that the bus still has."""
    zone: Name = ""
    """The security zone of the other side; `outside` unless told. It matters once the plant has zones."""
    owner: Owners = ""
    """Who answers for it: a person or team, or a list of them."""
    description: str = ""
    """For people."""
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 1 <= self.rows <= MAX_ROWS:
            raise ConfigError(f"rows: must lie between 1 and {MAX_ROWS}, was {self.rows}")
        if not self.linger <= MAX_LINGER_S:
            raise ConfigError(f"linger: must be at most 1 h, was {self.linger}")
