from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from isthmus.app.ca import Authority
from isthmus.app.datadir import DataDir
from isthmus.app.enrolment import ATTEMPTS, ATTEMPTS_ALL, MOST_INVITES, TOKEN_S, Enrolment, Ticket
from isthmus.app.join import _request, new_nkey
from isthmus.app.settings import BusSettings, Settings, WebSettings
from isthmus.bus.broker import BusTls, configure
from isthmus.values.clock import ManualClock
from isthmus.values.errors import ConfigError, Denied, IsthmusError, TryLater

pytestmark = pytest.mark.mission("M78")
SETTINGS = Settings(web=WebSettings(https=True), bus=BusSettings(listen="127.0.0.1:4222"))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_800_000_000 * 10**9)


@pytest.fixture
def data(tmp_path: Path, clock: ManualClock) -> DataDir:
    """A core whose broker has its settings, and does not run."""
    data = DataDir(tmp_path / "core")
    authority = Authority(data.tls, clock)
    authority.server(["localhost"])
    authority.client()
    tls = BusTls("127.0.0.1", authority.server_file, authority.root_file, authority.client_file)
    configure(data.bus, 4222, ["edge-1"], "ours", tls=tls)
    (data.bus.folder / "server_name").write_text("ours")
    return data


@pytest.fixture
def enrolment(data: DataDir, clock: ManualClock) -> Enrolment:
    return Enrolment(data, SETTINGS, 8420, clock)


def csr() -> str:
    return _request(ec.generate_private_key(ec.SECP256R1()), "whatever it says").decode()


def secret_of(enrolment: Enrolment, edge: str = "hall-2") -> str:
    return Ticket.parse(enrolment.invite(edge)).secret


def test_a_token_works_once_and_names_its_edge(enrolment: Enrolment, data: DataDir) -> None:
    secret, nkey = secret_of(enrolment), new_nkey()[1]
    welcome = enrolment.enrol(secret, csr(), nkey, "192.0.2.1")
    assert (welcome.edge, welcome.host, welcome.port, welcome.server_name) == ("hall-2", "", 4222, "ours")
    made = x509.load_pem_x509_certificate(welcome.certificate.encode())
    assert made.subject.rfc4514_string() == "CN=hall-2"
    assert [e.edge for e in enrolment.edges()] == ["hall-2"]
    assert nkey in data.bus.config.read_text()
    with pytest.raises(Denied, match="was used"):
        enrolment.enrol(secret, csr(), new_nkey()[1], "192.0.2.1")
    for file in data.bus.folder.glob("*.json"):
        assert secret not in file.read_text(), file


def test_a_token_ends_after_fifteen_minutes(enrolment: Enrolment, clock: ManualClock) -> None:
    first, second = secret_of(enrolment, "a"), secret_of(enrolment, "b")
    clock.advance(TOKEN_S - 1)
    enrolment.enrol(first, csr(), new_nkey()[1], "192.0.2.1")
    clock.advance(2)
    with pytest.raises(Denied, match="has ended") as refused:
        enrolment.enrol(second, csr(), new_nkey()[1], "192.0.2.1")
    assert refused.value.code == "join_refused"


def test_a_new_invitation_makes_the_one_before_void(enrolment: Enrolment) -> None:
    first, second = secret_of(enrolment), secret_of(enrolment)
    with pytest.raises(Denied):
        enrolment.enrol(first, csr(), new_nkey()[1], "192.0.2.1")
    enrolment.enrol(second, csr(), new_nkey()[1], "192.0.2.1")


def test_joining_again_replaces_the_key_of_before(enrolment: Enrolment, data: DataDir) -> None:
    old, new = new_nkey()[1], new_nkey()[1]
    enrolment.enrol(secret_of(enrolment), csr(), old, "192.0.2.1")
    enrolment.enrol(secret_of(enrolment), csr(), new, "192.0.2.1")
    assert [e.nkey for e in enrolment.edges()] == [new]
    assert old not in data.bus.config.read_text()
    with pytest.raises(ConfigError, match="belongs to another edge"):
        enrolment.enrol(secret_of(enrolment, "third"), csr(), new, "192.0.2.1")


def test_what_is_malformed_spends_no_token(enrolment: Enrolment) -> None:
    secret = secret_of(enrolment)
    for request, nkey in (("x", new_nkey()[1]), (csr(), "UAAA"), (csr(), new_nkey()[0])):
        with pytest.raises(ConfigError):
            enrolment.enrol(secret, request, nkey, "192.0.2.1")
    enrolment.enrol(secret, csr(), new_nkey()[1], "192.0.2.1")


