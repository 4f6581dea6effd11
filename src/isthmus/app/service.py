"""Isthmus as a service of systemd: the text of its units, and bringing them in place.

Source: systemd.exec(5), systemd.service(5), systemd.timer(5), sysusers.d(5)
"""

from __future__ import annotations

import os
import pwd
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from isthmus.values.errors import ConfigError
from isthmus.values.ids import check_name

WATCHDOG_S = 60
START_S = 600
"""After a crash the bus may read gigabytes first."""

_EVERY = re.compile(r"(\d{1,4}) ?(min|h|d|w)\Z")


@dataclass(frozen=True, slots=True)
class Service:
    """What is installed. ``user`` is empty for a unit of one's own service manager (`systemctl --user`)."""

    data: Path
    port: int | None = None
    name: str = "isthmus"
    user: str = "isthmus"
    backup_to: Path | None = None
    backup_every: str = ""
    backup_keep: int = 14

    def __post_init__(self) -> None:
        check_name(self.name, "name")
        if self.user == "root":
            raise ConfigError("user: must not be root; Isthmus needs no rights of the system")
        if bool(self.backup_every) != bool(self.backup_to):
            raise ConfigError("backup: --backup-every and --backup-to belong together")
        if self.backup_every and not _EVERY.match(self.backup_every):
            raise ConfigError(f"backup_every: must be like 12h or 1d, was {self.backup_every!r}")
        for what, path in (("data", self.data), ("backup_to", self.backup_to)):
            if path is not None and (not path.is_absolute() or any(c in str(path) for c in "\n\r\"'\\%")):
                raise ConfigError(f"{what}: must be an absolute path without quotes, was {str(path)!r}")

    @property
    def units(self) -> Path:
        """Where the manager looks for them."""
        if self.user:
            return Path("/etc/systemd/system")
        return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd" / "user"

    def files(self) -> dict[str, str]:
        """The units by file name."""
        found = {f"{self.name}.service": self._main()}
        if self.backup_every:
            found[f"{self.name}-backup.service"] = self._backup()
            found[f"{self.name}-backup.timer"] = self._timer()
        return found

    def _main(self) -> str:
        port = ["--port", str(self.port)] if self.port else []
        return "\n".join(
            [
                "[Unit]",
                "Description=Isthmus: reads and guards the machines, records what they do",
                "Wants=network-online.target time-sync.target",
                "After=network-online.target time-sync.target",
                "StartLimitIntervalSec=0",
                "",
                "[Service]",
                "Type=notify",
                "NotifyAccess=main",
                f"ExecStart={_command('up', '--data', str(self.data), *port)}",
                "Restart=always",
                "RestartSec=2",
                "RestartPreventExitStatus=2",
                f"WatchdogSec={WATCHDOG_S}",
                f"TimeoutStartSec={START_S}",
                "TimeoutStopSec=30",
                "KillMode=mixed",
                "LimitNOFILE=65536",
                "OOMPolicy=continue",
                *self._hardening([self.data]),
                "",
                "[Install]",
                f"WantedBy={'multi-user.target' if self.user else 'default.target'}",
                "",
            ]
        )

    def _backup(self) -> str:
        assert self.backup_to is not None  # noqa: S101  files() asks for it only then
        return "\n".join(
            [
                "[Unit]",
                f"Description=Backup of {self.name}",
                f"Requisite={self.name}.service",
                f"After={self.name}.service",
                "",
                "[Service]",
                "Type=oneshot",
                "ExecStart="
                + _command("backup", f"{self.backup_to}/", "--data", str(self.data), "--keep", str(self.backup_keep)),
                "Nice=10",
                "IOSchedulingClass=idle",
                *self._hardening([self.data, self.backup_to]),
                "",
            ]
        )

    def _timer(self) -> str:
        return "\n".join(
            [
                "[Unit]",
                f"Description=Backup of {self.name}, every {self.backup_every}",
                "",
                "[Timer]",
                f"OnActiveSec={self.backup_every}",
                f"OnUnitActiveSec={self.backup_every}",
                "RandomizedDelaySec=5min",
                "",
                "[Install]",
                "WantedBy=timers.target",
                "",
            ]
        )

    def _hardening(self, writable: list[Path]) -> list[str]:
        own = [f"User={self.user}", f"Group={self.user}"] if self.user else []
        system = (
            [
                "PrivateDevices=yes",
                "ProtectKernelTunables=yes",
                "ProtectKernelModules=yes",
                "ProtectKernelLogs=yes",
                "ProtectControlGroups=yes",
                "ProtectHostname=yes",
                "CapabilityBoundingSet=",
                "AmbientCapabilities=",
                "PrivateTmp=yes",
                "ProtectSystem=strict",
                f"ProtectHome={self._home()}",
                "ProtectProc=invisible",
                "RemoveIPC=yes",
            ]
            if self.user
            else []
        )
        return [
            *own,
            "UMask=0077",
            *(f"ReadWritePaths={path}" for path in (writable if self.user else [])),
            *system,
            "NoNewPrivileges=yes",
            "LockPersonality=yes",
            "RestrictRealtime=yes",
            "RestrictSUIDSGID=yes",
            "RestrictNamespaces=yes",
            "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
            "SystemCallArchitectures=native",
            "SystemCallFilter=@system-service",
            "# reading the clock's discipline; without a capability nobody can set it (ProtectClock would forbid reading, too)",
            "SystemCallFilter=adjtimex clock_adjtime",
            "SystemCallErrorNumber=EPERM",
            "# no MemoryDenyWriteExecute: the historian's engine compiles what is asked often into machine code",
        ]

    def _home(self) -> str:
        """Homes are out of sight, unless data or program lie in one."""
        homes = (Path("/home"), Path("/root"), Path("/run/user"))
        inside = any(home in path.parents for home in homes for path in (self.data, Path(sys.executable)))
        return "read-only" if inside else "yes"


