"""The driver against asyncua's server in a process of its own: security, address spaces that change, restarts, lists."""

from __future__ import annotations

import asyncio
import datetime as dt
import importlib.util
import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from isthmus.cli.browse import tag_list
from isthmus.drivers.opcua import OpcUaConfig, build
from isthmus.drivers.opcua import subscribe as listening
from isthmus.drivers.opcua.trust import own_certificate
from isthmus.ports.drivers import DriverContext, Point
from isthmus.simulators.link import Link
from isthmus.values import status
from isthmus.values.clock import NS_PER_S, ManualClock, SystemClock
from isthmus.values.errors import ConfigError, NotConnected, Rejected
from isthmus.values.model import Budget

SPEC = importlib.util.spec_from_file_location("opcua_server", Path(__file__).parent / "opcua_server.py")
assert SPEC is not None
assert SPEC.loader is not None
opcua_server = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(opcua_server)

pytestmark = [pytest.mark.mission("M25", "M64"), pytest.mark.real("asyncua")]

SECURE = "Basic256Sha256-SignAndEncrypt"
PASSWORD = "correct horse"


@pytest.fixture(scope="module")
def server():
    """An open server, shared with the conformance suite."""
    return opcua_server.shared()


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory):
    """A server that offers secured endpoints only, to one user."""
    child = opcua_server.Child(str(tmp_path_factory.mktemp("secured") / "server"), f"operator:{PASSWORD}")
    yield child
    child.end()


class Made:
    def __init__(self, home: Path) -> None:
        self.home = home
        self.built: list[Any] = []

    def __call__(self, url: str, *, clock: Any = None, **settings: Any) -> Any:
        context = DriverContext(
            Budget(outstanding=2), clock or SystemClock(), "isthmus-edge-1-plc", self.home, lambda _: PASSWORD
        )
        self.built.append(build(OpcUaConfig(url, **{"connect_timeout_s": 20.0, **settings}), context))
        return self.built[-1]

    async def secure(self, url: str, **settings: Any) -> Any:
        driver = self(url, **{"security": SECURE, "user": "operator", "password": "secret:plc", **settings})
        await driver.open()
        return driver


@pytest.fixture
async def made(tmp_path: Path):
    made = Made(tmp_path / "drivers" / "opcua")
    yield made
    for driver in made.built:
        await driver.close()


def good(batches: Any) -> dict[int, Any]:
    """Value by id; the name of the status where it is bad."""
    found = {}
    for batch in batches:
        for i, value in enumerate(batch.value.tolist()):
            code = int(batch.status[i])
            found[int(batch.id[i])] = status.name(code) if code >> 31 else batch.text[value] if batch.text else value
    return found


async def hear(stream: Any, wanted: dict[int, Any]) -> dict[int, Any]:
    """Listen until these are the newest values."""
    found: dict[int, Any] = {}
    async with asyncio.timeout(30):
        while not wanted.items() <= found.items():
            found |= good(await anext(stream))
    return found


# ------------------------------------------------------------------------- security


@pytest.mark.mission("M41", "M47")
@pytest.mark.parametrize("security", [SECURE, "Basic256Sha256-Sign", "Aes256Sha256RsaPss-SignAndEncrypt"])
async def test_a_secured_session_with_user_and_password(secured, made, security) -> None:
    driver = await made.secure(secured.url, security=security)
    points = [Point(1, "ns=2;s=Pump.Speed"), Point(2, "ns=2;s=Pump.Name text")]
    assert good(await driver.read(points)) == {1: 1.5, 2: "pump 7"}
    stream = driver.stream(points)
    await hear(stream, {1: 1.5, 2: "pump 7"})
    await stream.aclose()


@pytest.mark.mission("M47")
async def test_the_own_certificate_is_made_once_and_kept_private(secured, made) -> None:
    await made.secure(secured.url)
    key, certificate = made.home / "own.key.pem", made.home / "own.der"
    before = certificate.read_bytes()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(certificate.stat().st_mode) == 0o644
    assert stat.S_IMODE(made.home.stat().st_mode) == 0o700
    await made.secure(secured.url)
    assert certificate.read_bytes() == before
    assert x509.load_der_x509_certificate(before).not_valid_after_utc.year >= 2030
    far = ManualClock(SystemClock().now_ns() + 10 * 365 * 86_400 * NS_PER_S)
    with pytest.raises(ConfigError, match="own certificate expired"):
        own_certificate(made.home, far)
    key.write_bytes(b"nonsense")
    with pytest.raises(ConfigError, match="remove both"):
        own_certificate(made.home, SystemClock())


