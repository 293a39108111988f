"""Secrets are taken out of texts before anything is written: shapes of common tokens, and values of the environment.

What looks like a secret becomes `[redacted: kind]`, also in its base64 or URL-encoded form. Known shapes only: a bare
hexadecimal digest without a word that names it, a password that reads like a word of the sentence, names and addresses
of persons stay. The file is about speed too: most texts hold no word that any shape needs, and are returned as they
are.
"""

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import quote, unquote

Value = TypeVar("Value")

_END = r"(?![A-Za-z0-9_-])"
_QUOTED = r"\"[^\"\s]{4,200}\"|'[^'\s]{4,200}'"
_MIXED = r"(?=[^\s,;\"']{0,200}\d)(?=[^\s,;\"']{0,200}[A-Za-z])[^\s,;\"']{6,200}(?<![.,;:!?)])"
_CAMEL = r"(?=\w{0,200}[a-z][A-Z]\w{0,200}[a-z][A-Z])\w{12,200}"  # no digit, but no word either
_PASSWORD_WORD = r"\b\w{0,40}(?:pass(?:word|wd|phrase|code)?|pwd|pw)"
_NO_PRICE = r"(?!\d{1,9}(?:[.,]\d{1,9})?[^\W\d]{0,4}(?:[\s/]|\Z))"
_CLEAR_WORD = r"\b\w{0,40}(?:pass(?:word|wd|phrase|code)|pwd|pw)"  # a bus pass is 12.50EUR, and none of ours
_KEY_WORD = r"(?:(?:api|access|secret|private|auth|client|account)[ _-]?(?:key|token|secret)|secret|token|credentials?)"


@dataclass(frozen=True, slots=True, eq=False)
class _Shape:
    kind: str
    needs: tuple[str, ...]  # one of these stands in the text, lower-cased; one with capitals as it is
    pattern: re.Pattern[str]  # what is redacted is the group "secret", or the whole match
    in_word: bool = False  # whether every match lies in a run of at least 15 characters without a space

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


def _token(kind: str, needs: str, pattern: str) -> _Shape:
    return _Shape(kind, tuple(needs.split()), re.compile(pattern), in_word=True)


_PEM = r"[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_LONG_MIXED = r"(?=[\w./+-]{0,250}\d)(?=[\w./+-]{0,250}[A-Za-z])[\w./+-]{16,250}={0,2}"
_SAYS = r"(?:\s{1,3}(?:is|was|to|of|with))?\s{0,3}[=:]?\s{1,3}"

