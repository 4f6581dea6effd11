"""What is said about the installation itself, by the page /system, by programs and by metrics."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from isthmus.web.late import BaseModel


class Attention(BaseModel):
    what: str
    detail: str
    advice: str = Field(description="what to do about it")


class Process(BaseModel):
    name: str
    pid: int
    state: Literal["running", "gone"]
    memory_bytes: int | None
    cpu_s: float | None = Field(description="CPU seconds since it started")
    cpu_cores: float | None = Field(description="cores used, mean of the last seconds")
    uptime_s: float | None
    restarts: int = Field(description="since `isthmus up` began")


class Version(BaseModel):
    name: str
    version: str


class Queue(BaseModel):
    name: str
    owner: str
    unit: Literal["samples", "frames", "bytes"]
    limit: int | None
    used: int
    entered: int | None = Field(serialization_alias="in")
    left: int | None = Field(serialization_alias="out")
    dropped: int | None


class EdgeLag(BaseModel):
    name: str
    state: str
    age_s: float | None = Field(description="since its last heartbeat; null if it was never heard")
    offset_s: float | None = Field(description="its clock minus core's")


class Lags(BaseModel):
    historian_s: float | None
    live_s: float | None
    edges: list[EdgeLag]


class Disk(BaseModel):
    folder: str
    state: str = Field(description="empty while there is room, else why nothing is recorded")
    free_bytes: int
    total_bytes: int
    reserve_bytes: int
    history_bytes: int | None
    bus_bytes: int | None
    bus_limit_bytes: int | None
    buffer_hours: float | None
    hours_left: float | None


class Certificate(BaseModel):
    file: str = Field(description="below the data directory")
    subject: str
    issuer: str
    expires: str | None
    days_left: float | None
    state: Literal["ok", "soon", "expired", "unreadable"]


class Backup(BaseModel):
    file: str
    created: str
    age_s: float
    bytes: int
    took_s: float
    encrypted: bool
    verified: bool


class Backups(BaseModel):
    state: Literal["ok", "old", "none"]
    kept: list[Backup] = Field(description="newest first; the last ones that succeeded")


class ClockState(BaseModel):
    state: Literal["ok", "unsynchronised", "jumped", "unknown"]
    synchronised: bool | None
    offset_s: float | None = Field(description="of the system clock from its time source, as the kernel estimates it")
    error_s: float | None = Field(description="estimated error")
    jumps: int = Field(description="of the wall clock since core started")
    last_jump_s: float | None
    last_jump: str | None


class System(BaseModel):
    now: str
    started: str
    uptime_s: float
    attention: list[Attention]
    processes: list[Process]
    versions: list[Version]
    queues: list[Queue]
    lags: Lags
    disk: Disk
    certificates: list[Certificate]
    backups: Backups
    clock: ClockState


class BackupOutcome(BaseModel):
    """What `isthmus backup` says about a backup that succeeded."""

    file: str = Field(max_length=4096)
    bytes: int = Field(ge=0, le=2**53)
    took_s: float = Field(ge=0)
    encrypted: bool
    verified: bool
