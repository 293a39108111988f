"""Secrets are taken out of texts before anything is written: shapes of common tokens, and values of the environment.

What looks like a secret becomes `[redacted: kind]`. Known shapes only: a bare hexadecimal digest, a password that
reads like a word of the sentence, names and addresses of persons stay. The file is about speed too: most texts hold
no word that any shape needs, and are returned as they are.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import lru_cache
from typing import Any, TypeVar

Value = TypeVar("Value")

_END = r"(?![A-Za-z0-9_-])"
_QUOTED = r"\"[^\"\s]{4,200}\"|'[^'\s]{4,200}'"
_MIXED = r"(?=[^\s,;\"']{0,200}\d)(?=[^\s,;\"']{0,200}[A-Za-z])[^\s,;\"']{6,200}(?<![.,;:!?)])"
_PASSWORD_WORD = r"\b\w{0,40}(?:pass(?:word|wd|phrase|code)?|pwd|pw)"
_KEY_WORD = r"(?:(?:api|access|secret|private|auth|client|account)[ _-]?(?:key|token|secret)|secret|token|credentials?)"


@dataclass(frozen=True, slots=True, eq=False)
class _Shape:
    kind: str
    needs: tuple[str, ...]  # one of these stands in the text, lower-cased
    pattern: re.Pattern[str]  # what is redacted is the group "secret", or the whole match

    def cut_out(self, match: re.Match[str]) -> str:
        if "secret" not in self.pattern.groupindex:
            return f"[redacted: {self.kind}]"
        whole, secret = match[0], match["secret"]
        if secret.startswith("[redacted"):
            return whole
        start = match.start("secret") - match.start()
        return f"{whole[:start]}[redacted: {self.kind}]{whole[start + len(secret) :]}"


def _shape(kind: str, needs: str, pattern: str, flags: int = 0) -> _Shape:
    return _Shape(kind, tuple(needs.split()), re.compile(pattern, flags))


_PEM = r"[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_LONG_MIXED = r"(?=[\w./+-]{0,250}\d)(?=[\w./+-]{0,250}[A-Za-z])[\w./+-]{16,250}={0,2}"
_SAYS = r"(?:\s{1,3}(?:is|was|to|of|with))?\s{0,3}[=:]?\s{1,3}"

_SHAPES = (
    _shape("private key", "-----begin", rf"-----BEGIN {_PEM}.*?(?:-----END {_PEM}|\Z)", re.DOTALL),
    _shape("model key", "sk-", rf"(?<![A-Za-z0-9])sk-(?=[A-Za-z0-9_-]{{0,250}}\d)[A-Za-z0-9_-]{{20,250}}{_END}"),
    _shape("GitHub token", "ghp_ gho_ ghu_ ghs_ ghr_", rf"\bgh[pousr]_[A-Za-z0-9]{{30,255}}{_END}"),
    _shape("GitHub token", "github_pat_", r"\bgithub_pat_[A-Za-z0-9_]{22,255}"),
    _shape("GitLab token", "glpat-", r"\bglpat-[A-Za-z0-9_-]{18,64}"),
    _shape("Hugging Face token", "hf_ api_org_", rf"\b(?:hf|api_org)_[A-Za-z0-9]{{30,64}}{_END}"),
    _shape("AWS key", "akia asia abia acca", rf"\b(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{{16}}{_END}"),
    _shape(
        "AWS secret",
        "aws",
        r"(?i)aws.{0,30}?(?:secret|key).{0,20}?[=:\s\"']{1,8}(?P<secret>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])",
    ),
    _shape("Google key", "aiza", rf"\bAIza[0-9A-Za-z_-]{{35}}{_END}"),
    _shape("Slack token", "xox xapp-", r"\b(?:xox[abeoprs]|xapp)-[A-Za-z0-9-]{10,250}"),
    _shape("Slack hook", "hooks.slack.com", r"hooks\.slack\.com/[a-z]{4,20}/(?P<secret>[A-Za-z0-9+/]{20,250})"),
    _shape("Stripe key", "sk_ rk_ whsec_", r"\b(?:[sr]k_(?:live|test)|whsec)_[0-9A-Za-z]{16,250}"),
    _shape("npm token", "npm_", rf"\bnpm_[A-Za-z0-9]{{36}}{_END}"),
    _shape("PyPI token", "pypi-", r"\bpypi-[A-Za-z0-9_-]{50,250}"),
    _shape("SendGrid key", "sg.", r"\bSG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{16,64}"),
    _shape("Telegram token", ":aa", rf"\b\d{{8,10}}:AA[A-Za-z0-9_-]{{33}}{_END}"),
    _shape("JWT", "eyj", r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,8000}\.[A-Za-z0-9_-]{8,8000}\.[A-Za-z0-9_-]{8,8000}"),
    _shape(
        "bearer token",
        "bearer basic",
        r"(?i)\b(?:bearer|authorization:\s{0,3}basic)\s{1,3}(?P<secret>(?=\S{0,400}\d)[\w.~+/-]{16,4000}={0,2})",
    ),
    _shape("password", "://", r"://[^\s/:@]{0,200}:(?P<secret>[^\s/@]{3,200})@"),
    _shape("account key", "accountkey", r"(?i)accountkey\s{0,3}=\s{0,3}(?P<secret>[A-Za-z0-9+/]{20,250}={0,2})"),
    _shape("password", "pass pwd", rf"(?i){_PASSWORD_WORD}[\"']?\s{{0,3}}[=:]\s{{0,3}}(?P<secret>{_QUOTED})"),
    _shape("password", "pass pwd pw", rf"(?i){_PASSWORD_WORD}{_SAYS}(?P<secret>{_MIXED})"),
    _shape("password", "pass pwd pw", rf"(?i){_PASSWORD_WORD}[=:](?P<secret>[^\s,;&\"']{{6,200}})"),
    _shape(
        "secret",
        "key token secret credential",
        rf"(?i){_KEY_WORD}[\"']?\s{{0,3}}(?:=|:|\bis\b)\s{{0,3}}[\"']?(?P<secret>{_LONG_MIXED})",
    ),
)

_NEEDS = {need: [shape for shape in _SHAPES if need in shape.needs] for each in _SHAPES for need in each.needs}
_GATES = {  # one character that many needs share spares the search for each of them
    "_": [need for need in _NEEDS if "_" in need],
    "-": [need for need in _NEEDS if "-" in need and "_" not in need],
    "": [need for need in _NEEDS if "-" not in need and "_" not in need],
}
_SECRET_NAMES = frozenset({"KEY", "APIKEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL"})
_MIN_LENGTH = 8  # of an environment value that is worth hiding


def environment_secrets(environment: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Name and value of the variables whose name says that they are secret (`OPENAI_API_KEY`), longest value first.

    Paths, single words of letters, numbers, and values shorter than 8 characters are left out: they would be found in
    honest texts.
    """
    named = [(name, environment[name]) for name in environment if _is_secret_name(name)]
    found = [
        (name, value)
        for name, value in named
        if len(value) >= _MIN_LENGTH
        and not value.isalpha()
        and not value.isdecimal()
        and not value.startswith(("/", "~", "./"))
    ]
    return tuple(sorted(found, key=lambda each: (-len(each[1]), each)))


