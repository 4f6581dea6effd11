"""`isthmus doctor --security`: proves the defaults that keep an installation closed, on the running system. Changes nothing.

Each check is one small function that returns what it saw; `CHECKS` lists them, and a room adds its own there.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
import stat
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import psutil

from isthmus import MATERIALS
from isthmus.app.datadir import DataDir
from isthmus.app.local import call
from isthmus.bus.broker import BusAddress
from isthmus.values.errors import ConfigError, Denied, IsthmusError
from isthmus.values.hosts import is_loopback

_API: Final = "/api/v1"
_WAIT_S: Final = 3.0
_MOST_NAMED: Final = 6
_WEAK: Final = re.compile(r"NULL|anon|EXPORT|RC4|DES|MD5|SHA1?\Z|CBC", re.IGNORECASE)
_OPEN_WORDS: Final = ("http://", "mqtt://", "tcp://", "ftp://")
_PLAIN_DRIVERS: Final = frozenset({"modbus-tcp"})
_SECRET_FILES: Final = (
    "secrets/**/*", "bus/*.json", "bus/*.conf", "bus/field/*.json", "bus/field/*.conf", "run/first-login", "run/core.sock",
    "format.json", "backups.json", "connectors/**/*", "edges/**/*.key", "**/*.key",
)  # fmt: skip
"""What must be for its owner alone even where the folder above is not."""
_DEFAULT_NAMES: Final = frozenset({"root", "guest", "test", "user", "demo", "operator", "administrator"})


@dataclass(frozen=True, slots=True)
class Proof:
    """What a check saw. ``mend`` says what to do; empty when it passed."""

    id: str
    title: str
    passed: bool
    evidence: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket one of our processes waits on. ``tls`` is the version it spoke to us, "" where it speaks none."""

    process: str
    address: str
    port: int
    tls: str = ""
    cipher: str = ""

    @property
    def loopback(self) -> bool:
        return is_loopback(self.address)

    def __str__(self) -> str:
        return f"{self.process} {self.address}:{self.port}" + (f" {self.tls}" if self.tls else "")


class Site:
    """The running installation as the checks see it."""

    def __init__(self, data: DataDir) -> None:
        self.data = data
        self.system: dict[str, Any] = self.ask("system")
        self.listeners = tuple(_listeners(self.system["processes"]))

    def ask(self, path: str) -> Any:
        """What core answers its owner on the local socket.

        Raises: NotConnected when it does not run; Denied and ConfigError as it says them
        """
        return call(self.data.root, "GET", path)

    def web(self) -> Listener:
        """Where screens and API are served.

        Raises: ConfigError if no listener answers as they do
        """
        for one in self.listeners:
            with contextlib.suppress(OSError, ConfigError):
                if fetch(one, f"{_API}/health").status == 200:
                    return one
        raise ConfigError("web: no listener answers GET health")


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer. ``headers`` have lower-case names."""

    status: int
    headers: dict[str, str]


def fetch(listener: Listener, path: str) -> Answer:
    """GET without any credentials, over a connection of its own.

    Raises: OSError; ConfigError if the answer is no HTTP
    """
    with _connected(listener) as link:
        link.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        data = b""
        while b"\r\n\r\n" not in data and len(data) < 64 * 1024:
            more = link.recv(4096)
            if not more:
                break
            data += more
    first, _, rest = data.partition(b"\r\n\r\n")[0].decode("latin-1").partition("\r\n")
    match = re.match(r"HTTP/1\.[01] (\d{3})", first)
    if match is None:
        raise ConfigError(f"{listener} answered no HTTP")
    pairs = (line.partition(":") for line in rest.split("\r\n"))
    return Answer(int(match[1]), {name.strip().lower(): value.strip() for name, _, value in pairs})


@contextlib.contextmanager
def _connected(listener: Listener) -> Iterator[socket.socket]:
    with socket.create_connection((_reach(listener.address), listener.port), _WAIT_S) as link:
        if not listener.tls:
            yield link
            return
        with _any_peer().wrap_socket(link, server_hostname="localhost") as secure:
            yield secure


def _any_peer() -> ssl.SSLContext:
    """To look at what a listener of this machine speaks; nothing is told to it, so who it is does not matter."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _reach(address: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104  compared, not bound


