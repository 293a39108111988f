"""What guards the shared memory, as settings. A guard is on by default where it changes no honest run."""

from dataclasses import dataclass
from typing import Literal, get_args

from lts_jax.records import Trust

KeyRule = Literal["off", "repair", "refuse"]
When = Literal["never", "live", "always"]

TRUST_ORDER = tuple(Trust)
"""Lowest first."""


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """Guards of the memory bank. Every one is ours; the paper has none.

    Off by default, each because it changes honest runs: quoted keys and fenced transcripts with simulated teams (longer
    prompts take longer on the virtual clock), `min_trust` and `template_keys` (nearly all that teams share was read on
    the web or in files), `withheld_tools` and `revoked` (nothing to name without knowing the tools and the sources).

    What they cannot do: an order in plain words, without any mark, passes the schema and stands in its quotes. A model
    that obeys even marked data is stopped only by `min_trust="own"`, or by tools that can do no harm.
    """

    keys: KeyRule = "repair"
    """A key that breaks the schema of `key_schema` is mended, or its entry refused. "off": any line is a key."""

    max_key_characters: int = 300
    """Longest key. Twenty words have about 140 characters."""

    quote_keys: When = "live"
    """Show keys as JSON strings with origin and trust. "live": to real models; simulated runs keep their bits."""

    fence_transcripts: When = "live"
    """Show the aggregator the teams' transcripts between marks that they cannot close, as data. "live": as above."""

    clean_values: bool = True
    """Leave invisible and control characters out of values that are shown; line breaks and tabs stay."""

    min_trust: Literal["untrusted", "own", "trusted"] = "untrusted"
    """Entries below this label are shown to no team."""

    template_keys: bool = False
    """The key of an untrusted entry is a fixed sentence about its origin, without a word of its content."""

    redact: bool = True
    """Take secrets out of tool results, replies and errors before anything else sees them."""

    withheld_tools: tuple[str, ...] = ()
    """Tools that a team loses for the rest of the task once it has pulled an untrusted value."""

    revoked: tuple[str, ...] = ()
    """Origins whose entries, and all derived from them, are hidden: a URL, host, file, tool, or a kind ("web")."""

    def __post_init__(self) -> None:
        for name, choices in (
            ("keys", get_args(KeyRule)),
            ("quote_keys", get_args(When)),
            ("fence_transcripts", get_args(When)),
            ("min_trust", TRUST_ORDER),
        ):
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"GuardSettings.{name}: expected one of {', '.join(choices)}, got {getattr(self, name)!r}"
                )
        if self.max_key_characters < 40:
            raise ValueError(f"GuardSettings.max_key_characters: expected at least 40, got {self.max_key_characters}")
        if self.max_key_characters > 2_000:
            raise ValueError(f"GuardSettings.max_key_characters: expected at most 2000, got {self.max_key_characters}")
        if not all(origin.strip() for origin in self.revoked):
            raise ValueError("GuardSettings.revoked: expected origins such as a URL or a host, got an empty text")

    def quotes_keys(self, *, live: bool) -> bool:
        """Whether keys are shown quoted, to live models or to simulated ones."""
        return self.quote_keys == "always" or (live and self.quote_keys == "live")

    def fences_transcripts(self, *, live: bool) -> bool:
        """Whether the aggregator is shown transcripts between marks, with live models or with simulated ones."""
        return self.fence_transcripts == "always" or (live and self.fence_transcripts == "live")

    def shows(self, trust: Trust) -> bool:
        """Whether entries of this label are listed."""
        return self.min_trust == TRUST_ORDER[0] or TRUST_ORDER.index(trust) >= TRUST_ORDER.index(Trust(self.min_trust))


UNGUARDED = GuardSettings(keys="off", quote_keys="never", fence_transcripts="never", clean_values=False, redact=False)
"""Everything off: what the bank was without guards, for comparisons."""
