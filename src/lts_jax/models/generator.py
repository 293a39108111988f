"""Replies of one decoder to many requests at once: a thread that computes prompts and draws tokens for whoever waits.

Requests come and go while others are under way. In each turn one waiting prompt goes on by a chunk, and every reply by
at least a token, all of them in one pass over the weights. A prompt starts from the longest beginning that any row
holds. A reply that must keep to a grammar is masked; tokens that the grammar leaves no choice about are taken together.

A reply for which there is no room any more, beside the others, ends as one at its limit.

A reply follows from prompt, seed and settings up to rounding: the numbers of a pass differ in the last bits with how
many rows it has, so that a tie of two tokens may fall otherwise in other company.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from lts_jax.errors import describe
from lts_jax.models.chat_format import ChatFormat
from lts_jax.models.decoding import DecoderWeights, Row, extend_rows
from lts_jax.models.kept_rows import KeptRows, capacity_for
from lts_jax.models.qwen3_settings import Qwen3Settings
from lts_jax.models.sampling import Sampling, draw_token
from lts_jax.models.token_masks import Grammar, TokenMasks, TokenMatcher

WIDTHS = (1, 16, 64, 256)  # new tokens of a row in one pass
MAX_RESERVED = 512  # tokens of a reply that a row has room for from the beginning; longer ones grow

Ending = Literal["stop", "length", "cancelled", "failed"]


class TooLong(ValueError):
    """A prompt that the context does not hold. The message says by how much."""


@dataclass
class Request:
    """One reply that is asked for, and how far it is."""

    prompt: list[int]
    seed: int
    sampling: Sampling
    grammar: Grammar | None = None  # that the reply must keep to
    on_text: Callable[[str], None] | None = None  # called in the generator's thread with what was added
    on_end: Callable[["Reply"], None] = lambda reply: None  # called there once
    is_cancelled: bool = False  # set by whoever does not want it any more


@dataclass(frozen=True, slots=True)
class Reply:
    """How a request ended."""

    text: str
    ending: Ending
    prompt_tokens: int
    completion_tokens: int
    shared_tokens: int = 0  # of the prompt, whose keys and values were there already
    problem: str = ""  # of one that failed


@dataclass
class _Work:
    """A request on its row."""

    request: Request
    row: Row
    left: list[int]  # tokens of the prompt, then drawn ones, that are not yet in the row
    max_tokens: int
    shared_tokens: int
    generator: np.random.Generator
    matcher: TokenMatcher | None
    drawn: list[int] = field(default_factory=list)
    told: int = 0  # characters of the reply that `on_text` has had

    @property
    def is_prompt(self) -> bool:
        """Whether some of the prompt is still to be computed."""
        return not self.drawn


@dataclass
class Totals:
    """What a generator has done since it began."""

    replies: int = 0
    prompt_tokens: int = 0
    shared_tokens: int = 0
    completion_tokens: int = 0
    passes: int = 0  # over the weights


class Generator:
    """A model that replies. `submit` from any thread; `close` ends its thread."""

    def __init__(
        self,
        settings: Qwen3Settings,
        weights: DecoderWeights,
        chat: ChatFormat,
        *,
        context: int,
        max_rows: int = 8,
        max_places: int = 12_288,
    ) -> None:
        """Begin to wait for requests.

        Args:
            settings: shape of the model.
            weights: of `load_decoder`.
            chat: prompts and replies as tokens.
            context: most tokens of a prompt and its reply.
            max_rows: replies under way at one time.
            max_places: tokens whose keys and values are kept, of those under way and of earlier ones.
        """
        self.chat = chat
        self.context = context
        self.totals = Totals()
        self._settings, self._weights, self._max_rows = settings, weights, max_rows
        self._rows = KeptRows(settings, max_places)
        self._masks: TokenMasks | None = None
        self._waiting: list[Request] = []
        self._work: list[_Work] = []
        self._wake = threading.Condition()
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="generator", daemon=True)
        self._thread.start()

    def submit(self, request: Request) -> None:
        """Put a request behind those that wait.

        Raises:
            TooLong: its prompt and one token more are longer than the context.
            ValueError: its grammar cannot be kept to.
        """
        excess = len(request.prompt) + 1 - self.context
        if excess > 0:
            raise TooLong(
                f"the prompt has {len(request.prompt):,} tokens, {excess:,} more than the context of {self.context:,} "
                "tokens holds with a reply"
            )
        if request.grammar is not None:
            self._token_masks().matcher(request.grammar)
        with self._wake:
            if self._is_closed:
                raise RuntimeError("the generator is closed")
            self._waiting.append(request)
            self._wake.notify()

    def close(self) -> None:
        """End the thread after the pass under way; what is not answered is cancelled."""
        with self._wake:
            self._is_closed = True
            self._wake.notify()
        self._thread.join()

    def _token_masks(self) -> TokenMasks:
        if self._masks is None:
            self._masks = TokenMasks(self.chat.tokenizer, self.chat.end_ids, self._settings.vocabulary_size)
        return self._masks

    def _run(self) -> None:
        while True:
            with self._wake:
                while not (self._waiting or self._work or self._is_closed):
                    self._wake.wait()
                if self._is_closed:
                    break
            try:
                self._turn()
            except Exception as error:  # of all that were at work nobody knows how far they are
                self._fail(describe(error))
        for work in list(self._work):
            self._end(work, "cancelled")
        for request in self._waiting:
            request.on_end(Reply("", "cancelled", len(request.prompt), 0))

    def _turn(self) -> None:
        """One chunk of a prompt, and one pass for all replies."""
        for work in [work for work in self._work if work.request.is_cancelled]:
            self._end(work, "cancelled")
        prompts = [work for work in self._work if work.is_prompt] or self._admit()
        for work in prompts[:1]:
            self._extend([work], self._width(work))
        replies = [work for work in self._work if not work.is_prompt]
        for work in [work for work in replies if len(work.left) > 1]:  # tokens that a grammar forced
            self._extend([work], self._width(work))
        for group in self._groups([work for work in self._work if not work.is_prompt and len(work.left) == 1]):
            self._extend(group, 1)

    def _admit(self) -> list[_Work]:
        """Take the next waiting request up, if there is a row for it."""
        with self._wake:
            self._waiting, gone = (
                [request for request in self._waiting if request.is_cancelled is state] for state in (False, True)
            )
        for request in gone:
            request.on_end(Reply("", "cancelled", len(request.prompt), 0))
        if not self._waiting or len(self._work) >= self._max_rows:
            return []
        request = self._waiting[0]
        max_tokens = min(request.sampling.max_tokens, self.context - len(request.prompt))
        num_places = len(request.prompt) + max(min(max_tokens, MAX_RESERVED), WIDTHS[-1])
        if not self._rows.has_room(num_places):
            return []
        with self._wake:
            self._waiting.remove(request)
        row = self._rows.take(request.prompt, num_places)
        shared = len(row.tokens)
        matcher = None if request.grammar is None else self._token_masks().matcher(request.grammar)
        generator = np.random.default_rng(request.seed)
        work = _Work(request, row, request.prompt[shared:], max_tokens, shared, generator, matcher)
        self._work.append(work)
        return [work]

    def _width(self, work: _Work) -> int:
        """New tokens of the next pass of one row alone."""
        return next((width for width in WIDTHS if width >= len(work.left)), WIDTHS[-1])

    def _groups(self, ready: Sequence[_Work]) -> list[list[_Work]]:
        """Replies that go on together: rows of one capacity, which the shorter ones get where there is room."""
        capacity = max((work.row.capacity for work in ready), default=0)
        for work in ready:
            if work.row.capacity < capacity:
                self._rows.grow(work.row, capacity)
        capacities = sorted({work.row.capacity for work in ready})
        return [[work for work in ready if work.row.capacity == one] for one in capacities]

    def _extend(self, group: Sequence[_Work], width: int) -> None:
        """One pass: what is left of each, at most `width` tokens, into its row; then draw where nothing is left."""
        group = [work for work in group if self._has_place(work, width)]
        if not group:
            return
        new = [work.left[:width] for work in group]
        logit_bv = extend_rows(self._settings, self._weights, [work.row for work in group], new, width)
        self.totals.passes += 1
        for place, work in enumerate(group):
            del work.left[:width]
            if not work.left:
                self._draw(work, logit_bv[place])

    def _has_place(self, work: _Work, width: int) -> bool:
        """Whether a row has room for `width` more tokens, or gets it; one that cannot grow ends here."""
        needed = len(work.row.tokens) + width
        if needed <= work.row.capacity or self._rows.grow(work.row, capacity_for(needed)):
            return True
        self._end(work, "length")
        return False

    def _draw(self, work: _Work, logit_v: np.ndarray) -> None:
        """The next token of a reply, and what follows from it."""
        matcher = work.matcher
        token = draw_token(logit_v if matcher is None else matcher.mask(logit_v), work.request.sampling, work.generator)
        if token in self.chat.end_ids:
            self._end(work, "stop")
            return
        new = [token, *(matcher.take(token) if matcher is not None else ())]
        new = new[: work.max_tokens - len(work.drawn)]
        work.drawn += new
        work.left = list(new)
        text = self.chat.text(work.drawn)
        cut = _stop_place(text, work.request.sampling.stop)
        is_done = matcher is not None and matcher.is_done
        if cut is not None or is_done:
            self._end(work, "stop")
        elif len(work.drawn) >= work.max_tokens:
            self._end(work, "length")
        else:
            self._tell(work, text[: len(text) - _held_back(text, work.request.sampling.stop)])

    def _tell(self, work: _Work, text: str) -> None:
        """Give a listener what it has not had."""
        if work.request.on_text is not None and len(text) > work.told:
            work.request.on_text(text[work.told :])
            work.told = len(text)

    def _end(self, work: _Work, ending: Ending, problem: str = "") -> None:
        """Tell how a request ended; its row stays, with the tokens that are in it."""
        self._work = [one for one in self._work if one is not work]
        self._rows.release(work.row)
        text = self.chat.text(work.drawn)
        text = text[: _stop_place(text, work.request.sampling.stop)]
        if ending in ("stop", "length"):
            self._tell(work, text)
        self.totals.replies += 1
        self.totals.prompt_tokens += len(work.request.prompt)
        self.totals.shared_tokens += work.shared_tokens
        self.totals.completion_tokens += len(work.drawn)
        counts = (len(work.request.prompt), len(work.drawn), work.shared_tokens)
        work.request.on_end(Reply(text, ending, *counts, problem))

    def _fail(self, problem: str) -> None:
        """End all requests that are at work; their rows may be half written and go."""
        failed, self._work = self._work, []
        self._rows = KeptRows(self._settings, self._rows.max_places)
        for work in failed:
            counts = (len(work.request.prompt), len(work.drawn))
            work.request.on_end(Reply("", "failed", *counts, problem=problem))


def _stop_place(text: str, stop: Sequence[str]) -> int | None:
    """Where the first of the stop texts begins; None where there is none."""
    return min((place for place in map(text.find, stop) if place >= 0), default=None)


def _held_back(text: str, stop: Sequence[str]) -> int:
    """Characters at the end that may be the beginning of a stop text, or half a character."""
    if text.endswith("\ufffd"):
        return len(text) - len(text.rstrip("\ufffd"))
    starts = (length for one in stop for length in range(len(one) - 1, 0, -1) if text.endswith(one[:length]))
    return max(starts, default=0)
