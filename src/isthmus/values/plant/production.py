"""What the plant file says about counting production."""

from __future__ import annotations

from dataclasses import dataclass

from isthmus.values.plant.scalars import RateText, Segment


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductionSection:
    """How the production of an asset is counted (ISO 22400)."""

    state: Segment = ""
    """The tag that tells the state."""
    good: Segment = ""
    """The counter of good pieces."""
    reject: Segment = ""
    """The counter of rejected pieces."""
    total: Segment = ""
    """The counter of all pieces, where good ones are not counted."""
    ideal_rate: RateText = ""
    """The rate at full speed."""

    @property
    def tags(self) -> dict[str, str]:
        """The tags it names, by role."""
        return {r: t for r in ("state", "good", "reject", "total") if (t := getattr(self, r))}
