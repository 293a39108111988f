"""What an endpoint means when it does not answer: which failure it is, in its own words, and how long it asks to wait.

Providers say the same thing in many ways: a bad key as 400 in a list, an empty account as 402 or in the text of a 400,
a failure of the server as a 200 with an error inside. What is said counts, then the status.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from lts_jax.llm.chat import FailureKind
from lts_jax.llm.openai_message import finish_reason, get
from lts_jax.llm.transport import HttpReply, Problem

_KEY_CODES = {
    "api_key_invalid", "invalid_api_key", "authentication_error", "invalid_authentication", "unauthenticated",
    "incorrect_api_key", "invalid_key", "unauthorized", "auth_error", "authenticationerror", "invalidapikey",
}  # fmt: skip
_KEY_TEXT = re.compile(
    r"\bapi[ _-]?keys?\b|\bx-api-key\b"
    r"|\b(?:incorrect|invalid|wrong|expired|missing|bad|no) (?:(?:auth\w*|access|secret) key|credentials?)\b"
    r"|\b(?:access|auth|authori[sz]ation|authentication|bearer|user|security) ?_?(?:key|token)\b"
    r"|\b(?:key|token) (?:is |was |has )?(?:not valid|invalid|expired|revoked|incorrect|disabled|been)"
    r"|\bunauthori[sz]ed\b|\bunauthenticated\b|\bcredentials\b"
    r"|\bauthentication (?:fail|error|required)|\b(?:fail\w* to|could not) authenticate",
    re.IGNORECASE,
)
_QUOTA_CODES = {
    "insufficient_quota", "insufficient_balance", "insufficient_credits", "billing_not_active", "payment_required",
    "billing_hard_limit_reached", "arrearage", "quota_exceeded", "credits_exhausted", "exceeded_current_quota_error",
    "account_deactivated", "overdue", "insufficientbalance", "accountoverdueerror", "insufficient_funds",
}  # fmt: skip
_QUOTA_TEXT = re.compile(
    r"\binsufficient (?:account )?(?:balance|credits?|funds|quota)\b|\bcredit balance\b"
    r"|\bbalance (?:is |was )?(?:too low|insufficient|not enough|negative|exhausted|empty)"
    r"|\b(?:out of|not enough|used all (?:your|available)|no (?:remaining|more)|add (?:more )?|ran out of) ?credits?\b"
    r"|\bcredits? (?:are |is |have |has )?(?:been )?(?:exhausted|used up|depleted)"
    r"|\bpayment (?:is )?required\b|\bbilling\b|\barrears?\b|\barrearage\b|\boverdue\b|\brecharge\b|\btop.?up\b"
    r"|\bspend(?:ing)? (?:limit|cap)\b|\bexceeded your (?:current|monthly) (?:quota|usage|limit|budget)"
    r"|\b(?:monthly|usage|credit|hard|account) (?:limit|quota)s? (?:\w+ ){0,3}(?:exceeded|reached|exhausted)",
    re.IGNORECASE,
)
_HELD_BACK = re.compile(
    r"flagged|moderat|content.?(?:policy|filter|management|safety)|\bsafety\b|violat|harmful|inappropriate|sensitive",
    re.IGNORECASE,
)
_PER_TIME = re.compile(
    r"\bper[ _-]?(?:minute|second|hour|day)\b|/ ?min|\bretry\b|\brate\b|\btry again in\b", re.IGNORECASE
)
_SAID_CHARACTERS = 4000  # of a body that are searched for words
_TAGS = re.compile(r"<(script|style|head)\b.*?</\1>|<!--.*?(?:-->|\Z)|<[^<>]{0,400}>", re.DOTALL | re.IGNORECASE)
_TITLE = re.compile(r"<title[^<>]{0,100}>(.{0,300}?)</title>", re.DOTALL | re.IGNORECASE)
_DURATION = re.compile(r"\s*(\d{1,7}(?:\.\d+)?)(ms|s|m|h)?\s*")
_SAYING = ("message", "msg", "detail", "error_description")
_UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}


def read_problem(reply: HttpReply, key_variable: str) -> Problem:
    """What to make of a response that is not a success. `key_variable` is named where the key was refused."""
    return _problem(reply.status, error_body(reply.body), reply.headers, key_variable, f"HTTP {reply.status}")


def problem_inside(body: object, headers: Mapping[str, str], key_variable: str) -> Problem | None:
    """The failure that a success holds inside, or None: an error beside or in place of a completion.

    A status among its words counts like that of a response; without one it is the server's, and may pass.
    """
    if not isinstance(body, dict):
        return None
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    found = body.get("error") or (choice.get("error") if isinstance(choice, dict) else None)
    if not found and finish_reason(choice) == "error":
        found = "finish_reason is error"
    if not found and choice is None:
        found = _error_without_name(body)
    if found:
        status = _status_inside(found) or _status_inside(body) or _status_of_words(found)
        return _problem(status, {"error": found}, headers, key_variable, f"an error in the reply ({status})")
    if finish_reason(choice) == "content_filter" and not get(get(choice, "message"), "content"):
        text = "the endpoint's content filter held the reply back"
        return Problem(text, may_retry=False, kind=FailureKind.HELD_BACK)
    if "choices" in body and choice is None and choices in (None, []):
        text = "the reply holds no choices"
        return Problem(text, may_retry=True, kind=FailureKind.UNREADABLE)
    return None


def _error_without_name(body: dict[str, object]) -> object:
    """An error that some providers put beside no `error` field: base_resp, success: false, a code with a message."""
    base = body.get("base_resp")
    if isinstance(base, dict) and base.get("status_code") not in (None, 0):
        return {"message": base.get("status_msg"), "code": base.get("status_code")}
    if "choices" in body:
        return None
    has_failed = body.get("success") is False or body.get("object") == "error" or body.get("type") == "error"
    if has_failed or (_status_inside(body) and (body.get("message") or body.get("msg") or body.get("detail"))):
        return body
    return body.get("errors") or None


def _status_inside(found: object) -> int:
    """A status of HTTP among the words of an error, or 0."""
    for name in ("code", "status", "status_code", "statusCode", "http_status"):
        told = get(found, name)
        if isinstance(told, str) and told.strip().isdecimal() and len(told) < 8:
            told = int(told)
        if isinstance(told, int) and not isinstance(told, bool) and 400 <= told < 600:
            return told
    return 0


def _status_of_words(found: object) -> int:
    """The status that the words of an error stand for; a bad gateway's where they stand for none."""
    codes = _codes({"error": found})
    if codes & _KEY_CODES:
        return 401
    if any("rate_limit" in code or "too_many" in code or code == "resource_exhausted" for code in codes):
        return 429
    return 400 if any(code.startswith(("invalid_request", "invalid_argument")) for code in codes) else 502