def _listeners(processes: list[dict[str, Any]]) -> Iterator[Listener]:
    """Every TCP socket that our processes and their children wait on."""
    seen: set[tuple[str, int]] = set()
    names = {told["pid"]: told["name"] for told in processes}
    for pid, name in names.items():
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            children = [child for child in process.children(recursive=True) if child.pid not in names]
            for one in (process, *children):
                for link in one.net_connections("tcp"):
                    if link.status == psutil.CONN_LISTEN and (link.laddr.ip, link.laddr.port) not in seen:
                        seen.add((link.laddr.ip, link.laddr.port))
                        yield _spoken(Listener(name, link.laddr.ip, link.laddr.port))


def _spoken(listener: Listener) -> Listener:
    """With the TLS it speaks, by really asking."""
    with (
        contextlib.suppress(OSError),
        socket.create_connection((_reach(listener.address), listener.port), _WAIT_S) as link,
    ):
        link.settimeout(1.0)
        with _any_peer().wrap_socket(link, server_hostname="localhost") as secure:
            cipher = secure.cipher()
            return Listener(
                listener.process, listener.address, listener.port, secure.version() or "", cipher[0] if cipher else ""
            )
    return listener


# The checks


def listeners_are_closed(site: Site) -> Proof:
    """Nothing beyond loopback unless it speaks TLS."""
    told = ", ".join(map(str, site.listeners)) or "no listeners were found"
    plain = [one for one in site.listeners if not one.loopback and not one.tls and not _starts_tls(one)]
    return Proof(
        "listeners", "Nobody listens in plain text beyond this machine", bool(site.listeners) and not plain, told,
        f"isthmus expose gives {plain[0]} a certificate; or bind it to 127.0.0.1" if plain else "Run it as the user that runs Isthmus.",
    )  # fmt: skip


def _starts_tls(listener: Listener) -> bool:
    """A bus says in clear that it goes on in TLS only."""
    with (
        contextlib.suppress(OSError),
        socket.create_connection((_reach(listener.address), listener.port), _WAIT_S) as link,
    ):
        link.settimeout(1.0)
        return b'"tls_required":true' in link.recv(4096).replace(b" ", b"")
    return False


def tls_is_modern(site: Site) -> Proof:
    """TLS 1.2 or newer with ciphers that are not broken, seen by connecting; older versions are really refused."""
    spoken = [one for one in site.listeners if one.tls]
    wrong = [
        f"{one} {one.cipher}" for one in spoken if one.tls not in ("TLSv1.2", "TLSv1.3") or _WEAK.search(one.cipher)
    ]
    wrong += [f"{one} takes TLS 1.1" for one in spoken if _takes_old(one)]
    told = ", ".join(f"{one} {one.cipher}" for one in spoken) or "no listener speaks TLS; none is beyond this machine"
    if not spoken and any(not one.loopback for one in site.listeners):
        told = "no listener speaks TLS"
        wrong = [told]
    return Proof(
        "tls", "TLS 1.2 or newer, strong ciphers", not wrong, "; ".join(wrong) or told, "isthmus expose sets it up."
    )


def _takes_old(listener: Listener) -> bool:
    context = _any_peer()
    with (
        contextlib.suppress(OSError, ValueError),
        socket.create_connection((_reach(listener.address), listener.port), _WAIT_S) as link,
    ):
        with warnings.catch_warnings():  # that it is deprecated is why we try it
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
        with context.wrap_socket(link, server_hostname="localhost"):
            return True
    return False


