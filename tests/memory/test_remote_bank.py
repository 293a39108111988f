"""A bank across hosts: record for record the bank of one process, whoever writes when; a reader that lags is behind."""

import inspect
import pickle
import random
import threading

import numpy as np
import pytest

from lts_jax.errors import UserError
from lts_jax.memory.bank import EditRefused, KeyRefused, MemoryBank
from lts_jax.memory.guards import GuardSettings
from lts_jax.memory.index import KeyIndex
from lts_jax.memory.remote_bank import DEEDS, BankLog, Deed, RemoteBank
from lts_jax.memory.trust import Provenance
from lts_jax.records import Origin, Step, Trust

VIEWS = ("entries", "pulls", "keys", "hidden", "edits", "ended", "revoked")


def step(team, number, summary="found the pond"):
    return Step(team, number, "Searcher", "look", "", f"value {team}.{number}", summary)


def state(bank):
    """All that can be read of a bank."""
    listed = [
        bank.list_entries(reader, window=window, include_own=own, exclude=frozenset({1}))
        for reader in range(3)
        for window in (None, 0, 4)
        for own in (True, False)
    ]
    views = {name: tuple(getattr(bank, name)) for name in VIEWS if name not in ("hidden", "ended")}
    sets = {name: getattr(bank, name) for name in ("hidden", "ended")}
    each = [(bank.entry(number), bank.is_hidden(number)) for number in range(len(bank))]
    return views, sets, listed, each


def draw_deed(draw, number):
    """Something that somebody may do, or be refused."""
    team, entry, at = draw.randrange(3), draw.randrange(40), float(number)
    summary = draw.choice(["found the pond", "", "two\nlines", "  "])
    source = draw.choice(["https://a.org/x", "https://b.org", "https://c.org", "https://d.org"])
    origin = Provenance(draw.choice([Origin.WEB, Origin.UNKNOWN]), source)
    if draw.random() < 0.03:
        return Deed("revoke", (draw.choice(["https://a.org", entry]),))
    return draw.choice(
        [
            Deed("add", (step(team, number, summary), at, origin), (("trust", draw.choice(list(Trust))),)),
            Deed("add", (step(team, number), at, origin)),
            Deed("update", (entry, step(team, number), at, origin), (("sequence", None),)),
            Deed("join", ((entry, draw.randrange(40)), step(team, number), at)),
            Deed("delete", (entry, team, number, at), (("sequence", number),)),
            Deed("pull", (team, entry, number, at)),
            Deed("pull", (team, entry, number, at)),
        ]
    )


def outcome(deed, bank):
    """What a deed gives, or how it is refused."""
    try:
        return getattr(bank, deed.method)(*deed.arguments, **dict(deed.options))
    except ValueError as error:
        return type(error), str(error)


def test_it_speaks_the_api_of_the_bank_and_of_nothing_else():
    ours = {name for name in vars(MemoryBank) if not name.startswith("_")}
    theirs = {name for name in vars(RemoteBank) if not name.startswith("_")}
    assert theirs == ours | {"sequence", "catch_up"} and set(DEEDS) < ours
    for name in ours - set(VIEWS):
        assert inspect.signature(getattr(MemoryBank, name)) == inspect.signature(getattr(RemoteBank, name)), name


@pytest.mark.parametrize("seed", range(12))
def test_random_interleavings_of_three_readers_equal_one_bank(seed):
    draw = random.Random(seed)
    guards = GuardSettings(keys=draw.choice(["repair", "refuse", "off"]), revoked=draw.choice([(), ("https://b.org",)]))
    owner, local = BankLog(guards), MemoryBank(guards)
    readers = [RemoteBank(owner) for _ in range(3)]
    kinds = set()
    for number in range(150):
        reader, deed = draw.choice(readers), draw_deed(draw, number)
        if number == 75:
            deed = Deed("revoke", ("https://a.org",))
        there, here = outcome(deed, reader), outcome(deed, local)
        assert there == here, deed
        kinds.add((deed.method, isinstance(here, tuple)))
        if draw.random() < 0.2:
            lags, prefix = draw.choice(readers), MemoryBank(guards)
            for one in owner.since(0)[: lags.sequence]:
                one.on(prefix)
            assert state(lags) == state(prefix)
    for reader in readers:
        reader.catch_up()
        assert state(reader) == state(local) and reader.sequence == len(owner.since(0)) and reader.catch_up() == 0
    late = RemoteBank(pickled(owner))  # one that comes at the end
    assert state(late) == state(local)
    assert {method for method, is_refused in kinds if not is_refused} >= set(DEEDS) - {"join"}  # few joins find two
    assert any(is_refused for _, is_refused in kinds)


