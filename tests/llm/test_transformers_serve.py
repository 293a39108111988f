"""A server that nobody here wrote: `transformers serve` with a tiny random model, over real HTTP."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

pytest.importorskip("fastapi", reason="needs the extra parity")
pytest.importorskip("uvicorn", reason="needs the extra parity")
pytest.importorskip("transformers", reason="needs the extra parity")

from lts_jax.admission.rules import RULES
from lts_jax.llm.chat import ModelFailure
from lts_jax.llm.openai_client import OpenAIChatModel, OpenAIChatSettings
from lts_jax.models.tiny_qwen3 import write_tiny
from lts_jax.records import Coordinates, Message, StopReason, Task, ToolResult
from lts_jax.rollouts.rollout import RolloutParts, run_rollout
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.teams.settings import TeamSettings

ASKED = (Message("system", "You are Coder."), Message("user", "Plan.", "Orchestrator"))
CHAT = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """(address, model name) of a server that lives as long as this module's tests."""
    folder = tmp_path_factory.mktemp("served") / "model"
    write_tiny(folder)
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": CHAT, "model_max_length": 4096}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "generation_config.json").write_text(json.dumps({"max_new_tokens": 16, "do_sample": False}))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = "from transformers.cli.transformers import main; main()"
    arguments = ["serve", str(folder), "--device", "cpu", "--host", "127.0.0.1", "--port", str(port)]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder.parent / "home"), "OMP_NUM_THREADS": "1"}
    server = subprocess.Popen(
        [sys.executable, "-c", command, *arguments],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/health", server)
        yield f"http://127.0.0.1:{port}/v1", str(folder)
    finally:
        server.kill()
        server.wait()


def wait_for(url: str, server: subprocess.Popen) -> None:
    ends = time.monotonic() + 1200
    while True:
        try:
            urllib.request.urlopen(url, timeout=60).read()
            return
        except OSError:
            if server.poll() is not None:
                assert server.stderr is not None
                pytest.fail(f"transformers serve ended: {server.stderr.read()[-2000:]}")
            assert time.monotonic() < ends, "transformers serve did not answer within twenty minutes"
            time.sleep(0.2)


def ask(served, messages=ASKED, json_reply=False, **settings):
    async def asked():
        model = OpenAIChatModel(OpenAIChatSettings(served[1], served[0], max_completion_tokens=8, **settings))
        try:
            return await model.complete(messages, seed=7, json_reply=json_reply)
        finally:
            await model.close()

    return asyncio.run(asked())


def test_one_reply_however_it_is_asked_for(served) -> None:
    whole = ask(served)
    assert whole.reply and whole.attempts == 1
    assert 0 < whole.completion_tokens <= 8 < whole.prompt_tokens  # the server's own count
    streamed = ask(served, stream=True)
    assert (streamed.reply, streamed.completion_tokens) == (whole.reply, whole.completion_tokens)
    assert streamed.prompt_tokens > 8
    # JSON modes that it lacks are left out, one after the other; a random model writes no JSON either way.
    for modes in ((), ("json_object",), ("json_schema", "json_object", "tool")):
        assert ask(served, json_reply=True, json_modes=modes).reply


def test_what_the_server_refuses_is_typed_and_not_repeated(served) -> None:
    with pytest.raises(ModelFailure) as failed:
        ask((served[0], "/no/such/model"), max_retries=0)
    assert failed.value.attempts <= 8  # a refusal without words is met by leaving out part after part, once each
    with pytest.raises(ModelFailure, match=r"more than 0\.0001 seconds"):  # no way there and back
        ask(served, call_deadline_seconds=0.0001)


def test_a_team_of_random_tokens_ends_by_itself(served) -> None:
    """The model writes nonsense: every ledger is unreadable, and the rollout is still a whole record."""
    task = Task("t", "How tall is the tower?", "42", "test")
    settings = RolloutSettings(2, TeamSettings(max_rounds=2))

    async def run():
        model = OpenAIChatModel(OpenAIChatSettings(served[1], served[0], max_completion_tokens=8))
        parts = RolloutParts(model, lambda tool, arguments: ToolResult("nothing"), RULES["all"](), virtual_time=False)
        try:
            return await run_rollout(task, Coordinates(0, 0, "t", 0), parts, settings)
        finally:
            await model.close()

    rollout = asyncio.run(run())
    assert rollout.reward_agg == 0.0 and rollout.clock == "real"
    assert {answer.stop_reason for answer in rollout.answers} <= set(StopReason)
    assert rollout.calls and not any(call.error for call in rollout.calls)