def headers_guard_the_browser(site: Site) -> Proof:
    """The headers of a page and of the API as they really come."""
    web = site.web()
    page, api = fetch(web, "/"), fetch(web, f"{_API}/health")
    wrong = []
    for name, headers in (("page", page.headers), ("API", api.headers)):
        policy = headers.get("content-security-policy", "")
        if not policy or "unsafe-" in policy or "default-src" not in policy:
            wrong.append(f"{name}: content-security-policy {policy or 'missing'}")
        wanted = {"x-content-type-options": "nosniff", "x-frame-options": "DENY", "referrer-policy": "no-referrer"}
        if web.tls:
            wanted["strict-transport-security"] = "max-age="
        wrong += [
            f"{name}: {key} is {headers.get(key)}" for key, value in wanted.items() if value not in headers.get(key, "")
        ]
    if api.headers.get("cache-control") != "no-store":
        wrong.append("API: cache-control is not no-store")
    told = "CSP without inline, nosniff, DENY, no-referrer, no-store" + (", HSTS" if web.tls else "")
    return Proof(
        "headers",
        "Answers carry the headers that guard a browser",
        not wrong,
        "; ".join(wrong) or told,
        "Look for a proxy that changes headers.",
    )


def strangers_are_refused(site: Site) -> Proof:
    """Every readable route asked without credentials, but for the public ones."""
    web, asked, wrong = site.web(), 0, []
    for path, methods in site.ask("openapi.json")["paths"].items():
        if "get" not in methods or not methods["get"].get("security"):
            continue
        asked += 1
        status = fetch(web, re.sub(r"\{[^}]*\}", "1", path)).status
        if status != 401:
            wrong.append(f"{path} answered {status}")
    for path in ("/metrics", f"{_API}/no/such/route"):
        asked += 1
        if fetch(web, path).status != 401:
            wrong.append(f"{path} answered a stranger")
    told = f"{asked} routes asked without credentials, all refused with 401"
    return Proof(
        "default-deny",
        "Nothing answers a stranger",
        not wrong,
        "; ".join(wrong) or told,
        "Report it: this is a defect.",
    )


def accounts_are_own(site: Site) -> Proof:
    """No account that came from somewhere, none that is only a name with power and no second factor."""
    users = [u for u in site.ask("users")["users"] if not u["disabled"]]
    wrong = [f"{u['name']} is a name everybody tries" for u in users if u["name"].casefold() in _DEFAULT_NAMES]
    for user in users:
        factors = [user[key] for key in ("second_factor", "totp", "passkeys") if key in user]
        if user["role"] == "admin" and user["has_password"] and not any(factors):
            wrong.append(f"{user['name']} is admin by password alone")
    told = ", ".join(f"{u['name']} ({u['role']})" for u in users) or "there is no account yet"
    return Proof(
        "accounts", "No default accounts, no administrator by password alone", not wrong, "; ".join(wrong[:_MOST_NAMED]) or told,
        "Rename or disable default names; administrators add a passkey or a code on /account.",
    )  # fmt: skip


def tokens_end(site: Site) -> Proof:
    """Every token that is good has an end."""
    good = [t for t in site.ask("tokens")["tokens"] if not t["revoked"]]
    endless = [f"{t['name']} ({t['hint']}…)" for t in good if not t["expires"]]
    told = f"{len(good)} good tokens, all with an end"
    if endless:
        told = f"without an end: {', '.join(endless[:_MOST_NAMED])}" + (
            f" and {len(endless) - _MOST_NAMED} more" if len(endless) > _MOST_NAMED else ""
        )
    return Proof("tokens", "Tokens end", not endless, told, "Make new ones with a lifetime, and revoke these.")


def files_are_private(site: Site) -> Proof:
    """The data directory is its owner's, and each secret in it by itself."""
    root = site.data.root
    secret = {p for pattern in _SECRET_FILES for p in root.glob(pattern) if not p.is_symlink()}
    looked = [root, *(p for p in (site.data.secrets, site.data.run, root / "bus") if p.exists()), *sorted(secret)]
    wrong = [p for p in looked if stat.S_IMODE(p.stat().st_mode) & 0o077]
    told = f"{len(looked)} files and folders, nobody else reads or writes them"
    if wrong:
        told = "others may read or write " + ", ".join(_named(root, p) for p in wrong[:_MOST_NAMED])
    return Proof("file-modes", "Secrets are for their owner alone", not wrong, told, f"chmod -R go-rwx {root}")