def pickled(owner):
    """An owner whose messages travel as bytes."""

    class Far:
        def __getattr__(self, name):
            return lambda *given: pickle.loads(pickle.dumps(getattr(owner, name)(*pickle.loads(pickle.dumps(given)))))

    return Far()


def write_in_threads(readers, count):
    """Each reader in a thread of its own does, or is refused, so many things."""

    def work(place):
        draw = random.Random(place)
        for number in range(count):
            outcome(draw_deed(draw, 1000 * place + number), readers[place])

    threads = [threading.Thread(target=work, args=(place,)) for place in range(len(readers))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_threads_of_four_readers_agree_on_one_order():
    owner = BankLog()
    readers = [RemoteBank(owner) for _ in range(4)]
    write_in_threads(readers, 100)
    log, local = owner.since(0), MemoryBank()
    for deed in log:
        deed.on(local)  # none of the log is refused
    for reader in readers:
        reader.catch_up()
        assert state(reader) == state(local)
    assert len(log) > 80 and [entry.entry for entry in local.entries] == list(range(len(local)))


def test_a_reader_that_lags_sees_a_prefix_and_its_index_grows_by_what_it_learns():
    owner = BankLog()
    writer, reader = RemoteBank(owner), RemoteBank(owner)
    for number in range(6):
        writer.add(step(0, number, f"pond number {number}"), float(number))
    assert len(reader) == 0 and reader.list_entries(1) == []
    assert reader.catch_up() == 6
    index = KeyIndex(3, "numpy")
    keys, indexed = reader.keys, 0

    def follow():
        nonlocal indexed
        for key in keys[indexed:]:
            index.add(np.array([float(key[-1]), 1.0, 0.0], np.float32))
            indexed += 1

    follow()
    writer.add(step(0, 6, "pond number 9"), 6.0)
    writer.revoke(0)
    assert reader.entries == writer.entries[:6] and not reader.is_hidden(0) and reader.sequence == 6
    with pytest.raises(ValueError, match="memory entry 0 was revoked"):
        reader.pull(1, 0, 0, 7.0)  # the owner knows better
    assert reader.sequence == 6  # what is refused is not in the log
    assert reader.pull(1, 6, 0, 7.0) == "value 0.6"  # nor known here a moment ago
    assert state(reader) == state(RemoteBank(owner)) and reader.is_hidden(0)
    follow()
    assert indexed == 7 and len(index) == 7
    made = writer.join([1, 2], step(0, 7, "two ponds"), 7.0)
    assert made.entry == 7 and reader.catch_up() == 1 and reader.ended == {1, 2} and reader.entry(7) == made


def test_refusals_by_hand():
    bank = RemoteBank(BankLog(GuardSettings(keys="refuse")))
    with pytest.raises(KeyRefused, match="breaks the schema"):
        bank.add(step(0, 0, "x" * 4000), 0.0)
    with pytest.raises(EditRefused, match="no memory entry 3"):
        bank.delete(3, 0, 0, 0.0)
    with pytest.raises(ValueError, match="no memory entry 0"):
        bank.pull(0, 0, 0, 0.0)
    with pytest.raises(ValueError, match=r"deed: expected one of add, .*, got '__init__'"):
        BankLog().write(Deed("__init__", ()), 0)
    assert bank.sequence == 0


def test_once_the_owner_is_gone_one_error_says_so_and_what_is_known_can_be_read():
    class Mortal(BankLog):
        is_gone = False

        def write(self, deed, known):
            if self.is_gone:
                raise UserError("bank: the process that owns it is gone")
            return super().write(deed, known)

        def since(self, known):
            if self.is_gone:
                raise UserError("bank: the process that owns it is gone")
            return super().since(known)

    owner = Mortal()
    bank = RemoteBank(owner)
    bank.add(step(0, 0), 0.0)
    owner.is_gone = True
    for act in (lambda: bank.add(step(0, 1), 1.0), lambda: bank.pull(1, 0, 0, 1.0), bank.catch_up):
        with pytest.raises(UserError, match="bank: the process that owns it is gone"):
            act()
    assert [entry.value for entry in bank.list_entries(1)] == ["value 0.0"] and bank.sequence == 1
