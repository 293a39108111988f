"""A bank whose log a server holds: record for record the bank of one process; what is refused, all leave out."""

import json
import pickle
import random
import runpy
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from lts_jax.errors import UserError
from lts_jax.memory import valkey_log
from lts_jax.memory.bank import KeyRefused, MemoryBank
from lts_jax.memory.deeds import deed_of_line, line_of_deed
from lts_jax.memory.guards import GuardSettings
from lts_jax.memory.remote_bank import DEEDS, BankLost, Deed, RemoteBank
from lts_jax.memory.valkey_log import ValkeyLog

fakeredis = pytest.importorskip("fakeredis")
pytest.importorskip("valkey")

_BANKS = runpy.run_path(str(Path(__file__).with_name("test_remote_bank.py")))
draw_deed, outcome, state, step = (_BANKS[name] for name in ("draw_deed", "outcome", "state", "step"))
ADDRESS = "valkey://127.0.0.1:6379"
SERVER = shutil.which("valkey-server") or shutil.which("redis-server")


@pytest.fixture
def server(monkeypatch):
    """A server that is an object of this process."""
    made = fakeredis.FakeServer()
    monkeypatch.setattr(valkey_log, "_client", lambda address: fakeredis.FakeValkey(server=made))
    return made


@pytest.fixture
def address(tmp_path):
    """A real server on a free port, which keeps nothing."""
    if SERVER is None:
        pytest.skip("neither valkey-server nor redis-server is installed")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [SERVER, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"valkey://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def test_every_deed_comes_back_from_its_line():
    draw, one, other = random.Random(3), MemoryBank(), MemoryBank()
    for number in range(400):
        deed = draw_deed(draw, number)
        back = deed_of_line(line_of_deed(deed))
        assert outcome(deed, one) == outcome(back, other), deed
        assert back.method == deed.method and deed_of_line(line_of_deed(back)) == back
    assert state(one) == state(other)


@pytest.mark.parametrize(
    "line",
    [b"", b"[]", b'{"method": "__init__", "given": {}}', b'{"method": "pull", "given": {"reader": 0}}',
     b'{"method": "revoke", "given": {"origin": 1.5}}', b'{"method": "delete", "given": {"entry": "x"}}', b"\xff"],
)  # fmt: skip
def test_what_is_no_deed_is_refused_in_a_line(line):
    with pytest.raises(UserError) as told:
        deed_of_line(line)
    assert "\n" not in str(told.value)


def test_random_interleavings_of_three_processes_equal_one_bank(server):
    check_interleavings(ADDRESS)


def test_so_they_do_at_a_real_server(address):
    check_interleavings(address)


def check_interleavings(address):
    for seed in range(4):
        draw = random.Random(seed)
        guards = GuardSettings(keys=draw.choice(["repair", "refuse", "off"]))
        first = ValkeyLog(address, f"bank {seed}", guards)
        readers = [
            RemoteBank(owner)
            for owner in (first, pickle.loads(pickle.dumps(first)), ValkeyLog(address, f"bank {seed}"))
        ]
        local, kinds = MemoryBank(guards), set()
        for number in range(150):
            deed = Deed("revoke", ("https://a.org",)) if number == 75 else draw_deed(draw, number)
            there, here = outcome(deed, draw.choice(readers)), outcome(deed, local)
            assert there == here, deed
            kinds.add((deed.method, isinstance(here, tuple)))
        for reader in readers:
            reader.catch_up()
            assert state(reader) == state(local)
        assert state(RemoteBank(ValkeyLog(address, f"bank {seed}"))) == state(local)  # one that comes at the end
        assert {method for method, is_refused in kinds if not is_refused} >= set(DEEDS) - {"join"}
        assert any(is_refused for _, is_refused in kinds)


def test_threads_of_four_processes_agree_on_one_order(address):
    owners = [ValkeyLog(address, "one") for _ in range(4)]
    readers = [RemoteBank(owner) for owner in owners]
    _BANKS["write_in_threads"](readers, 60)
    local = MemoryBank()
    for deed in owners[0].since(0):
        deed.on(local)
    for reader in readers:
        reader.catch_up()
        assert state(reader) == state(local)
    assert len(local) > 40


def test_a_refused_deed_is_in_nobodys_log(server):
    owner = ValkeyLog(ADDRESS, "one", GuardSettings(keys="refuse"))
    bank, other = RemoteBank(owner), RemoteBank(ValkeyLog(ADDRESS, "one"))
    with pytest.raises(KeyRefused, match="breaks the schema"):
        bank.add(step(0, 0, "x" * 4000), 0.0)
    bank.add(step(0, 1), 1.0)
    assert other.catch_up() == 1 and (bank.sequence, other.sequence) == (1, 1) and len(other) == 1
    with pytest.raises(ValueError, match=r"deed: expected one of add, .*, got '__init__'"):
        owner.write(Deed("__init__", ()), 0)


def test_banks_of_other_names_and_guards_are_others(server):
    ValkeyLog(ADDRESS, "one", GuardSettings(keys="refuse"))
    assert ValkeyLog(ADDRESS, "one").guards().keys == "refuse"
    assert ValkeyLog(ADDRESS, "two").guards() == GuardSettings()
    with pytest.raises(UserError, match="bank one: expected the guards that it was begun with, got others"):
        ValkeyLog(ADDRESS, "one", GuardSettings(keys="off"))


def test_a_bank_that_the_server_has_forgotten_is_gone_and_can_be_read(server):
    owner = ValkeyLog(ADDRESS, "one")
    bank, travelling = RemoteBank(owner), pickle.dumps(owner)
    bank.add(step(0, 0), 0.0)
    ValkeyLog(ADDRESS, "one").delete()
    other = RemoteBank(ValkeyLog(ADDRESS, "one"))  # another one of this name
    with pytest.raises(UserError, match="has forgotten it"):
        RemoteBank(pickle.loads(travelling))
    with pytest.raises(BankLost, match="has forgotten it"):
        bank.add(step(0, 1), 1.0)
    assert other.catch_up() == 0  # nothing of the old one reaches it
    for act in (bank.catch_up, lambda: bank.pull(1, 0, 0, 1.0), lambda: RemoteBank(pickle.loads(travelling))):
        with pytest.raises(UserError, match=r"bank one: the server at .* has forgotten it"):
            act()
    assert [entry.value for entry in bank.list_entries(1)] == ["value 0.0"] and isinstance(bank.lost, BankLost)


@pytest.mark.parametrize("loss", ["the end", "the beginning", "all of it"])
def test_a_server_that_has_lost_a_part_of_the_log_has_lost_the_bank(server, loss):
    owner, client = ValkeyLog(ADDRESS, "one"), fakeredis.FakeValkey(server=server)
    bank = RemoteBank(owner)
    for number in range(3):
        bank.add(step(0, number), float(number))
    if loss == "the end":
        client.xdel(owner._stream, client.xrange(owner._stream)[-1][0])
    else:
        client.xtrim(owner._stream, maxlen=2, approximate=False) if loss == "the beginning" else client.delete(
            owner._stream
        )
    time.sleep(0.002)  # ids are milliseconds, and a deleted stream counts within one from 0 again
    client.xadd(owner._stream, {"deed": line_of_deed(Deed("pull", (0, 0, 0, 9.0))), "token": "x"})
    acts = {"who had it": bank.catch_up, "who joins": lambda: RemoteBank(ValkeyLog(ADDRESS, "one"))}
    if loss == "the end":
        assert len(acts.pop("who joins")()) == 2  # who had not seen it misses nothing
    if loss == "the beginning":
        assert acts.pop("who had it")() == 1  # who had seen it has it
    for act in acts.values():
        with pytest.raises(BankLost, match="has forgotten it"):
            act()


def test_a_server_that_dies_is_one_line_and_is_not_asked_again(server):
    bank = RemoteBank(ValkeyLog(ADDRESS, "one"))
    bank.add(step(0, 0), 0.0)
    server.connected = False
    said = set()
    for act in (lambda: bank.add(step(0, 1), 1.0), bank.catch_up):
        with pytest.raises(UserError, match="bank one: no answer from valkey://127") as told:
            act()
        said.add(str(told.value))
        server.connected = True  # what it had done meanwhile nobody knows
    assert len(said) == 1 and "\n" not in said.pop() and len(bank) == 1


def test_the_server_forgets_what_nobody_writes(address):
    bank = RemoteBank(ValkeyLog(address, "short", expire_seconds=0.3))
    bank.add(step(0, 0), 0.0)
    time.sleep(0.6)
    with pytest.raises(UserError, match="has forgotten it"):
        bank.catch_up()


def test_somebody_elses_line_is_refused(server):
    owner = ValkeyLog(ADDRESS, "one")
    client = fakeredis.FakeValkey(server=server)
    client.xadd(owner._stream, {"deed": json.dumps({"method": "forget", "given": {}}), "token": "x"})
    with pytest.raises(UserError, match="bank: expected something that is done to it"):
        owner.since(0)
    stranger = ValkeyLog(ADDRESS, "two")
    client.xadd(stranger._stream, {"hello": "world"})
    for _ in range(2):  # nobody goes on behind such a line
        with pytest.raises(BankLost, match="bank two: expected deeds in its stream, got"):
            stranger.since(0)
    client.set("lts:three:head", "no head")
    with pytest.raises(UserError, match="bank three: expected its head at the server"):
        ValkeyLog(ADDRESS, "three")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [("localhost:6379", "expected valkey://HOST:PORT, got"), ("valkey://", "expected valkey://HOST:PORT, got"),
     ("valkey://me:secret@host", "expected no user, password or option in the address; VALKEY_PASSWORD takes a"),
     ("valkey://host:1?password=secret", "expected no user, password or option in the address"),
     ("me:secret@host:6379", "expected no user, password or option in the address"),
     ("valkey://host:port", "expected valkey://HOST:PORT, got")],
)  # fmt: skip
def test_a_wrong_address_is_one_line(wrong, said):
    with pytest.raises(UserError, match=said) as told:
        ValkeyLog(wrong, "one")
    assert "secret" not in str(told.value)


def test_nobody_there_is_one_line():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(UserError, match=f"bank one: no answer from valkey://127.0.0.1:{port}"):
        ValkeyLog(f"valkey://127.0.0.1:{port}", "one")
