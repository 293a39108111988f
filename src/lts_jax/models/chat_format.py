"""How messages become the tokens of a prompt: by the chat template that comes with a model, or ChatML where none does.

A template is a program of a stranger; it runs in the sandbox of jinja2.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lts_jax.errors import UserError, describe
from lts_jax.models.tokens import load_tokenizer
from lts_jax.storage import read_json

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_ENDS = ("<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end_of_text|>", "</s>")  # of a reply, where a model has them


class ChatFormat:
    """Prompts and replies of one model, between texts and tokens."""

    def __init__(self, folder: Path | str) -> None:
        """Read `tokenizer.json`, and `tokenizer_config.json` and `chat_template.jinja` where they are.

        Raises:
            UserError: no tokenizer, no jinja2, a template that is none, or none at all and no tokens of ChatML.
        """
        folder = Path(folder)
        self.tokenizer = load_tokenizer(folder, extra="local")
        path = folder / "tokenizer_config.json"
        settings = read_json(path, dict) if path.is_file() else {}
        self._special = {name: _token(settings.get(name)) for name in ("bos_token", "eos_token")}
        ends = [self._special["eos_token"], *_ENDS, *_generation_ends(folder, self.tokenizer)]
        found = [self.tokenizer.token_to_id(token) for token in ends if token]
        self.end_ids = tuple(dict.fromkeys(one for one in found if one is not None))
        if not self.end_ids:
            raise UserError(f"{folder}: expected a token that ends a reply, such as {_ENDS[0]}, found none")
        text = _template_text(folder, settings)
        if text is None and self.tokenizer.token_to_id("<|im_start|>") is None:
            raise UserError(f"{path}: expected a chat_template, or a tokenizer with <|im_start|>, found neither")
        self._render = _compiled(CHATML if text is None else text, path)

    def prompt(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """Tokens of a conversation that the assistant is to go on with.

        Raises:
            ValueError: the template does not take these messages; one line says why.
        """
        try:
            text = self._render(messages=list(messages), add_generation_prompt=True, **self._special)
        except Exception as error:
            raise ValueError(f"the chat template refuses the messages ({describe(error)})") from None
        return list(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def text(self, tokens: Sequence[int]) -> str:
        """The text of a reply's tokens, without what only marks its end."""
        return str(self.tokenizer.decode(list(tokens), skip_special_tokens=True))


def _token(found: Any) -> str:
    """A token as older and newer files write it."""
    return str(found.get("content", "")) if isinstance(found, dict) else str(found or "")


def _generation_ends(folder: Path, tokenizer: Any) -> list[str]:
    """Tokens that end a reply, as `generation_config.json` says."""
    path = folder / "generation_config.json"
    ends = read_json(path, dict).get("eos_token_id") if path.is_file() else None
    found = [tokenizer.id_to_token(one) for one in (ends if isinstance(ends, list) else [ends]) if isinstance(one, int)]
    return [one for one in found if one]


def _template_text(folder: Path, settings: Mapping[str, Any]) -> str | None:
    path = folder / "chat_template.jinja"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    found = settings.get("chat_template")
    if isinstance(found, list):  # several by name
        found = next((one.get("template") for one in found if one.get("name") == "default"), None)
    return found if isinstance(found, str) else None


def _compiled(text: str, path: Path) -> Callable[..., str]:
    try:
        from jinja2.sandbox import ImmutableSandboxedEnvironment
    except ModuleNotFoundError:
        raise UserError("a chat template needs the extra local: pip install 'lts-jax[local]'") from None
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = _refuse
    environment.filters["tojson"] = lambda value, indent=None: json.dumps(value, ensure_ascii=False, indent=indent)
    try:
        return environment.from_string(text).render
    except Exception as error:
        raise UserError(
            f"{path}: chat_template: expected a template of jinja2, found another ({describe(error)})"
        ) from None


def _refuse(message: str) -> None:
    raise ValueError(message)