def _named(root: Path, path: Path) -> str:
    return (
        f"{path.relative_to(root).as_posix() if path != root else root.name} ({stat.S_IMODE(path.stat().st_mode):04o})"
    )


def backup_is_young(site: Site) -> Proof:
    """There is one, it was read back, and it is not old."""
    told = site.system["backups"]
    last = told["kept"][0] if told["kept"] else None
    if last is None:
        return Proof(
            "backup", "A young backup that was verified", False, "there is none", "isthmus backup DIR, every day"
        )
    text = (
        f"{last['file']}, {last['age_s'] / 86400:.1f} days old, {'verified' if last['verified'] else 'never read back'}"
    )
    good = told["state"] == "ok" and last["verified"]
    return Proof("backup", "A young backup that was verified", good, text, "isthmus backup DIR, every day")


def clock_is_right(site: Site) -> Proof:
    """Records of who did what need a clock that is right."""
    clock = site.system["clock"]
    text = f"{clock['state']}" + ("" if clock["offset_s"] is None else f", {clock['offset_s'] * 1000:+.1f} ms off")
    return Proof(
        "clock",
        "The clock is synchronised",
        clock["state"] == "ok",
        text,
        "Start a time service (chrony, systemd-timesyncd).",
    )


def devices_stay_outside(site: Site) -> Proof:
    """On the bus itself: a stranger, a device and an edge try what only core may do."""
    files = site.data.bus
    core = BusAddress.load(files.address_file("core"))
    edges = [BusAddress.load(p) for p in sorted(files.folder.glob("edge-*.json"))[:1]]
    fields = _field_credentials(files.passwords)
    tries = [
        ("a stranger", "", "", "cmd.v1.doctor"),
        *(("a device", user, word, "f.v1.doctor") for user, word in fields),
    ]
    tries += [("an edge", edge.user, edge.password, "cmd.v1.doctor") for edge in edges]
    told, wrong = [], []
    for who, user, password, subject in tries:
        answer = _publish(core.url, user, password, subject)
        told.append(f"{who}: {answer or 'let in'}")
        if not answer:
            wrong.append(f"{who} published {subject}")
    return Proof(
        "separation",
        "Devices and edges cannot speak for core",
        not wrong,
        "; ".join(wrong or told),
        "Report it: this is a defect.",
    )


def _field_credentials(passwords: Path) -> list[tuple[str, str]]:
    """One user of the server for devices, as somebody who stole it would use it elsewhere."""
    known: dict[str, str] = json.loads(passwords.read_text()) if passwords.exists() else {}
    return [(user, word) for user, word in known.items() if user.startswith("field-")][:1]


def _publish(url: str, user: str, password: str, subject: str) -> str:
    """What the bus says to an empty message on a subject; empty when it takes it.

    Source: NATS client protocol (INFO, CONNECT, PUB, PING, -ERR)
    """
    place = urlsplit(url)
    who = {"user": user, "pass": password} if user else {}
    with (
        socket.create_connection((place.hostname or "127.0.0.1", place.port or 4222), _WAIT_S) as plain,
        contextlib.ExitStack() as held,
    ):
        hello = plain.recv(4096)
        must = b'"tls_required":true' in hello.replace(b" ", b"")
        link = held.enter_context(_any_peer().wrap_socket(plain)) if must else plain
        said = json.dumps(
            {"verbose": False, "pedantic": False, "tls_required": must, "lang": "doctor", "version": "1", **who}
        )
        link.sendall(f"CONNECT {said}\r\nPUB {subject} 0\r\n\r\nPING\r\n".encode())
        data = b""
        with contextlib.suppress(OSError):
            while b"PONG" not in data and b"-ERR" not in data:
                more = link.recv(4096)
                if not more:
                    return "the bus closed the connection"
                data += more
    match = re.search(rb"-ERR '([^']*)'", data)
    return match[1].decode("latin-1") if match else "" if b"PONG" in data else "the bus did not answer"


