"""The generator: replies that do not depend on company, shared beginnings, masks, limits, stop texts, ends."""

import json
import threading
import time

import numpy as np
import pytest

from lts_jax.errors import UserError
from lts_jax.models.decoding import load_decoder
from lts_jax.models.generator import Generator, Request, TooLong
from lts_jax.models.qwen3_settings import settings_from_json
from lts_jax.models.sampling import Sampling, draw_token

pytest.importorskip("tokenizers", reason="needs the extra local")
pytest.importorskip("jinja2", reason="needs the extra local")

GREEDY = Sampling(temperature=0.0, max_tokens=12)


@pytest.fixture(scope="module")
def generator(tiny_folder):
    """The tiny model, in rows of 2,048 places together."""
    from lts_jax.models.chat_format import ChatFormat

    settings = settings_from_json(tiny_folder)
    made = Generator(
        settings, load_decoder(tiny_folder, settings), ChatFormat(tiny_folder), context=512, max_places=2_048
    )
    yield made
    made.close()


def ask(generator, *prompts, sampling=GREEDY, grammar=None, seed=0, on_text=None):
    """Replies to prompts (texts) that all wait at once, in their order."""
    ends = [threading.Event() for _ in prompts]
    replies = [None] * len(prompts)

    def end(place):
        def settle(reply):
            replies[place] = reply
            ends[place].set()

        return settle

    for place, text in enumerate(prompts):
        tokens = generator.chat.prompt([{"role": "user", "content": text}])
        generator.submit(Request(tokens, seed, sampling, grammar, on_text, end(place)))
    assert all(event.wait(120) for event in ends)
    return replies


def test_a_reply_is_the_same_alone_and_in_company(generator):
    prompts = ["one", "another thing", "a third, which is longer than the others are", "yes", "no"]
    together = ask(generator, *prompts)
    alone = [ask(generator, prompt)[0] for prompt in prompts]
    assert [reply.text for reply in together] == [reply.text for reply in alone]
    assert len({reply.text for reply in together}) > 1
    assert {reply.ending for reply in together} <= {"stop", "length"}


def test_the_same_seed_draws_the_same_and_another_another(generator):
    drawn = Sampling(temperature=1.5, top_p=1.0, max_tokens=12)
    first, again = (ask(generator, "draw", sampling=drawn, seed=3)[0].text for _ in range(2))
    others = {ask(generator, "draw", sampling=drawn, seed=seed)[0].text for seed in range(4, 8)}
    assert first == again and others - {first}


def test_a_beginning_that_was_there_is_not_computed_again(generator):
    start = "the long common beginning of all teams " * 5
    first, second = ask(generator, start + "A")[0], ask(generator, start + "B")[0]
    num_common = len(generator.chat.tokenizer.encode(start, add_special_tokens=False).ids)
    assert second.shared_tokens >= num_common > 100 > first.shared_tokens
    assert second.text == ask(generator, start + "B")[0].text


def test_rows_of_many_beginnings_stay_within_their_places(generator):
    for number in range(12):
        ask(generator, f"{number} of a dozen different beginnings " * 4)
    rows = [*generator._rows.busy, *generator._rows.idle]
    assert sum(row.capacity for row in rows) <= 2_048 and len(rows) > 1


def test_limits_and_stop_texts(generator):
    whole = ask(generator, "stop here", sampling=Sampling(temperature=0.0, max_tokens=20))[0]
    short = ask(generator, "stop here", sampling=Sampling(temperature=0.0, max_tokens=5))[0]
    assert short.ending == "length" and short.completion_tokens == 5 and whole.text.startswith(short.text)
    stop = whole.text[3:5]
    cut = ask(generator, "stop here", sampling=Sampling(temperature=0.0, max_tokens=20, stop=(stop,)))[0]
    assert cut.text == whole.text[: whole.text.index(stop)] and cut.ending == "stop"
    million = ask(generator, "stop here", sampling=Sampling(temperature=0.0, max_tokens=10**6))[0]
    assert million.prompt_tokens + million.completion_tokens <= generator.context


def test_what_is_told_on_the_way_is_the_reply(generator):
    pieces = []
    reply = ask(generator, "tell it", on_text=pieces.append, sampling=Sampling(1.0, 1.0, 30, ("zz",)))[0]
    assert "".join(pieces) == reply.text and len(pieces) > 1


