"""Faults on command: small files in the state directory that the controllers look at ten times a second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from isthmus.simulators.bottling.hall import MACHINES, OPCUA, PANELS, PLCS
from isthmus.values.clock import NS_PER_S, Clock, SystemClock
from isthmus.values.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: which controller feels it, and what happens."""

    plc: str
    description: str


_DEVICE: Final = {
    "silent": "{} takes requests and never answers",
    "slow": "{} answers 0.8 s late",
    "exceptions": "{} answers everything with exception 4, device failure",
    "garbage": "{} answers with noise",
    "freeze": "{} shows the same values for ever",
}

_PANEL: Final = {
    "local": "The panel of the {} is switched to local",
    "touch": "Somebody changes a set-point of the {} at its controller",
    "guard": "A guard of the {} opens; it aborts",
    "estop": "Somebody presses the emergency stop of the {}; it aborts",
}

FAULTS: Final[Mapping[str, Fault]] = (
    {
        "jam": Fault("plc-filler", "A bottle jams the filler; it is held"),
        "web-break": Fault("plc-line1", "The label web breaks; the labeller is held and the accumulation fills"),
        "cap-empty": Fault("plc-capper", "The cap hopper runs empty; the capper is held"),
        "guard-open": Fault("plc-line1", "Somebody opens a guard of the palletiser; it aborts"),
        "overheat": Fault("plc-capper", "The drive of the capper overheats until it trips"),
        "air-leak": Fault("plc-utilities", "A hose bursts; header pressure falls until machines hold"),
        "refill-stuck": Fault("plc-tanks", "The refill valve of the product tank sticks shut; the filler runs dry"),
        "heater-stuck": Fault(
            "plc-tanks", "The steam valve of the cleaning tank sticks open; it heats until its jacket is shut off"
        ),
        "burner-stuck": Fault(
            "plc-utilities", "The burner of the boiler runs at full load until its release is taken away"
        ),
    }
    | {
        f"{what}-{unit}": Fault(plc, text.format(unit))
        for unit, plc in PANELS.items()
        for what, text in _PANEL.items()
        if unit in MACHINES or what in {"local", "touch"}
    }
    | {
        f"{plc}-{name}": Fault(plc, text.format(plc))
        for plc in PLCS
        for name, text in _DEVICE.items()
        if plc not in OPCUA or name == "freeze"
    }
)
"""All faults by name."""


def _folder(state_dir: Path) -> Path:
    return state_dir / "faults"


def _known(fault: str) -> str:
    if fault not in FAULTS:
        raise ConfigError(f"fault: must be one of {', '.join(FAULTS)}, was {fault!r}")
    return fault


def inject(state_dir: Path, fault: str, duration_s: float = 0.0, clock: Clock | None = None) -> None:
    """Let it happen for so long; 0 means until it is cleared.

    Raises: ConfigError if there is no such fault
    """
    until_ns = (clock or SystemClock()).now_ns() + round(duration_s * NS_PER_S) if duration_s > 0 else 0
    folder = _folder(state_dir)
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{_known(fault)}"
    part.write_text(str(until_ns))
    part.replace(folder / fault)


def clear(state_dir: Path, fault: str | None = None) -> None:
    """End one fault, or all.

    Raises: ConfigError if there is no such fault
    """
    for name in [_known(fault)] if fault is not None else FAULTS:
        (_folder(state_dir) / name).unlink(missing_ok=True)


def active(state_dir: Path, clock: Clock | None = None) -> frozenset[str]:
    """The faults that hold now."""
    return Watch(state_dir, clock or SystemClock()).active()


class Watch:
    """Looks again only when the folder has changed, so that looking costs next to nothing."""

    def __init__(self, state_dir: Path, clock: Clock) -> None:
        self._folder, self._clock = _folder(state_dir), clock
        self._seen_ns = -1
        self._until: dict[str, int] = {}

    def active(self) -> frozenset[str]:
        """The faults that hold now."""
        try:
            changed_ns = self._folder.stat().st_mtime_ns
        except FileNotFoundError:
            return frozenset()
        now_ns = self._clock.now_ns()
        if changed_ns != self._seen_ns or now_ns - changed_ns < NS_PER_S:  # file times may be coarse
            self._seen_ns = changed_ns
            self._until = self._read()
        return frozenset(name for name, until_ns in self._until.items() if not until_ns or now_ns < until_ns)

    def _read(self) -> dict[str, int]:
        found = {}
        for path in self._folder.iterdir():
            if path.name in FAULTS:
                try:
                    found[path.name] = int(path.read_text())
                except (OSError, ValueError):  # cleared while we looked
                    continue
        return found
