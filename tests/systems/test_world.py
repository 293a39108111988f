"""The encoder that the settings name, and their contradictions."""

import numpy as np
import pytest

from lts_jax.errors import UserError
from lts_jax.memory.encoder_parts import make_encoder
from lts_jax.systems.world import almanac_tools


def test_equal_settings_share_one_encoder_and_its_cache():
    one, other = make_encoder(), make_encoder("hashing()")
    assert one is other and one.dim == 256
    assert make_encoder("hashing(width=64)").dim == 64


class Lengths:
    """An encoder of one's own: how long a text is, and how often it says a."""

    dim, name = 2, "lengths"

    def encode(self, texts):
        return np.array([[len(text), text.count("a")] for text in texts], np.float32)


class Flat(Lengths):
    def encode(self, texts):
        return np.zeros(len(texts), np.float32)


def test_an_encoder_of_ones_own():
    encoder = make_encoder(Lengths())
    np.testing.assert_array_equal(encoder.encode(["banana"]), [[6.0, 3.0]])
    np.testing.assert_array_equal(make_encoder(Lengths).encode(["banana"]), [[6.0, 3.0]])
    with pytest.raises(UserError, match=r"encoder: 'lengths': expected finite vectors of shape \(2, 2\), got \(2,\)"):
        make_encoder(Flat())


def test_an_encoder_that_lacks_something_is_one_line():
    with pytest.raises(UserError, match=r"encoder: minilm needs the setting folder, as minilm\(folder=...\)"):
        make_encoder("minilm")
    with pytest.raises(UserError, match=r"encoder: hashing\(width\): expected at least 1, got 0"):
        make_encoder("hashing(width=0)")


def test_a_missing_folder_of_weights_is_one_line(tmp_path):
    with pytest.raises(UserError) as raised:
        make_encoder(f"minilm(folder={tmp_path}/absent)")
    assert "absent" in str(raised.value) and "\n" not in str(raised.value)


def test_a_tool_call_that_does_not_fit_is_an_observation():
    use_tool = almanac_tools(0)
    for tool, arguments in [
        ("fly", {}),
        ("web_search", {}),
        ("web_search", {"query": ["a", "list"]}),
        ("visit_url", {"url": "x", "page": "two"}),
        ("open_file", {"name": None}),
        ("run_python", {"code": 3}),
    ]:
        result = use_tool(tool, arguments)
        assert result.failed and result.text, (tool, arguments)


def test_recorded_calls_are_used_again_and_can_stand_alone(tmp_path):
    import asyncio

    from lts_jax.prompts import facts_request
    from lts_jax.systems.world import ModelSettings, make_model

    ask = [facts_request("How much is a ticket?", ())]
    folder = str(tmp_path)
    first = asyncio.run(make_model(ModelSettings(record_folder=folder)).complete(ask, seed=1))
    assert len((tmp_path / "calls.jsonl").read_text().splitlines()) == 1
    alone = make_model(ModelSettings(record_folder=folder, replay_only=True))
    assert asyncio.run(alone.complete(ask, seed=1)) == first
    with pytest.raises(UserError, match=r"replay_only needs model\.record_folder"):
        ModelSettings(replay_only=True)


@pytest.mark.parametrize(
    ("field", "value"),
    [("max_retries", -1), ("max_in_flight", 0), ("temperature", 5.0), ("call_deadline_seconds", -1.0)],
)
def test_model_settings_are_checked_also_where_they_are_not_used(field, value):
    from lts_jax.systems.world import ModelSettings

    with pytest.raises(UserError, match=f"model.{field}"):
        ModelSettings(**{field: value})