def test_a_prompt_longer_than_the_context_says_by_how_much(generator):
    with pytest.raises(TooLong, match=r"the prompt has 600 tokens, 89 more than the context of 512 tokens holds"):
        generator.submit(Request([5] * 600, 0, GREEDY))


def test_who_leaves_frees_his_row(generator):
    ended = threading.Event()
    request = Request(
        generator.chat.prompt([{"role": "user", "content": "go on"}]), 0, Sampling(0.0, 1.0, 400),
        on_end=lambda reply: ended.set() if reply.ending == "cancelled" else None,
    )  # fmt: skip
    request.on_text = lambda text: setattr(request, "is_cancelled", True)
    generator.submit(request)
    assert ended.wait(60)
    assert ask(generator, "still there")[0].ending in ("stop", "length")


def test_an_error_ends_those_at_work_and_the_generator_goes_on(generator, monkeypatch):
    from lts_jax.models import generator as module

    def fail(*_):
        raise MemoryError("no room")

    monkeypatch.setattr(module, "extend_rows", fail)
    failed = ask(generator, "one", "two")
    assert {reply.ending for reply in failed} == {"failed"} and "no room" in failed[0].problem
    monkeypatch.undo()
    assert ask(generator, "one")[0].ending in ("stop", "length")


def test_masks_make_json_of_the_schema_whatever_the_model_would_say(generator):
    pytest.importorskip("llguidance", reason="needs the extra local")
    schema = {
        "type": "object", "additionalProperties": False, "required": ["is_done", "speaker", "what"],
        "properties": {
            "is_done": {"type": "boolean"},
            "speaker": {"type": "string", "enum": ["Coder", "WebSurfer"]},
            "what": {"type": "string", "maxLength": 20},
        },
    }  # fmt: skip
    wild = Sampling(temperature=2.0, top_p=1.0, max_tokens=200)
    for seed in range(6):
        reply = ask(generator, "Reply in JSON", sampling=wild, grammar=schema, seed=seed)[0]
        found = json.loads(reply.text)
        assert isinstance(found["is_done"], bool) and found["speaker"] in ("Coder", "WebSurfer")
        assert len(found["what"]) <= 20 and reply.ending == "stop"


def test_a_schema_that_cannot_be_kept_is_refused_at_once(generator):
    pytest.importorskip("llguidance", reason="needs the extra local")
    with pytest.raises(ValueError, match="the JSON schema cannot be kept to"):
        generator.submit(Request([5], 0, GREEDY, grammar={"type": "object", "properties": {"a": {"type": "odd"}}}))


def test_close_answers_whoever_waits(tiny_folder):
    from lts_jax.models.chat_format import ChatFormat

    settings = settings_from_json(tiny_folder)
    made = Generator(settings, load_decoder(tiny_folder, settings), ChatFormat(tiny_folder), context=512, max_rows=1)
    endings = []
    for _ in range(3):
        made.submit(Request([5, 6, 7], 0, Sampling(0.0, 1.0, 500), on_end=lambda reply: endings.append(reply.ending)))
    time.sleep(0.1)
    made.close()
    assert len(endings) == 3 and set(endings) <= {"cancelled", "stop", "length"} and "cancelled" in endings
    with pytest.raises(RuntimeError, match="closed"):
        made.submit(Request([5], 0, GREEDY))


def test_draws_by_hand():
    """Probabilities .5 .3 .2: with top_p .7 the first two are drawn from, as .625 and .375."""
    logits = np.log(np.array([0.2, 0.5, 0.3], np.float32))
    drawn = [draw_token(logits, Sampling(1.0, 0.7), np.random.default_rng(seed)) for seed in range(400)]
    uniform = [np.random.default_rng(seed).random() for seed in range(400)]
    assert drawn == [1 if one < 0.625 else 2 for one in uniform]
    assert draw_token(logits, Sampling(0.0), np.random.default_rng(0)) == 1
    masked = np.array([-np.inf, -np.inf, 1.0], np.float32)
    assert {draw_token(masked, Sampling(2.0, 1.0), np.random.default_rng(seed)) for seed in range(9)} == {2}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"temperature": 2.1}, "temperature: expected from 0 to 2"),
        ({"top_p": 0.0}, "top_p: expected more than 0"),
        ({"max_tokens": 0}, "max_tokens: expected at least 1, got 0"),
        ({"stop": ("",)}, "stop: expected texts of at least one character"),
    ],
)
def test_settings_that_cannot_be(changes, message):
    with pytest.raises(UserError, match=message):
        Sampling(**changes)