@pytest.mark.mission("M47")
async def test_another_certificate_than_the_pinned_one_is_refused_naming_both(secured, made) -> None:
    await made.secure(secured.url)
    (pinned,) = (made.home / "servers").iterdir()
    real = pinned.read_bytes()
    pinned.write_bytes(certificate(SystemClock().now_ns()))
    with pytest.raises(NotConnected, match="has changed") as raised:
        await made.secure(secured.url)
    seen, trusted = _fingerprint(real), _fingerprint(pinned.read_bytes())
    assert seen in str(raised.value)
    assert trusted in str(raised.value)
    assert str(pinned) in str(raised.value)
    pinned.unlink()  # somebody has looked and agrees
    await made.secure(secured.url)
    with pytest.raises(NotConnected, match="is not there"):
        await made.secure(secured.url, trust=str(made.home / "elsewhere.der"))
    (made.home / "given.der").write_bytes(real)
    await made.secure(secured.url, trust=str(made.home / "given.der"))


def certificate(now_ns: int, days: int = 10) -> bytes:
    """Somebody else's."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "somebody else")])
    now = dt.datetime.fromtimestamp(now_ns / NS_PER_S, dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - dt.timedelta(days=20))
        .not_valid_after(now + dt.timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(Encoding.DER)


def _fingerprint(der: bytes) -> str:
    return x509.load_der_x509_certificate(der).fingerprint(hashes.SHA256()).hex()


@pytest.mark.mission("M47")
async def test_an_expired_server_certificate_is_refused(secured, made) -> None:
    later = ManualClock(SystemClock().now_ns() + 400 * 86_400 * NS_PER_S)
    driver = made(secured.url, clock=later, security=SECURE, user="operator", password="secret:plc")
    with pytest.raises(NotConnected, match="server's certificate expired on"):
        await driver.open()
    assert "expired" in driver.traffic.last_error
    steps = await driver.probe()
    assert [reached for _, reached, _ in steps] == [True, True, False]


@pytest.mark.mission("M47")
async def test_wrong_user_wrong_security_and_no_downgrade(secured, server, made) -> None:
    with pytest.raises(NotConnected, match="refuses the user or the password"):
        await made.secure(secured.url, user="nobody")
    with pytest.raises(NotConnected, match="does not offer Basic256Sha256-SignAndEncrypt; it offers none"):
        await made.secure(server.url)
    with pytest.raises(NotConnected):
        await made(secured.url).open()
    with pytest.raises(NotConnected):  # anonymous
        await made(secured.url, security=SECURE).open()


@pytest.mark.mission("M47")
async def test_a_password_never_travels_in_the_clear(server, made) -> None:
    driver = made(server.url, user="operator", password="secret:plc")
    with pytest.raises(NotConnected) as raised:
        await driver.open()
    assert "unencrypted" in str(raised.value) or "takes no user names" in str(raised.value)


async def test_a_probe_tells_each_step(secured, made) -> None:
    driver = made(secured.url, security=SECURE, user="operator", password="secret:plc")
    steps = await driver.probe()
    assert [what.split()[0] for what, _, _ in steps] == ["Name", "Port", "Security", "Session", "Server"]
    assert all(reached for _, reached, _ in steps)
    assert "valid until" in steps[2][2]


# ------------------------------------------------------------------------- what changes under way


async def test_nodes_vanish_and_come_back_without_disturbing_the_others(server, made, monkeypatch) -> None:
    monkeypatch.setattr(listening, "RETRY_FIRST_S", 0.1)
    monkeypatch.setattr(listening, "RETRY_LONGEST_S", 0.2)
    server.set(**opcua_server.DEVICE)
    server.tell(do="add", name="Late.Early", value=1.0, kind="Double")
    driver = made(server.url)
    await driver.open()
    stream = driver.stream(
        [Point(1, "ns=2;s=Pump.Speed", 0.1), Point(2, "ns=2;s=Late.Early", 0.1), Point(3, "ns=2;s=Late.Comer", 0.1)]
    )
    await hear(stream, {1: 1.5, 2: 1.0, 3: "BadNodeIdUnknown"})
    assert "Late.Comer" in driver.traffic.last_error
    server.tell(do="add", name="Late.Comer", value=4.0, kind="Double")
    await hear(stream, {3: 4.0})
    server.tell(do="remove", name="Late.Early")
    await hear(stream, {2: "BadNodeIdUnknown"})
    server.set(**{"Pump.Speed": (2.5, "Double")})
    await hear(stream, {1: 2.5})
    server.tell(do="add", name="Late.Early", value=7.0, kind="Double")
    await hear(stream, {2: 7.0})
    for name in ("Late.Early", "Late.Comer"):
        server.tell(do="remove", name=name)
    await stream.aclose()


async def test_a_node_changes_its_type(server, made) -> None:
    server.set(**opcua_server.DEVICE)
    driver = made(server.url)
    await driver.open()
    stream = driver.stream([Point(1, "ns=2;s=Pump.Speed", 0.1), Point(2, "ns=2;s=Pump.Recipe", 0.1)])
    found = await hear(stream, {1: 1.5})
    assert found.get(2, "BadTypeMismatch") == "BadTypeMismatch"
    assert "name an element" in driver.traffic.last_error
    server.set(**{"Pump.Speed": ("fast", "String")})
    await hear(stream, {1: "fast"})
    server.set(**{"Pump.Speed": ("0102", "ByteString")})
    await hear(stream, {1: "BadTypeMismatch"})
    server.set(**{"Pump.Speed": (2**63, "UInt64")})
    await hear(stream, {1: "BadOutOfRange"})
    server.set(**opcua_server.DEVICE)
    await hear(stream, {1: 1.5})
    await stream.aclose()


async def test_source_times_and_status_codes_pass(server, made) -> None:
    driver = made(server.url)
    await driver.open()
    stream = driver.stream([Point(1, "ns=2;s=Pump.Speed", 0.1)])
    await anext(stream)
    at_s = 1_780_000_000.5
    server.tell(
        do="set", values={"Pump.Speed": (6.5, "Double")}, status=status.UNCERTAIN_SENSOR_NOT_ACCURATE, time_s=at_s
    )
    async with asyncio.timeout(20):
        while True:
            (batch,) = await anext(stream)
            if batch.value.tolist() == [6.5]:
                break
    assert batch.status.tolist() == [status.UNCERTAIN_SENSOR_NOT_ACCURATE]
    assert batch.time_ns.tolist() == [round(at_s * NS_PER_S)]
    server.tell(do="set", values={"Pump.Speed": (6.75, "Double")}, time_s=0)  # a clock nobody has set
    (batch,) = await asyncio.wait_for(anext(stream), 20)
    assert abs(int(batch.time_ns[0]) - SystemClock().now_ns()) < 60 * NS_PER_S
    await stream.aclose()
    server.set(**opcua_server.DEVICE)


async def test_a_server_restarts_and_renumbers_its_namespaces(made, tmp_path) -> None:
    child = opcua_server.Child()
    try:
        driver = made(child.url)
        await driver.open()
        point = Point(1, f"nsu={opcua_server.URI};s=Pump.Speed", 0.1)
        stream = driver.stream([point])
        await hear(stream, {1: 1.5})
        restarting = asyncio.create_task(child.asked(do="restart", before=["urn:first", "urn:second"]))
        with pytest.raises(NotConnected):
            await hear(stream, {1: "never"})
        await restarting
        await driver.open()
        stream = driver.stream([point, Point(2, "ns=4;s=Pump.Count int", 0.1)])
        await hear(stream, {1: 1.5, 2: 7})
        assert good(await driver.read([point])) == {1: 1.5}
        await stream.aclose()
    finally:
        child.end()


async def test_silence_is_noticed_though_the_line_is_up(server, made) -> None:
    link = Link("127.0.0.1", server.port)
    await link.start()
    try:
        driver = made(f"opc.tcp://127.0.0.1:{link.port}", timeout_s=0.2)
        await driver.open()
        stream = driver.stream([Point(1, "ns=2;s=Pump.Big int", 0.1)])
        await anext(stream)
        link.tamper = lambda _: b""
        with pytest.raises(NotConnected, match="has been silent for"):
            await hear(stream, {1: "never"})
    finally:
        await link.stop()


# ------------------------------------------------------------------------- many


async def test_what_the_server_limits_is_split(made) -> None:
    child = opcua_server.Child()
    try:
        child.tell(do="many", count=250)
        child.tell(do="limit", read=40, items_per_call=70)
        driver = made(child.url)
        await driver.open()
        found = [f for f in await driver.browse("ns=2;s=Line0") if not f.note]
        assert len(found) == 250
        points = [Point(i, f.address, 0.2) for i, f in enumerate(found)]
        before = driver.traffic.requests
        assert len(good(await driver.read(points))) == 250
        assert driver.traffic.requests - before == 7
        stream = driver.stream(points)
        heard: dict[int, Any] = {}
        async with asyncio.timeout(30):
            while len(heard) < 250:
                heard |= good(await anext(stream))
        assert heard[3] is not None
        await stream.aclose()
        with pytest.raises(Rejected, match="cannot be browsed"):
            await driver.browse("ns=2;s=Nowhere")
        with pytest.raises(Rejected, match="no such namespace"):
            await driver.browse("nsu=urn:none;s=Line0")
    finally:
        child.end()


async def test_a_browse_becomes_a_tag_list(server, made) -> None:
    driver = made(server.url)
    await driver.open()
    nodes = [
        {"address": f.address, "name": f.name, "type": str(f.type), "unit": f.unit, "description": "", "note": f.note}
        for f in await driver.browse()
    ]
    text = tag_list(nodes, "plc1", "line1")
    lines = text.splitlines()
    assert lines[0] == "path,connection,address,unit,description"
    assert f"line1/Pump/Set,plc1,nsu={opcua_server.URI};s=Pump.Set,bar," in lines
    assert f"line1/Pump/Count,plc1,nsu={opcua_server.URI};s=Pump.Count int,," in lines
    assert any(line.startswith("# line1/Pump/Recipe,") and "name an element" in line for line in lines)
