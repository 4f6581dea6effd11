"""How adapters make themselves known: by name, from here and from packages outside through entry points."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any, Generic, Protocol, TypeVar

from isthmus.values.errors import ConfigError


class Spec(Protocol):
    """What a registry holds."""

    @property
    def name(self) -> str:
        """Its type name."""
        ...

    @property
    def build(self) -> Any:
        """What makes one."""
        ...


S = TypeVar("S", bound=Spec)


class Registry(Generic[S]):
    """The adapters of one kind. ``kind`` is its word, "driver"; entry points of the group `isthmus.drivers` bring them."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._specs: dict[str, S] = {}
        self._loaded = False

    def add(self, spec: S) -> None:
        """Register one.

        Raises: ValueError if two want one name
        """
        known = self._specs.get(spec.name)
        if known is not None and known.build is not spec.build:
            raise ValueError(f"two {self._kind}s are called {spec.name}")
        self._specs[spec.name] = spec

    def all(self) -> dict[str, S]:
        """Every one by name; what entry points bring is imported once, on first use."""
        if not self._loaded:
            for entry in entry_points(group=f"isthmus.{self._kind}s"):
                entry.load()
            self._loaded = True
        return self._specs

    def get(self, name: str) -> S:
        """One of them; only what brings it is imported, for some take long and few are used in one place.

        Raises: ConfigError listing the known ones
        """
        if name not in self._specs:
            for entry in entry_points(group=f"isthmus.{self._kind}s", name=name):
                entry.load()
        try:
            return self._specs.get(name) or self.all()[name]
        except KeyError:
            known = ", ".join(sorted(self._specs))
            raise ConfigError(f"{self._kind}: unknown, known are {known}, was {name!r}") from None