def test_revoking_takes_user_certificate_and_invitation(enrolment: Enrolment, data: DataDir) -> None:
    nkey = new_nkey()[1]
    enrolment.enrol(secret_of(enrolment), csr(), nkey, "192.0.2.1")
    assert enrolment.renew("hall-2", csr().encode()).startswith(b"-----BEGIN CERTIFICATE")
    open_invitation = secret_of(enrolment)
    enrolment.revoke("hall-2")
    assert nkey not in data.bus.config.read_text()
    with pytest.raises(Denied):
        enrolment.renew("hall-2", csr().encode())
    with pytest.raises(Denied):
        enrolment.enrol(open_invitation, csr(), new_nkey()[1], "192.0.2.1")
    with pytest.raises(ConfigError, match="none of that name"):
        enrolment.revoke("hall-2")


def test_guessing_is_slowed_down_for_one_and_for_all(enrolment: Enrolment, clock: ManualClock) -> None:
    def guess(source: str) -> type[IsthmusError]:
        with pytest.raises(IsthmusError) as refused:
            enrolment.enrol("x", csr(), new_nkey()[1], source)
        return type(refused.value)

    assert [guess("192.0.2.1") for _ in range(ATTEMPTS)] == [Denied] * ATTEMPTS
    assert guess("192.0.2.1") is TryLater
    assert guess("192.0.2.2") is Denied
    for i in range(ATTEMPTS_ALL):
        guess(f"198.51.100.{i}")
    assert guess("192.0.2.3") is TryLater
    assert len(enrolment._tries) <= ATTEMPTS_ALL + 1
    clock.advance(61)
    assert guess("192.0.2.1") is Denied


def test_an_invitation_needs_tls_beyond_this_machine(data: DataDir, clock: ManualClock, enrolment: Enrolment) -> None:
    for settings in (Settings(), Settings(web=WebSettings(https=True)), Settings(bus=SETTINGS.bus)):
        with pytest.raises(ConfigError, match="isthmus expose --edges 4222"):
            Enrolment(data, settings, 8420, clock).invite("hall-2")
    with pytest.raises(ConfigError, match="runs on this machine"):
        enrolment.invite("edge-1")
    for name in ("", "a b", "../x", "a.b", "ä"):
        with pytest.raises(ConfigError):
            enrolment.invite(name)


def test_invitations_are_bounded(enrolment: Enrolment) -> None:
    for i in range(MOST_INVITES):
        enrolment.invite(f"e{i}")
    with pytest.raises(TryLater):
        enrolment.invite("one-more")


@pytest.mark.parametrize(
    "text", ["", "isj_", "isj_!!!", "hello", "isj_W10", "isj_bnVsbA", "isj_" + "A" * 400, "isk_W10"]
)
def test_what_is_no_token_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ConfigError, match="token: is no join token") as refused:
        Ticket.parse(text)
    assert len(text) < 6 or text not in str(refused.value)


def test_a_damaged_list_is_named(enrolment: Enrolment, data: DataDir) -> None:
    (data.bus.folder / "enrolled.json").write_text("[")
    with pytest.raises(ConfigError, match=r"enrolled\.json: not a list of edges"):
        enrolment.edges()


def test_changes_at_the_same_time_take_nothing_back(enrolment: Enrolment, data: DataDir) -> None:
    """Whatever overtakes what: who was cut off is not among the bus's users afterwards."""
    names = [f"e{i}" for i in range(8)]
    nkeys = {}
    for name in names:
        nkeys[name] = new_nkey()[1]
        enrolment.enrol(secret_of(enrolment, name), csr(), nkeys[name], f"192.0.2.{len(nkeys)}")
    new = {name: (secret_of(enrolment, name), new_nkey()[1]) for name in ("n1", "n2", "n3", "n4")}
    with ThreadPoolExecutor(8) as pool:
        works = [pool.submit(enrolment.revoke, name) for name in names[:4]]
        works += [pool.submit(enrolment.enrol, s, csr(), k, f"198.51.100.{i}") for i, (s, k) in enumerate(new.values())]
        for work in works:
            work.result()
    config = data.bus.config.read_text()
    assert [n for n in names[:4] if nkeys[n] in config] == []
    assert [n for n in names[4:] if nkeys[n] not in config] == []
    assert [n for n, (_, k) in new.items() if k not in config] == []