_SHAPES: tuple[_Shape, ...] = (
    _shape("private key", "-----begin", rf"-----BEGIN {_PEM}.*?(?:-----END {_PEM}|\Z)", re.DOTALL),
    _token("model key", "sk-", rf"(?<![A-Za-z0-9])sk-(?=[A-Za-z_-]{{0,250}}+\d)[A-Za-z0-9_-]{{20,250}}{_END}"),
    _token("GitHub token", "ghp_ gho_ ghu_ ghs_ ghr_", rf"\bgh[pousr]_[A-Za-z0-9]{{30,255}}{_END}"),
    _token("GitHub token", "github_pat_", r"\bgithub_pat_[A-Za-z0-9_]{22,255}"),
    _token("GitLab token", "glpat-", r"\bglpat-[A-Za-z0-9_-]{18,64}"),
    _token("Hugging Face token", "hf_ api_org_", rf"\b(?:hf|api_org)_[A-Za-z0-9]{{30,64}}{_END}"),
    _token("AWS key", "akia asia abia acca", rf"\b(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{{16}}{_END}"),
    _shape(
        "AWS secret",
        "aws",
        r"(?i)aws.{0,30}?(?:secret|key).{0,20}?[=:\s\"']{1,8}(?P<secret>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])",
    ),
    _token("Google key", "aiza", rf"\bAIza[0-9A-Za-z_-]{{35}}{_END}"),
    _token("Slack token", "xox xapp-", r"\b(?:xox[abeoprs]|xapp)-[A-Za-z0-9-]{10,250}"),
    _token("Slack hook", "hooks.slack.com", r"hooks\.slack\.com/[a-z]{4,20}/(?P<secret>[A-Za-z0-9+/]{20,250})"),
    _token("Stripe key", "sk_ rk_ whsec_", r"\b(?:[sr]k_(?:live|test)|whsec)_[0-9A-Za-z]{16,250}"),
    _token("npm token", "npm_", rf"\bnpm_[A-Za-z0-9]{{36}}{_END}"),
    _token("PyPI token", "pypi-", r"\bpypi-[A-Za-z0-9_-]{50,250}"),
    _token("SendGrid key", "sg.", r"\bSG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{16,64}"),
    _token("Telegram token", ":aa", rf"\b\d{{8,10}}:AA[A-Za-z0-9_-]{{33}}{_END}"),
    _token("JWT", "eyj", r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,8000}\.[A-Za-z0-9_-]{8,8000}\.[A-Za-z0-9_-]{8,8000}"),
    _shape(
        "bearer token",
        "bearer basic",
        r"(?i)\b(?:bearer|authorization:\s{0,3}basic)\s{1,3}(?P<secret>(?=\S{0,400}\d)[\w.~+/-]{16,4000}={0,2})",
    ),
    _shape("password", "@", r"://[^\s/:@]{0,200}:(?P<secret>[^\s/@]{3,200})@"),
    _shape("account key", "accountkey", r"(?i)accountkey\s{0,3}=\s{0,3}(?P<secret>[A-Za-z0-9+/]{20,250}={0,2})"),
    _shape("password", "pass pwd", rf"(?i){_PASSWORD_WORD}[\"']?\s{{0,3}}[=:]\s{{0,3}}(?P<secret>{_QUOTED})"),
    _shape("password", "pass pwd pw", rf"(?i){_CLEAR_WORD}{_SAYS}(?P<secret>{_MIXED})"),
    _shape("password", "pass pwd", rf"(?i:{_CLEAR_WORD}{_SAYS})(?P<secret>{_CAMEL})"),
    _shape("password", "pass", rf"(?i)\b\w{{0,40}}pass\s{{0,3}}[=:]\s{{1,3}}(?P<secret>{_NO_PRICE}{_MIXED})"),
    _shape("password", "pass pwd pw", rf"(?i){_PASSWORD_WORD}[=:](?P<secret>[^\s,;&\"']{{6,200}})"),
    _shape(
        "secret",
        "key token secret credential",
        rf"(?i){_KEY_WORD}[\"']?\s{{0,3}}(?:=|:|\bis\b)\s{{0,3}}[\"']?(?P<secret>{_LONG_MIXED})",
    ),
    _token("JWT", ".eyj", r"\beyJ[A-Za-z0-9_-]{8,2000}\.eyJ[A-Za-z0-9_-]{8,2000}"),
    _token("Twilio key", "AC SK", r"\b(?:AC|SK)[0-9a-f]{32}\b"),
    _token(
        "Discord token",
        ".",
        r"(?<![\w.-])[\w-]{23,28}\.[\w-]{6,7}\.(?=[\w-]{0,40}\d)(?=[\w-]{0,40}[A-Z])[\w-]{27,40}(?![\w.-])",
    ),
    _token("Mailchimp key", "-us", r"\b[0-9a-f]{32}-us\d{1,2}\b"),
    _token("Google key", "1//0", r"(?<![\w/])1//0[A-Za-z0-9_-]{30,250}"),
    _shape("registry login", '"auth"', r"\"auth\"\s{0,3}:\s{0,3}\"(?P<secret>[A-Za-z0-9+/]{16,400}={0,2})\""),
    _token(
        "signed address",
        "key= sig= signature= credential= token= secret= auth= password=",
        r"(?i)(?:[?&;]|%3f|%26)[\w.-]{0,40}?(?:sig|signature|credential|key|token|secret|auth|password)="
        r"(?P<secret>(?=[\w.~%+/-]{0,250}[0-9A-Z])(?=[\w.~%+/-]{0,250}[A-Za-z0-9%]{12})[\w.~%+/-]{16,2000}={0,2})",
    ),
    _shape(
        "cookie",
        "cookie sess .sid=",
        r"(?i)(?:\b(?:set-)?cookie2?[\"']?\s{0,3}[:=]\s{0,3}[\"']?|\b(?=[\w.]{0,20}(?:sess|\.sid=)))"
        r"(?P<secret>[\w.-]{1,60}=(?=[^\s;\"']{0,400}\d)[^\s;\"']{12,4000}"
        r"(?:;\s?(?!(?:path|domain|expires|max-age|samesite)=)[\w.-]{1,60}=[^\s;\"']{1,4000}){0,40})",
    ),
    _shape(
        "secret",
        "key token secret credential",
        r"(?i)(?:key|token|secret|credential)s?\b[^\n\w]{1,5}(?:(?:is|was|of|for|to|the|this|it|your|my|our|here|use)\b"
        r"[^\n\w]{1,5}){0,3}(?P<secret>[0-9a-f]{32,128})(?![0-9A-Za-z])",
    ),
)