@lru_cache(maxsize=1024)
def _is_secret_name(name: str) -> bool:
    return not _SECRET_NAMES.isdisjoint(name.upper().replace("-", "_").removesuffix("S").split("_"))


def redact_text(text: str, secrets: tuple[tuple[str, str], ...] = ()) -> str:
    """A text without secrets: values of `secrets` (name, value), then known shapes. The same object if it has none."""
    if len(text) > _MAX_KEPT:
        return _cut_out(text, secrets)
    found = _cut_out_once(text, secrets)
    return text if found == text else found


def _cut_out(text: str, secrets: tuple[tuple[str, str], ...]) -> str:
    for name, value in secrets:
        if value in text:
            text = text.replace(value, f"[redacted: {name}]")
    lower = text.lower()
    found = [need for gate, needs in _GATES.items() if gate in lower for need in needs if need in lower]
    for shape in dict.fromkeys(shape for need in found for shape in _NEEDS[need]):
        text = shape.pattern.sub(shape.cut_out, text)
    return text


_MAX_KEPT = 4000  # characters of a text whose result is kept for a while: it is redacted again where it is written
_cut_out_once = lru_cache(maxsize=1024)(_cut_out)


def redact_record(value: Value, secrets: tuple[tuple[str, str], ...] = ()) -> Value:
    """A frozen record, tuple, list or dict with every text in it redacted; what holds no secret comes back as it is."""
    return _walk(value, secrets)


def _walk(value: Any, secrets: tuple[tuple[str, str], ...]) -> Any:
    if type(value) is str:
        return redact_text(value, secrets)
    if isinstance(value, (tuple, list)):
        walked = [_walk(item, secrets) for item in value]
        same = all(new is old for new, old in zip(walked, value, strict=True))
        return value if same else type(value)(walked)
    if isinstance(value, dict):
        return {name: _walk(item, secrets) for name, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        items = {item.name: (getattr(value, item.name)) for item in fields(value)}
        changed = {name: new for name, old in items.items() if (new := _walk(old, secrets)) is not old}
        return replace(value, **changed) if changed else value
    return value