def _command(*arguments: str) -> str:
    """The command line of this very installation, as systemd reads it."""
    program = Path(sys.executable).parent / "isthmus"
    start = [str(program)] if program.exists() else [sys.executable, "-m", "isthmus"]
    return shlex.join([*start, *arguments]).replace("%", "%%")


def install(service: Service) -> list[str]:
    """Make the user and the folders, write the units, start them; what was done.

    Raises: ConfigError when rights or systemd are missing
    """
    _need_systemd()
    done = []
    if service.user:
        if os.geteuid() != 0:
            raise ConfigError("service: needs root to install for the whole system; or use --user for your own login")
        done += _make_user(service)
    service.units.mkdir(parents=True, exist_ok=True)
    for name, text in service.files().items():
        (service.units / name).write_text(text)
        done.append(f"wrote {service.units / name}")
    _systemctl(service, "daemon-reload")
    _systemctl(service, "enable", "--now", f"{service.name}.service")
    done.append(f"{service.name}.service is enabled and started")
    if service.backup_every:
        _systemctl(service, "enable", "--now", f"{service.name}-backup.timer")
        done.append(f"a backup every {service.backup_every} to {service.backup_to}")
    return done


def uninstall(service: Service) -> list[str]:
    """Stop and remove the units. Data, backups and the user stay.

    Raises: ConfigError when rights or systemd are missing
    """
    _need_systemd()
    if service.user and os.geteuid() != 0:
        raise ConfigError("service: needs root to remove what is installed for the whole system")
    done = []
    for name in (f"{service.name}-backup.timer", f"{service.name}-backup.service", f"{service.name}.service"):
        if (service.units / name).exists():
            _systemctl(service, "disable", "--now", name)
            (service.units / name).unlink()
            done.append(f"removed {service.units / name}")
    _systemctl(service, "daemon-reload")
    return [*done, f"{service.data} is left as it is"]


def status(service: Service) -> dict[str, str]:
    """What the manager says of the main unit.

    Raises: ConfigError without systemd
    """
    _need_systemd()
    asked = "LoadState,ActiveState,SubState,MainPID,NRestarts,ActiveEnterTimestamp"
    answer = _systemctl(service, "show", f"{service.name}.service", f"--property={asked}")
    return dict(line.partition("=")[::2] for line in answer.splitlines() if line)


def _make_user(service: Service) -> list[str]:
    done = []
    try:
        entry = pwd.getpwnam(service.user)
    except KeyError:
        _run("useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", service.user)
        entry = pwd.getpwnam(service.user)
        done.append(f"made user {service.user}")
    for folder in (service.data, service.backup_to):
        if folder is None:
            continue
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if folder.stat().st_uid != entry.pw_uid:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, entry.pw_uid, entry.pw_gid, follow_symlinks=False)
            done.append(f"{folder} belongs to {service.user} now")
    return done


def _need_systemd() -> None:
    if not shutil.which("systemctl"):
        raise ConfigError("service: there is no systemd here; `isthmus service install --print` shows the unit")


def _systemctl(service: Service, *arguments: str) -> str:
    return _run("systemctl", *([] if service.user else ["--user"]), *arguments)


def _run(*command: str) -> str:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise ConfigError(f"{' '.join(command)}: {(result.stderr or result.stdout).strip()[:500]}")
    return result.stdout
