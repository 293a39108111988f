"""Reading: replies of many kinds, what a team is shown, what it is asked again, and what it takes."""

import asyncio
import json
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lts_jax import prompts
from lts_jax.memory.bank import MemoryBank
from lts_jax.memory.reading import EntryView, NearestKeys, ReadingSettings, TeamReader
from lts_jax.memory.selection import parse_selection
from lts_jax.records import Message, ModelCall, Pull, Step

QUESTION = "What does a day ticket cost?"
THREAD = [Message("user", "task ledger"), Message("assistant", "WebSurfer: open it", "Orchestrator")]


@pytest.mark.parametrize(
    ("reply", "entries"),
    [
        ("SELECTED_KEYS = [3, 5]", [3, 5]),
        ("SELECTED_KEYS = []", []),
        ("I need prices.\nSELECTED_KEYS = [0]\nThat should do for 2024.", [0]),
        ("selected_keys: [7,1,7]", [7, 1]),
        ("Selected keys = [2]", [2]),
        ("**SELECTED_KEYS** = `[4]`", [4]),
        ("SELECTED_KEYS=\n[8,\n 9]", [8, 9]),
        ('{"SELECTED_KEYS": [1, 2], "reason": "two of 9"}', [1, 2]),
        ('```json\n{"selected_keys": ["1", "[6]"]}\n```', [1, 6]),
        ("SELECTED_KEYS = ['3', \"4\"]", [3, 4]),
        ("SELECTED_KEYS = [[3] museum hours 9-17, [5] ticket 12.50]", [3, 5]),
        ("SELECTED_KEYS = [[3, 5]]", [3, 5]),
        ("SELECTED_KEYS = 3, 5", [3, 5]),
        ("SELECTED_KEYS = keys [3] and [5]", [3, 5]),
        ("SELECTED_KEYS = none", []),
        ("SELECTED_KEYS = [3, 5", [3, 5]),
        ("SELECTED_KEYS = [comma-separated numbers], or SELECTED_KEYS = [2]", [2]),
        ("SELECTED_KEYS = [-1, 2.5, 4]", [4]),
        ("SELECTED_KEYS = [99999999999999999999, 6]", [6]),
        ("SELECTED_KEYS =", []),
        ("[3, 5]", [3, 5]),
        ("```json\n[3]\n```", [3]),
        ("I would pull entries 3 and 5.", []),
        ("The pool [3] opens in 2024.", []),
        ("", []),
        ("\x00\x1b[31m", []),
        ("I cannot help with that.", []),
        ("9" * 10_000, []),
        ("[" * 10_000, []),
        ("SELECTED_KEYS = [" * 2_000, []),
    ],
)
def test_selections_of_many_kinds(reply: str, entries: list[int]) -> None:
    assert parse_selection(reply) == entries


@given(st.text() | st.text("SELECTED_KEYS =[]{},0123456789\"'\n ", max_size=60))
def test_the_parser_never_raises_and_gives_distinct_ids(reply: str) -> None:
    entries = parse_selection(reply)
    assert len(set(entries)) == len(entries)
    assert all(entry >= 0 for entry in entries)


@given(st.lists(st.integers(0, 10**9 - 1), unique=True, max_size=20))
def test_a_well_formed_selection_is_read_back(entries: list[int]) -> None:
    assert parse_selection(f"{prompts.SELECTION_MARKER} {json.dumps(entries)}") == entries


class _Ask:
    """Replies in turn (the last one for ever); an empty reply is a failed call. Keeps the requests."""

    def __init__(self, *replies: str) -> None:
        self.replies = list(replies)
        self.asked: list[Sequence[Message]] = []

    async def __call__(self, purpose: str, messages: Sequence[Message]) -> ModelCall:
        assert purpose == "select"
        reply = self.replies[min(len(self.asked), len(self.replies) - 1)]
        self.asked.append(messages)
        return ModelCall(purpose, reply, 10, 5, error="" if reply else "time-out")


def _bank(*teams: int) -> MemoryBank:
    bank = MemoryBank()
    for team in teams:
        _add(bank, team)
    return bank


def _add(bank: MemoryBank, team: int) -> None:
    number = len(bank)
    bank.add(Step(team, number, "WebSurfer", "", "", f"value {number}", f"key {number}"), float(number))


def _read(reader: TeamReader, ask: _Ask, step: int = 0, instruction: str = "") -> list[tuple[int, str, str]]:
    return asyncio.run(reader.read(step, instruction, THREAD, ask, lambda: 100.0 + step))


def test_the_request_follows_the_thread_and_lists_keys_only() -> None:
    bank, ask = _bank(1, 0, 1), _Ask("SELECTED_KEYS = [2, 9, 0]")
    assert [entry for entry, _, _ in _read(TeamReader(0, bank, QUESTION, ReadingSettings()), ask)] == [2, 0]
    *before, request = ask.asked[0]
    assert before == THREAD
    assert request == prompts.select_request(QUESTION, ["[0] key 0", "[2] key 2"])
    assert "value" not in request.content.replace("Which values", "")