def _problem(status: int, body: object, headers: Mapping[str, str], key_variable: str, where: str) -> Problem:
    kind = _kind_said(status, body) or _status_kind(status)
    if kind is FailureKind.KEY_REFUSED:  # the body may quote the key
        return Problem(f"{where}: the key in {key_variable} was refused", may_retry=False, kind=kind, status=status)
    may_pass = status in {408, 425, 429, 529} or status >= 500
    told_not_to = headers.get("x-should-retry") == "false" or kind is FailureKind.QUOTA
    return Problem(
        f"{where}: {error_text(body)}",
        may_retry=may_pass and not told_not_to,
        kind=kind,
        status=status,
        retry_after_seconds=retry_after_seconds(headers) or _stated_wait_seconds(body),
    )


def _kind_said(status: int, body: object) -> FailureKind | None:
    """What the words of an error say it is, where they say more than the status."""
    if status == 402:
        return FailureKind.QUOTA
    if status == 401:
        return FailureKind.QUOTA if _codes(body) & _QUOTA_CODES else FailureKind.KEY_REFUSED
    if not 400 <= status < 600:
        return None
    codes, text = _codes(body), error_text(body)[:_SAID_CHARACTERS]
    if status in {400, 403, 451} and _HELD_BACK.search(text):
        return FailureKind.HELD_BACK
    if codes & _QUOTA_CODES and not (status == 429 and _PER_TIME.search(text) and "insufficient_quota" not in codes):
        return FailureKind.QUOTA
    if status in {400, 403} and (codes & _KEY_CODES or _KEY_TEXT.search(text)):
        return FailureKind.KEY_REFUSED
    if status in {400, 403, 429} and _QUOTA_TEXT.search(text) and not (status == 429 and _PER_TIME.search(text)):
        return FailureKind.QUOTA
    return None