def plaintext_is_known(site: Site) -> Proof:
    """Connections that speak plain text beyond this machine, unless a compensating control is declared and in time."""
    reviewed = {c["connection"] for c in site.ask("owners")["compensations"] if not c["due"]}
    found = [c for c in site.ask("connections")["connections"] if _plain(c["driver"], c["endpoint"])]
    found += [c for c in site.ask("connectors")["connectors"] if _plain(c["connector"], c["endpoint"])]
    names = [f"{c['name']} ({c['endpoint']})" for c in found]
    wrong = [name for name, c in zip(names, found, strict=True) if c["name"] not in reviewed]
    told = (
        ", ".join(names) + " with a compensating control"
        if names
        else "no connection speaks plain text beyond this machine"
    )
    return Proof(
        "plaintext", "Plain-text connections are few and known", not wrong, ", ".join(wrong[:_MOST_NAMED]) or told,
        "Use the secure form of the protocol, or declare `unpatchable` with what is done instead and a review.",
    )  # fmt: skip


def _plain(kind: str, endpoint: str) -> bool:
    host = urlsplit(endpoint if "://" in endpoint else f"//{endpoint}").hostname or ""
    return bool(host) and not is_loopback(host) and (kind in _PLAIN_DRIVERS or endpoint.startswith(_OPEN_WORDS))


def materials_are_there(site: Site) -> Proof:
    """The bill of materials that came with this build, and no licence in it that must not run with us."""
    title = "Bill of materials, and no GPL at run time"
    try:
        parts = json.loads(MATERIALS.read_text())["components"]
    except (OSError, ValueError, KeyError):
        return Proof("materials", title, False, f"{MATERIALS} is not there", "Install the wheel, or run `make setup`.")
    said = {p["name"]: json.dumps(p.get("licenses", [])) for p in parts}
    wrong = [
        name for name, text in said.items() if re.search(r"\bA?GPL", text.replace("LGPL", "")) and " OR " not in text
    ]
    wrong += [f"{name} says none" for name, text in said.items() if text == "[]"]
    told = f"{len(parts)} parts in {MATERIALS}"
    return Proof("materials", title, not wrong, ", ".join(wrong[:_MOST_NAMED]) or told, "Report it: this is a defect.")


def audit_is_whole(site: Site) -> Proof | None:
    """The chain of the audit log, where this build keeps one."""
    try:
        found = site.ask("audit/verify")
    except (Denied, ConfigError) as error:
        if getattr(error, "code", "") in ("not_found", "no_audit"):
            return None
        return Proof("audit", "The audit log is whole", False, str(error), "isthmus audit verify tells more.")
    good = bool(found.get("whole", found.get("ok", found.get("passed", False))))
    return Proof("audit", "The audit log is whole", good, json.dumps(found)[:300], "isthmus audit verify tells more.")


CHECKS: Final[tuple[Callable[[Site], Proof | None], ...]] = (
    listeners_are_closed,
    tls_is_modern,
    headers_guard_the_browser,
    strangers_are_refused,
    accounts_are_own,
    tokens_end,
    files_are_private,
    backup_is_young,
    clock_is_right,
    devices_stay_outside,
    plaintext_is_known,
    audit_is_whole,
    materials_are_there,
)
"""Every check, in the order it is told. One that returns None has nothing to look at in this build."""


def prove(data: DataDir) -> list[Proof]:
    """All checks on the running system; one that cannot look has failed.

    Raises: NotConnected when nothing runs there
    """
    site = Site(data)
    return [proof for check in CHECKS if (proof := _prove(check, site)) is not None]


def _prove(check: Callable[[Site], Proof | None], site: Site) -> Proof | None:
    try:
        found = check(site)
    except (IsthmusError, OSError, KeyError, ValueError) as error:
        title = (check.__doc__ or check.__name__).strip()
        return Proof(
            check.__name__.replace("_", "-"), title, False, f"could not look: {error!r}", "Look at the log of core."
        )
    if found is None or not found.passed:
        return found
    return Proof(found.id, found.title, True, found.evidence)
