"""Reading one agent's chat, message by message, into steps: each tool call and each reply to a person is a step."""

from dataclasses import dataclass, field, replace
from typing import Any

from lts_jax.logs.importers.files import looks_failed, message_text
from lts_jax.logs.importers.recorded import RecordedStep
from lts_jax.logs.importers.tool_calls import API_OUTPUT, canonical_call, message_calls
from lts_jax.records import Step

AGENT = "Agent"


@dataclass(slots=True)
class _OpenCall:
    """A tool call whose result has not been read yet. It is a step already; the result fills in its output."""

    call_id: str
    position: int  # in the list of steps


@dataclass(slots=True)
class ChatReader:
    """Reads the messages of one run in order; `steps` grows, and a tool result fills in the step of its call."""

    messages: list[dict[str, Any]]
    steps: list[RecordedStep] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    context: str = ""  # the last thing said to the agent
    characters: int = 0  # of all messages so far
    open_calls: list[_OpenCall] = field(default_factory=list)
    latest: int = 0  # position of the first step of the agent's latest message

    def read(self, index: int, message: dict[str, Any]) -> None:
        """Take in one message."""
        role, text = str(message.get("role") or "").lower(), message_text(message.get("content"))
        calls = message_calls(message, self.messages[index + 1] if index + 1 < len(self.messages) else None)
        if role == "assistant":
            has_calls = bool(message.get("tool_calls") or message.get("function_call"))
            self._read_agent(text, calls, text if has_calls else text.rpartition("Action:")[0].strip())
        elif role in ("tool", "function"):
            self._read_result(index, message, text)
        elif role == "user" and text.startswith(API_OUTPUT) and self.open_calls:
            self._read_result(index, message, text.removeprefix(API_OUTPUT).strip())
        elif role == "user":
            self._read_customer(text)
        else:
            if role not in ("system", "developer"):
                self.notes.append(f"message {index}: role {role!r} is not known; kept as context only")
            self.characters += len(text)

    def close(self) -> None:
        """Note the calls that never got a result; their output stays empty."""
        for call in self.open_calls:
            self.notes.append(f"step {call.position}: the call has no result")

    def _read_agent(self, text: str, calls: list[tuple[str, str, Any]], beside: str) -> None:
        spoken = sum(len(canonical_call(name, arguments)) for _, name, arguments in calls) + len(text)
        self.latest = len(self.steps)
        if not calls:
            self.steps.append(RecordedStep(self._step("", text), "", self.characters, spoken))
        for place, (call_id, name, arguments) in enumerate(calls):
            first = place == 0
            self.open_calls.append(_OpenCall(call_id, len(self.steps)))
            step = self._step(canonical_call(name, arguments), "")
            asked, said = (spoken, beside) if first else (0, "")
            self.steps.append(RecordedStep(step, name, self.characters, asked, asks_model=first, said=said))
        self.characters += spoken

    def _step(self, action: str, output: str) -> Step:
        number, failed = len(self.steps), looks_failed(output)
        return Step(0, number, AGENT, instruction=self.context, action=action, output=output, failed=failed)

    def _read_result(self, index: int, message: dict[str, Any], text: str) -> None:
        call_id, name = message.get("tool_call_id") or message.get("id"), message.get("name")
        call = next((call for call in self.open_calls if call_id and call.call_id == call_id), None)
        if call is None:  # no id, or one that fits no call: the first unanswered call of this tool in the last message
            latest = [call for call in self.open_calls if call.position >= self.latest]
            call = next((call for call in latest if not name or self.steps[call.position].tool == name), None)
        self.characters += len(text)
        self.context = text
        if call is None:
            self.notes.append(f"message {index}: a tool result without a call; kept as context only")
            return
        self.open_calls.remove(call)
        self.steps[call.position] = _with_output(self.steps[call.position], text, message.get("error") is True)

    def _read_customer(self, text: str) -> None:
        self.characters += len(text)
        self.context = text
        if self.steps:
            self.steps[-1] = _with_customer(self.steps[-1], len(text))


def _with_output(item: RecordedStep, output: str, has_failed: bool) -> RecordedStep:
    return replace(item, step=replace(item.step, output=output, failed=has_failed or looks_failed(output)))


def _with_customer(item: RecordedStep, characters: int) -> RecordedStep:
    return replace(item, customer_characters=item.customer_characters + characters)