def _codes(body: object) -> set[str]:
    """Words that an error gives for programs to read, lower case."""
    inner = _inner(body)
    found = [get(inner, name) for name in ("code", "type", "status", "reason")]
    details = get(inner, "details")
    found += [get(each, "reason") for each in details] if isinstance(details, list) else []
    return {told.lower() for told in found if isinstance(told, str)}


def _status_kind(status: int) -> FailureKind:
    if status in {429, 529}:
        return FailureKind.RATE_LIMIT
    if status >= 500 or status in {408, 425}:
        return FailureKind.SERVER_ERROR
    if status < 300:
        return FailureKind.UNREADABLE
    if status == 404:
        return FailureKind.NOT_FOUND
    return FailureKind.REDIRECT if status < 400 else FailureKind.REQUEST_REFUSED


def error_body(body: bytes) -> object:
    """The body of an error: JSON where it is some, else its text."""
    text = body.decode("utf-8", "replace")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def error_text(body: object) -> str:
    """What an error body says: its `message` if there is one, the title or the text of a page."""
    inner = _inner(body)
    message = next(
        (found for name in ("message", "msg", "detail", "error_description") if (found := get(inner, name))), inner
    )
    if isinstance(message, list) and message and all(isinstance(get(each, "msg"), str) for each in message):
        message = "; ".join(_field_problem(each) for each in message)
    if not message:
        return "no explanation"
    if not isinstance(message, str):
        return repr(message)
    told = _metadata_text(inner)
    message = f"{message} ({told})" if told and told not in message else message
    return _page_text(message) if "<" in message else message


def _inner(body: object) -> object:
    """The error in a body: the first of a list, what stands under `error`."""
    for _ in range(3):
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], dict)
            and ("error" in body[0] or "message" in body[0])
        ):
            body = body[0]
        elif get(body, "error"):
            body = get(body, "error")
        else:
            break
    return body


def _field_problem(found: object) -> str:
    """One line of a validation error: which field, and what is wrong with it."""
    place = get(found, "loc")
    where = ".".join(str(part) for part in place) if isinstance(place, list) else ""
    return f"{where}: {get(found, 'msg')}" if where else str(get(found, "msg"))


def _metadata_text(inner: object) -> str:
    """What the provider behind a gateway said, where the gateway passes it on."""
    raw = get(get(inner, "metadata"), "raw")
    return (
        error_text(error_body(raw.encode()))
        if isinstance(raw, str) and raw.strip() and len(raw) < _SAID_CHARACTERS
        else ""
    )


def _page_text(page: str) -> str:
    """The title of a page, or else its words; a text that is no page comes back as it is."""
    if not re.search(r"<(?:!doctype|html|head|body|title|h1|center|p|pre)\b", page[:2000], re.IGNORECASE):
        return page
    page = page[:_SAID_CHARACTERS]
    title = _TITLE.search(page)
    words = " ".join((title[1] if title and title[1].strip() else _TAGS.sub(" ", page)).split())
    return words or "no explanation"


def retry_after_seconds(headers: Mapping[str, str], now: datetime | None = None) -> float:
    """Seconds that a response asks to wait (`retry-after-ms`, or `retry-after` as seconds or date); 0 if it does not.

    `now` is the time that a date is compared with, by default the present.
    """
    for name, unit_seconds in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * unit_seconds
        except (KeyError, ValueError):
            continue
        return seconds if seconds > 0.0 else 0.0  # also for NaN
    try:
        date = parsedate_to_datetime(headers["retry-after"])
    except (KeyError, ValueError, TypeError):
        return _duration_seconds(headers.get("retry-after"))
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (date - (now or datetime.now(UTC))).total_seconds())


def _stated_wait_seconds(body: object) -> float:
    """Seconds that the body of an error asks to wait (`retryDelay`, `retry_after`); 0 if it does not."""
    inner = _inner(body)
    details = get(inner, "details")
    metadata = get(inner, "metadata")
    places = [inner, body, metadata, get(metadata, "headers"), *(details if isinstance(details, list) else ())]
    for place in places:
        for name in ("retryDelay", "retry_after", "retryAfter", "retry_after_seconds", "Retry-After"):
            seconds = _duration_seconds(get(place, name))
            if seconds:
                return seconds
    return 0.0


def _duration_seconds(told: object) -> float:
    if isinstance(told, int | float) and not isinstance(told, bool):
        return float(told) if 0.0 < told < 1e7 else 0.0
    match = _DURATION.fullmatch(told) if isinstance(told, str) else None
    return float(match[1]) * _UNITS[match[2]] if match else 0.0
