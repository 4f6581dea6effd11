"""Edges on other machines: who was invited, who came, and who may not come any more.

An invitation is a token, good once and for 15 minutes, that holds where core is, the fingerprint of its root, and a secret. The edge
proves the secret and gets a certificate for a key of its own; its NKey, whose seed never leaves it, becomes a user of the bus.
"""

from __future__ import annotations

import base64
import fcntl
import json
import secrets
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from threading import Lock
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from isthmus.app.ca import Authority, Pair, checked_request, wanted_names
from isthmus.app.datadir import DataDir
from isthmus.app.settings import Settings, is_host
from isthmus.bus.broker import EVERYTHING, EdgeKey, Flow, check_nkey, load_flows, set_edges, write_private
from isthmus.bus.field import reload
from isthmus.values.clock import NS_PER_S, Clock
from isthmus.values.errors import ConfigError, Denied, TryLater
from isthmus.values.ids import check_name

TOKEN = "isj_"  # noqa: S105  how a token begins
TOKEN_S = 15 * 60
MOST_EDGES, MOST_INVITES = 1000, 100
ATTEMPTS, ATTEMPTS_ALL, WINDOW_S = 10, 60, 60.0
"""How often one address, and everybody together, may try within the window."""
_ANY = ("0.0.0.0", "::", "localhost", "127.0.0.1", "::1")  # noqa: S104  compared, not bound


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a join token holds. Units: fingerprints are SHA-256 in hex; ``leaf`` is set where core shows an imported certificate"""

    edge: str
    host: str
    port: int
    root: str
    secret: str
    leaf: str = ""

    def __repr__(self) -> str:
        return f"Ticket({self.edge} at {self.host}:{self.port}, secret=***)"

    def text(self) -> str:
        """As one word."""
        packed = json.dumps(list(asdict(self).values()), separators=(",", ":")).encode()
        return TOKEN + base64.urlsafe_b64encode(packed).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str) -> Ticket:
        """Read one.

        Raises: ConfigError that does not repeat it
        """
        body = text.strip().removeprefix(TOKEN)
        try:
            ticket = cls(*json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))))
            check_name(ticket.edge, "edge")
            good = text.strip().startswith(TOKEN) and is_host(ticket.host) and 0 < ticket.port < 65_536
            good = good and len(ticket.root) == 64 and isinstance(ticket.secret, str)
        except (ValueError, TypeError, AttributeError, ConfigError):
            good = False
        if not good:
            raise ConfigError("token: is no join token, or not all of it; copy what `isthmus edge invite` printed")
        return ticket


@dataclass(frozen=True, slots=True)
class Enrolled:
    """An edge that came. Units: times are UTC ns"""

    edge: str
    nkey: str
    since_ns: int
    source: str
    until_ns: int


@dataclass(frozen=True, slots=True)
class Welcome:
    """What an edge is given; certificates in PEM. ``host`` is empty where the bus is at the address the edge came to."""

    edge: str
    certificate: str
    authority: str
    host: str
    port: int
    server_name: str


class Enrolment:
    """Keeps invitations and edges in one 0600 file; a running bus follows each change at once."""

    def __init__(self, data: DataDir, settings: Settings, port: int, clock: Clock) -> None:
        self._data, self._settings, self._port, self._clock = data, settings, port, clock
        self._file = data.bus.folder / "enrolled.json"
        self._authority = Authority(data.tls, clock)
        self._tries: dict[str, deque[float]] = {}
        self._counting = Lock()

    def edges(self) -> list[Enrolled]:
        """Everybody who may come, by name."""
        return sorted((Enrolled(**e) for e in self._load()["edges"]), key=lambda e: e.edge)

    def keys(self) -> list[EdgeKey]:
        """The same as the broker wants them."""
        return [EdgeKey(e.edge, e.nkey) for e in self.edges()]

    def invite(self, edge: str) -> str:
        """A join token for an edge; one of the same name that is there goes on until the new one came.

        Raises: ConfigError saying what is missing
        """
        check_name(edge, "edge")
        if edge in self._settings.node.edges:
            raise ConfigError(f"edge: {edge} runs on this machine (node.edges); invite another name")
        if not self._settings.bus.listen or not self._settings.web.tls:
            raise ConfigError(
                "edges on other machines need the bus and HTTPS beyond this one; run `isthmus expose --edges 4222`, and start "
                "Isthmus anew"
            )
        secret = secrets.token_urlsafe(32)
        now = self._clock.now_ns()
        with self._held() as state:
            invites = {h: i for h, i in state["invites"].items() if i["until_ns"] > now and i["edge"] != edge}
            if len(invites) >= MOST_INVITES:
                raise TryLater(f"{MOST_INVITES} invitations are open; wait until some have ended", 60)
            invites[_hash(secret)] = {"edge": edge, "until_ns": now + TOKEN_S * NS_PER_S}
            state["invites"] = invites
        root = self._authority.root().fingerprint(hashes.SHA256()).hex()
        own = self._authority.own_file
        leaf = Pair.load(own).leaf.fingerprint(hashes.SHA256()).hex() if own.exists() else ""
        return Ticket(edge, wanted_names(self._settings)[0], self._port, root, secret, leaf).text()

    def enrol(self, secret: str, request: str, nkey: str, source: str) -> Welcome:
        """Take an edge in.

        Raises: Denied for a token that is not good, TryLater for too many attempts, ConfigError for a request that is none
        """
        self._count(source)
        data = request.encode()
        checked_request(data)
        check_nkey(nkey)
        now = self._clock.now_ns()
        with self._held() as state:
            invite = state["invites"].pop(_hash(secret), None)  # spent by this, whatever comes
            if invite is None or invite["until_ns"] <= now:
                raise Denied(
                    "this token was used, has ended, or was never made here; make another by `isthmus edge invite NAME`",
                    "join_refused",
                )
            edge = invite["edge"]
            others = [e for e in state["edges"] if e["edge"] != edge]
            if any(e["nkey"] == nkey for e in others):
                raise ConfigError("nkey: belongs to another edge already; every edge makes its own")
            if len(others) >= MOST_EDGES:
                raise ConfigError(f"edges: at most {MOST_EDGES} on other machines")
            certificate = self._authority.sign_client(data, edge)
            state["edges"] = [*others, asdict(Enrolled(edge, nkey, now, source, _end(certificate)))]
        self._follow()
        host, port = self._settings.bus.place
        return Welcome(
            edge=edge,
            certificate=_pem(certificate),
            authority=_pem(self._authority.root()),
            host="" if host in _ANY else host,
            port=port,
            server_name=(self._data.bus.folder / "server_name").read_text().strip(),
        )

    def renew(self, edge: str, request: bytes) -> bytes:
        """The next certificate of an edge that asks over its own link.

        Raises: Denied if it may not come any more, ConfigError for a request that is none
        """
        with self._held() as state:
            found = next((Enrolled(**e) for e in state["edges"] if e["edge"] == edge), None)
            if found is None:
                raise Denied(f"edge {edge} is not enrolled", "join_refused")
            certificate = self._authority.sign_client(request, edge)
            kept = asdict(replace(found, until_ns=_end(certificate)))
            state["edges"] = [*(e for e in state["edges"] if e["edge"] != edge), kept]
        return _pem(certificate).encode()

    def revoke(self, edge: str) -> None:
        """Cut an edge off: its link ends, the others' do not; invitations for it are void.

        Raises: ConfigError if there is none of that name
        """
        with self._held() as state:
            edges = [e for e in state["edges"] if e["edge"] != edge]
            invites = {h: i for h, i in state["invites"].items() if i["edge"] != edge}
            if len(edges) == len(state["edges"]) and len(invites) == len(state["invites"]):
                raise ConfigError(f"edge: none of that name was enrolled or invited, was {edge!r}")
            state["edges"], state["invites"] = edges, invites
        self._follow()

    def _follow(self) -> None:
        """Who is last writes what is newest: a change that overtakes another takes nothing of it back."""
        if self._settings.bus.listen and self._data.bus.config.exists():
            with self._locked(".follow.lock"):
                set_edges(self._data.bus, self.keys())
                reload(self._data.bus)

    def let(self, flows: Mapping[str, Flow]) -> None:
        """Have the bus let pass what the conduits of the plant do; nothing happens where it is so already."""
        flows = {edge: flow for edge, flow in flows.items() if flow != EVERYTHING}
        if self._data.bus.config.exists() and flows != load_flows(self._data.bus):
            with self._locked(".follow.lock"):
                set_edges(self._data.bus, self.keys() if self._settings.bus.listen else (), flows)
                reload(self._data.bus)

    def _count(self, source: str) -> None:
        now = self._clock.monotonic_ns() / NS_PER_S
        with self._counting:
            for key in [k for k, seen in self._tries.items() if now - seen[-1] > WINDOW_S]:
                del self._tries[key]
            for key, most in (("", ATTEMPTS_ALL), (source, ATTEMPTS)):
                seen = self._tries.setdefault(key, deque(maxlen=most))
                if len(seen) == most and now - seen[0] < WINDOW_S:
                    raise TryLater("too many attempts to join; try again in a minute", WINDOW_S)
                seen.append(now)

    def _load(self) -> dict[str, Any]:
        try:
            state = json.loads(self._file.read_text())
            return {"edges": list(state["edges"]), "invites": dict(state["invites"])}
        except FileNotFoundError:
            return {"edges": [], "invites": {}}
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{self._file}: not a list of edges ({error!r}); restore it from a backup") from error

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self._file.parent / name).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _held(self) -> Iterator[dict[str, Any]]:
        """The state, kept when the block ends, also by a refusal: a token that was shown is spent."""
        with self._locked(".enrolled.lock"):
            state = self._load()
            before = json.dumps(state)
            try:
                yield state
            finally:
                if json.dumps(state) != before:
                    write_private(self._file, json.dumps(state, indent=1))


def _hash(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _end(certificate: x509.Certificate) -> int:
    return int(certificate.not_valid_after_utc.timestamp()) * NS_PER_S