def test_nothing_listed_asks_nothing() -> None:
    ask = _Ask("")
    assert _read(TeamReader(0, _bank(), QUESTION, ReadingSettings()), ask) == []
    assert not ask.asked


def test_at_most_so_many_values_enter_before_one_step() -> None:
    reader = TeamReader(0, _bank(1, 1, 1, 1, 1), QUESTION, ReadingSettings(max_pulled_per_step=2))
    assert [entry for entry, _, _ in _read(reader, _Ask("SELECTED_KEYS = [4, 3, 2, 1, 0]"))] == [4, 3]


def test_a_pull_is_logged_with_reader_writer_step_and_time() -> None:
    bank = _bank(1, 0, 2)
    reader = TeamReader(0, bank, QUESTION, ReadingSettings())
    assert _read(reader, _Ask("SELECTED_KEYS = [2]"), step=7) == [(2, "key 2", "value 2")]
    assert bank.pulls == (Pull(2, 0, 2, 7, 107.0),)
    assert reader.held == {2}


def test_own_keys_and_pulled_keys_are_not_listed() -> None:
    bank = _bank(1, 0, 2)
    reader = TeamReader(0, bank, QUESTION, ReadingSettings())
    assert [e.entry for e in reader.listing("")] == [0, 2]
    _read(reader, _Ask("SELECTED_KEYS = [2, 1]"))
    assert [e.entry for e in reader.listing("")] == [0]
    assert len(bank.pulls) == 1  # key 1 is its own: it was not offered, so it cannot be taken
    both = ReadingSettings(include_own=True, list_pulled_again=True)
    assert [e.entry for e in TeamReader(0, bank, QUESTION, both).listing("")] == [0, 1, 2]


def test_a_team_is_asked_again_only_when_a_key_is_new_to_it() -> None:
    bank = _bank(1, 1)
    reader = TeamReader(0, bank, QUESTION, ReadingSettings())
    ask = _Ask("SELECTED_KEYS = []", "SELECTED_KEYS = [0]")
    assert _read(reader, ask, 0) == []
    assert _read(reader, ask, 1) == []
    assert len(ask.asked) == 1
    _add(bank, 0)  # its own key is no news
    _read(reader, ask, 2)
    assert len(ask.asked) == 1
    _add(bank, 2)
    assert _read(reader, ask, 3) == [(0, "key 0", "value 0")]  # passed over before, offered again with the new key
    assert len(ask.asked) == 2


def test_a_listing_may_tell_how_many_teams_have_stored_the_same_key() -> None:
    bank = MemoryBank()
    for team, summary in enumerate(["Zoo: $12", "zoo:  $12", "Zoo: $9", "ZOO: $12"]):
        bank.add(Step(team % 3, 0, "WebSurfer", "", "", "out", summary=summary), float(team))
    plain, counted = _Ask("SELECTED_KEYS = []"), _Ask("SELECTED_KEYS = []")
    _read(TeamReader(2, bank, QUESTION, ReadingSettings()), plain)
    _read(TeamReader(1, bank, QUESTION, ReadingSettings(count_teams=True)), counted)
    # Team 0 has stored the first twice, team 1, which reads, once: two teams, whoever asks.
    assert plain.asked[0][-1] == prompts.select_request(QUESTION, ["[0] Zoo: $12", "[1] zoo:  $12", "[3] ZOO: $12"])
    assert counted.asked[0][-1] == prompts.select_request(
        QUESTION, ["[0] Zoo: $12 (stored by 2 teams)", "[2] Zoo: $9", "[3] ZOO: $12 (stored by 2 teams)"]
    )
    assert [
        prompts.num_teams_of(line) for line in ("[0] a (stored by 12 teams)", "[0] a", "[0] (stored by teams)")
    ] == [12, 1, 1]


def test_asking_before_every_step_is_a_setting() -> None:
    reader = TeamReader(0, _bank(1), QUESTION, ReadingSettings(ask_only_when_new=False))
    ask = _Ask("SELECTED_KEYS = []", "SELECTED_KEYS = []", "SELECTED_KEYS = [0]")
    for step in range(5):
        _read(reader, ask, step)
    assert len(ask.asked) == 3  # after the third nothing is left to list


def test_a_failed_selection_offers_the_same_keys_again() -> None:
    reader = TeamReader(0, _bank(1), QUESTION, ReadingSettings())
    ask = _Ask("", "SELECTED_KEYS = [0]")
    assert _read(reader, ask, 0) == []
    assert _read(reader, ask, 1) == [(0, "key 0", "value 0")]