_TOKENS = """
    Groq gsk_ 40 | Cerebras csk- 40 | xAI xai- 40 | Tavily tvly- 20 | Tavily tvly-dev- 20 | Tavily tvly-prod- 20
    Perplexity pplx- 32 | Replicate r8_ 30 | Fireworks fw_ 20 | NVIDIA nvapi- 40- | Jina jina_ 32- | Firecrawl fc- 32
    LangSmith lsv2_pt_ 32- | LangSmith lsv2_sk_ 32- | Pinecone pcsk_ 32- | Google ya29. 20- | Google GOCSPX- 20-
    Brave BSA 20- | Databricks dapi 32- | Linear lin_api_ 32 | Linear lin_oauth_ 32 | Notion secret_ 40 | Notion ntn_ 40
    Supabase sbp_ 40 | Supabase sb_secret_ 20- | DigitalOcean dop_v1_ 60 | Shopify shpat_ 32 | Shopify shpss_ 32
    Grafana glsa_ 32- | Grafana glc_ 32- | Sentry sntrys_ 40- | Figma figd_ 32- | Postman PMAK- 24- | Square sq0atp- 22-
    Square sq0csp- 22- | Atlassian ATATT3x 60- | Vault hvs. 24- | Vault hvb. 24- | age AGE-SECRET-KEY-1 50
    Brevo xkeysib- 60- | Mailgun key- 32 | Pulumi pul- 40 | Docker dckr_pat_ 20- | Docker dckr_oat_ 20-
    GitLab gldt- 18- | Tailscale tskey- 20- | GitLab glrt- 18- | GitLab glptt- 40- | Facebook EAA 80 | Voyage pa- 40
    ElevenLabs sk_ 40 | PlanetScale pscale_tkn_ 32- | PlanetScale pscale_pw_ 32- | Doppler dp.pt. 40
    Render rnd_ 24 | RubyGems rubygems_ 40 | Netlify nfp_ 36 | Prefect pnu_ 36 | Typeform tfp_ 40- | Alibaba LTAI 16
    Confluent cflt 50 | Contentful CFPAT- 40-
"""
"""Maker, how its tokens begin, fewest characters behind that; with a hyphen where they may hold hyphens, too. All of it
is public, from each maker's documentation."""


def _maker_shape(maker: str, start: str, least: str) -> _Shape:
    letters = "[A-Za-z0-9_-]" if least.endswith("-") else "[A-Za-z0-9]"
    behind = rf"(?={letters}{{0,60}}[0-9A-Z]){letters}{{{least.rstrip('-')},500}}"
    return _token(f"{maker} token", start, rf"(?<![A-Za-z0-9_-]){re.escape(start)}{behind}{_END}")


_SHAPES += tuple(_maker_shape(*each.split()) for each in _TOKENS.replace("\n", " | ").split("|") if each.strip())

_BASE64_STARTS = tuple(
    b64encode(start.encode()).decode()[: len(start) * 4 // 3]
    for start in (
        "sk-", "sk_", "ghp_", "gho_", "github_pat_", "hf_", "AKIA", "ASIA", "AIza", "xox", "gsk_", "xai-", "tvly-",
        "pplx-", "r8_", "ya29.", "BSA", "dapi", "lin_", "secret_", "ntn_", "sbp_", "glpat-", "npm_", "pypi-", "SG.",
        "-----BEGIN", "nvapi-", "fw_", "pcsk_", "dop_v1_", "dckr_",
    )
)  # fmt: skip
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/_-]{20,4000}={0,2}")
_ENCODED = re.compile(r"(?<![\w.~%+-])[\w.~%+-]{0,100}%[0-9a-fA-F]{2}[\w.~%+-]{8,2000}")

_LONG_WORD = 15  # characters; a token has more


def _by_need(shapes: Iterable[_Shape], *, cased: bool) -> dict[str, list[_Shape]]:
    """Shapes by what they need; `cased`: by needs with capitals."""
    found: dict[str, list[_Shape]] = {}
    for shape in shapes:
        for need in shape.needs:
            if (need != need.lower()) == cased:
                found.setdefault(need, []).append(shape)
    return found


_NEEDS = _by_need([shape for shape in _SHAPES if not shape.in_word], cased=False)
_WORD_NEEDS = _by_need([shape for shape in _SHAPES if shape.in_word], cased=False)
_CASED_NEEDS = _by_need([shape for shape in _SHAPES if shape.in_word], cased=True)
_NEEDS_BY_SIGN = {
    sign: [need for need in _WORD_NEEDS if next((one for one in "_-.=:/" if one in need), "") == sign]
    for sign in ("_", "-", ".", "=", ":", "/", "")
}
"""Most needs hold a sign that few words hold; the empty one is in every word."""
_ORDER = {shape: place for place, shape in enumerate(_SHAPES)}
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
    if not text:
        return text
    if len(text) > _MAX_KEPT:
        return _cut_out(text, secrets)
    found = _cut_out_once(text, secrets)
    return text if found == text else found


