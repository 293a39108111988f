"""The weaknesses of the simulated model: every way in which it falls short of a perfect reader, as a number."""

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class SimulatedModelSettings:
    """Weaknesses of `SimulatedModel`. All but `fresh_steps` lie in [0, 1]: probabilities per occasion, unless said
    otherwise. The defaults are the set `omission` of `weaknesses.py`: they make single teams without shared memory
    resemble recorded Magentic-One runs (steps per run, share of ledgers without progress and by position, loops,
    failing calls, re-plans), and one team and three score as the paper's do; how teams deal with shared values is an
    assumption.

    What is called lasting below is drawn once per team and occasion instead of per call, anew after a re-plan.
    `common_mistakes` is the share of lasting weaknesses that all teams on a question have in common, since the same
    model errs alike: the higher it is, the less a vote among teams helps.

    Acting. `mistypes`: a search query, an address or a file name has a spelling error. `repeats_action`: the last
    tool call for the same need is made again (a loop). `fatigue_per_step`: added to `repeats_action`, and a quarter of
    it to `mistypes`, for every worker step and pulled value in the thread beyond the first `fresh_steps` (at most
    `max_fatigue` in all), so that long and cluttered threads go astray until a re-plan clears them.
    `takes_near_miss`: the page of a near-miss name is opened although the right one is listed. `ignores_dates`: a
    listing is followed in rank order instead of trying the subject's own site first (lasting).

    Reading. `accepts_near_miss`: a page about a near-miss name is reported as the subject's (lasting).
    `follows_stale_page`: a team settles for an outdated page instead of comparing it with another page of the same
    title (lasting). `misreads`: another number of the same shape is taken, such as the neighbouring cell, or a row
    is skipped (lasting). `overlooks_value`: a value that is on the page is not seen, however often the team comes
    back (lasting). `overlooks_footnote`: the unit in a footnote is dropped (lasting). `hallucinates`: a value is
    made up for a page that does not give it.

    Orchestrating. `gives_up`: a need is dropped for good after a second and each further fruitless step (lasting;
    also a second page that is never read). `stops_early`: per ledger call, an unfinished job is called finished
    once something was found. `stops_late`: a finished job is called unfinished, a need checked again.
    `misjudges_progress`: the ledger's progress answer is the wrong way round. `imagines_loop`: a loop is seen where
    there is none. `malformed_ledger`: the ledger reply cannot be used as it is.

    Calculating. `uses_coder`: share of teams that have arithmetic done by Coder and Terminal (a habit, not a
    weakness; lasting). `slips_in_arithmetic`: the answer of an arithmetic question is far off where no program was
    run (lasting). `declines_to_guess`: "unable to determine" instead of an educated guess when values are missing
    (lasting).

    Sharing. `overlooks_key`: a useful key is passed over; `clutter_per_key` is added for each listed key (at most
    0.9 in all). `pulls_useless`: a key is pulled, per key, that is about an open need but holds no value for it;
    and once per selection, one that is about nothing open. `trusts_pulled`: a pulled value is believed over the
    team's own and not checked even when it is outdated, and a pulled failure is taken to mean that the value cannot
    be found (lasting). `misjudges_admission`: the admission judge answers the wrong way round.
    `aggregates_wrongly`: the aggregator takes a worse team's answer.

    Of very small models, and 0 in sets of larger ones. `stops_at_once`: per ledger call, the job is called finished
    though nothing was found. `repeats_itself`: a final answer says its last line again and again until it is cut; a
    sixth of it for a fact sheet. `restates_request`: a step's summary says what was asked for, not what was found.
    """

    common_mistakes: float = 0.65
    mistypes: float = 0.02
    repeats_action: float = 0.02
    fatigue_per_step: float = 0.25
    fresh_steps: int = 4
    max_fatigue: float = 0.7
    takes_near_miss: float = 0.1
    ignores_dates: float = 0.85
    accepts_near_miss: float = 0.5
    follows_stale_page: float = 0.2
    misreads: float = 0.05
    overlooks_value: float = 0.4
    overlooks_footnote: float = 0.05
    hallucinates: float = 0.08
    gives_up: float = 0.5
    stops_early: float = 0.03
    stops_late: float = 0.05
    misjudges_progress: float = 0.03
    imagines_loop: float = 0.2
    malformed_ledger: float = 0.01
    uses_coder: float = 0.7
    slips_in_arithmetic: float = 0.3
    declines_to_guess: float = 0.8
    overlooks_key: float = 0.1
    clutter_per_key: float = 0.012
    pulls_useless: float = 0.3
    trusts_pulled: float = 0.9
    misjudges_admission: float = 0.1
    aggregates_wrongly: float = 0.1
    stops_at_once: float = 0.0
    repeats_itself: float = 0.0
    restates_request: float = 0.0

    def __post_init__(self) -> None:
        if self.fresh_steps < 0:
            raise ValueError(f"fresh_steps: expected at least 0, got {self.fresh_steps}")
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name != "fresh_steps" and not 0.0 <= value <= 1.0:
                raise ValueError(f"{field.name}: expected in [0, 1], got {value}")


PERFECT = SimulatedModelSettings(**{field.name: 0 for field in fields(SimulatedModelSettings)})
