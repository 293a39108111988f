"""From messages to tokens: a model's own template, its sandbox, templates that refuse, what ends a reply."""

import json

import pytest

from lts_jax.errors import UserError

pytest.importorskip("tokenizers", reason="needs the extra local")
pytest.importorskip("jinja2", reason="needs the extra local")

from tiny_llama import write_folder

from lts_jax.models.chat_format import ChatFormat

ASKED = [{"role": "user", "content": "YES"}]


def with_template(folder, template, **more):
    """A folder whose template is this one; None leaves it without."""
    write_folder(folder)
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text()) | more
    settings["chat_template"] = template
    path.write_text(json.dumps({name: value for name, value in settings.items() if value is not None}))
    return folder


def shown(chat, messages=ASKED):
    """The prompt as text, control tokens and all."""
    return chat.tokenizer.decode(chat.prompt(messages), skip_special_tokens=False)


def test_without_a_template_it_is_chatml(tmp_path):
    chat = ChatFormat(with_template(tmp_path, None))
    assert shown(chat) == "<|im_start|>user\nYES<|im_end|>\n<|im_start|>assistant\n"


def test_a_template_in_a_file_of_its_own_and_one_of_several_by_name(tmp_path):
    folder = with_template(tmp_path / "named", [{"name": "default", "template": "A{{ messages[0]['content'] }}"}])
    assert shown(ChatFormat(folder)) == "AYES"
    (folder / "chat_template.jinja").write_text("B{{ messages[0]['content'] }}{{ eos_token }}")
    assert shown(ChatFormat(folder)) == "BYES<|im_end|>"


def test_a_template_is_kept_in_its_sandbox(tmp_path):
    chat = ChatFormat(with_template(tmp_path, "{{ messages.__class__.__mro__ }}{{ cycler.__init__.__globals__ }}"))
    with pytest.raises(ValueError, match="the chat template refuses the messages"):
        chat.prompt(ASKED)


def test_a_template_may_refuse(tmp_path):
    chat = ChatFormat(with_template(tmp_path, "{{ raise_exception('roles must alternate') }}"))
    with pytest.raises(ValueError, match=r"refuses the messages .*roles must alternate"):
        chat.prompt(ASKED)


def test_what_is_no_template_and_no_end(tmp_path):
    with pytest.raises(UserError, match=r"tokenizer_config\.json: chat_template: expected a template of jinja2"):
        ChatFormat(with_template(tmp_path / "a", "{% for %}"))
    chat = ChatFormat(with_template(tmp_path / "b", "x", eos_token={"content": "<|endoftext|>"}))
    assert chat.end_ids == (0, 2)
    (tmp_path / "b" / "generation_config.json").write_text('{"eos_token_id": [1, 2]}')
    assert ChatFormat(tmp_path / "b").end_ids == (0, 2, 1)