def test_forgetting_offers_everything_again() -> None:
    bank = _bank(1, 1)
    reader = TeamReader(0, bank, QUESTION, ReadingSettings())
    ask = _Ask("SELECTED_KEYS = [1]")
    _read(reader, ask, 0)
    reader.forget()
    assert reader.held == frozenset()
    assert [e.entry for e in reader.listing("")] == [0, 1]
    assert _read(reader, ask, 1) == [(1, "key 1", "value 1")]
    assert len(bank.pulls) == 2


def test_values_are_cut_to_size_on_the_way_to_the_reader_only() -> None:
    bank = MemoryBank()
    bank.add(Step(1, 0, "WebSurfer", "", "", "x" * 500, "long"), 0.0)
    reader = TeamReader(0, bank, QUESTION, ReadingSettings(max_value_characters=60))
    [(_, _, value)] = _read(reader, _Ask("SELECTED_KEYS = [0]"))
    assert len(value) == 60
    assert len(bank.entries[0].value) == 500


def test_a_key_added_during_the_call_waits_for_the_next_step() -> None:
    bank = _bank(1)

    class _AddingAsk(_Ask):
        async def __call__(self, purpose: str, messages: Sequence[Message]) -> ModelCall:
            if not self.asked:
                _add(bank, 2)
            return await super().__call__(purpose, messages)

    reader, ask = TeamReader(0, bank, QUESTION, ReadingSettings()), _AddingAsk("SELECTED_KEYS = [1]")
    assert _read(reader, ask, 0) == []  # key 1 was not in the listing
    assert _read(reader, ask, 1) == [(1, "key 1", "value 1")]


def test_the_window_limits_what_is_listed() -> None:
    reader = TeamReader(0, _bank(1, 1, 1, 1), QUESTION, ReadingSettings(), view=EntryView(window=2))
    assert [e.entry for e in reader.listing("")] == [2, 3]
    ask = _Ask("SELECTED_KEYS = []")
    _read(TeamReader(0, _bank(1), QUESTION, ReadingSettings(), view=EntryView(window=0)), ask)
    assert not ask.asked


class _DigitEncoder:
    """A text's vector counts its digits."""

    dim = 10
    name = "digits"

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([[text.count(str(digit)) for digit in range(10)] for text in texts], np.float32)


def test_beyond_the_limit_the_nearest_keys_are_listed_in_order() -> None:
    bank = _bank(1, 1, 0, 1, 1, 1)
    nearest = NearestKeys(bank.keys, _DigitEncoder(), "numpy")
    reader = TeamReader(0, bank, QUESTION, ReadingSettings(max_listed=2), nearest=nearest)
    assert [e.entry for e in reader.listing("about 1 and 4, but more 4")] == [1, 4]
    assert [e.entry for e in reader.listing("about 2 and 0, then 5")] == [0, 5]  # 2 is its own
    _add(bank, 2)
    assert [e.entry for e in reader.listing("6 or 3")] == [3, 6]
    within = TeamReader(0, bank, QUESTION, ReadingSettings(max_listed=6), nearest=nearest)
    assert [e.entry for e in within.listing("about 4")] == [0, 1, 3, 4, 5, 6]


def test_a_new_instruction_can_bring_up_an_old_key() -> None:
    bank = _bank(1, 1, 1)
    nearest = NearestKeys(bank.keys, _DigitEncoder(), "numpy")
    reader = TeamReader(0, bank, QUESTION, ReadingSettings(max_listed=1), nearest=nearest)
    ask = _Ask("SELECTED_KEYS = []")
    for instruction in ("2", "2", "0", "2", "1"):
        _read(reader, ask, instruction=instruction)
    listed = [messages[-1].content.splitlines()[3] for messages in ask.asked]
    assert listed == ["[2] key 2", "[0] key 0", "[1] key 1"]


def test_without_an_encoder_the_newest_keys_are_listed() -> None:
    reader = TeamReader(0, _bank(1, 1, 1, 1), QUESTION, ReadingSettings(max_listed=2))
    assert [e.entry for e in reader.listing("anything")] == [2, 3]


def test_two_tasks_never_see_each_other() -> None:
    one, other = _bank(1, 1), _bank(2)
    reader_of_one = TeamReader(0, one, QUESTION, ReadingSettings())
    reader_of_other = TeamReader(0, other, QUESTION, ReadingSettings())
    assert _read(reader_of_one, _Ask("SELECTED_KEYS = [0, 1]")) == [(0, "key 0", "value 0"), (1, "key 1", "value 1")]
    assert _read(reader_of_other, _Ask("SELECTED_KEYS = [1]")) == []
    assert other.pulls == ()


@pytest.mark.parametrize("field", ["max_listed", "max_pulled_per_step", "max_value_characters"])
def test_wrong_settings_are_refused(field: str) -> None:
    with pytest.raises(ValueError, match=f"ReadingSettings.{field}: expected at least 1, got 0"):
        ReadingSettings(**{field: 0})