def holds_secret(content: bytes, secrets: tuple[tuple[str, str], ...]) -> bool:
    """Whether the value of one of `secrets` stands anywhere in bytes that hold texts, in any way that is looked for."""
    return any(
        written.encode("utf-8", "replace") in content for _, value in secrets for written in _ways_to_write(value)
    )


def _cut_out(text: str, secrets: tuple[tuple[str, str], ...]) -> str:
    for name, value in secrets:
        for written in _ways_to_write(value):
            if written in text:
                text = text.replace(written, f"[redacted: {name}]")
    found = [told for word in text.split() if len(word) >= _LONG_WORD and (told := _told_by(word))]
    text = _cut_out_shapes(text, [shape for told in found for shape in told.shapes])
    if any(told.is_encoded for told in found):
        text = _ENCODED.sub(_cut_out_decoded, text)
    if any(told.is_base64 for told in found):
        text = _BASE64.sub(_cut_out_base64, text)
    return text


@dataclass(frozen=True, slots=True)
class _Told:
    shapes: tuple[_Shape, ...]  # that a word holds
    is_encoded: bool  # whether it may hold one as an address writes it
    is_base64: bool  # whether it may hold one in base64


def _told_by(word: str) -> _Told | None:
    """What a long word holds of secrets; None of nearly all. Kept for a while: the long words of teams come again."""
    return _look_into_once(word) if len(word) <= _MAX_WORD else _look_into(word)


def _look_into(word: str) -> _Told | None:
    if word.isdecimal():  # every need has another character
        return None
    told = _Told(tuple(_shapes_in(word)), "%" in word, bool([start for start in _BASE64_STARTS if start in word]))
    return told if told.shapes or told.is_encoded or told.is_base64 else None


def _shapes_in(word: str) -> list[_Shape]:
    """Those whose matches hold no space."""
    small = word.lower()
    needs = [need for sign, some in _NEEDS_BY_SIGN.items() if sign in small for need in some if need in small]
    told = [shape for need in needs for shape in _WORD_NEEDS[need]]
    told += [shape for need in _CASED_NEEDS if need in word for shape in _CASED_NEEDS[need]]
    return [shape for shape in told if shape.pattern.search(word)]


_MAX_WORD = 100  # characters of a word that is kept
_look_into_once = lru_cache(maxsize=4096)(_look_into)


def _cut_out_shapes(text: str, in_words: list[_Shape]) -> str:
    """The text without the shapes that its words hold, and without those that may hold spaces."""
    lower = text.lower()
    found = [shape for need in _NEEDS if need in lower for shape in _NEEDS[need]] + in_words
    if not found:
        return text
    for shape in sorted(dict.fromkeys(found), key=_ORDER.__getitem__):
        text = shape.pattern.sub(shape.cut_out, text)
    return text


@lru_cache(maxsize=256)
def _ways_to_write(value: str) -> tuple[str, ...]:
    """A value as it is, as an address would write it, and in base64 where it stands alone."""
    encoded = b64encode(value.encode("utf-8", "replace")).decode().rstrip("=")
    return tuple(dict.fromkeys((value, quote(value, safe=""), encoded)))


def _cut_out_decoded(match: re.Match[str]) -> str:
    """What stands in an address, as it is meant, if that holds a secret; else as it is."""
    decoded = unquote(match[0])
    found = _cut_out_shapes(decoded, _shapes_in(decoded))
    return match[0] if found == decoded else found


def _cut_out_base64(match: re.Match[str]) -> str:
    written = match[0].rstrip("=")
    if not written.startswith(_BASE64_STARTS):
        return match[0]
    try:
        decoded = b64decode(written + "=" * (-len(written) % 4), altchars=b"-_" if set(written) & {*"-_"} else None)
        text = decoded.decode()
        return "[redacted: base64]" if _cut_out_shapes(text, _shapes_in(text)) != text else match[0]
    except (binascii.Error, ValueError):
        return match[0]


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
    kind: Any = type(value)
    changed = {}
    for name in _field_names(kind):
        old = getattr(value, name)
        if type(old) not in _NO_TEXT and (new := _walk(old, secrets)) is not old:
            changed[name] = new
    return replace(value, **changed) if changed else value


_NO_TEXT = frozenset({int, float, bool, type(None)})


@lru_cache(maxsize=1024)
def _field_names(kind: type) -> tuple[str, ...]:
    """Of a dataclass; of all else none."""
    return tuple(item.name for item in fields(kind)) if is_dataclass(kind) else ()
