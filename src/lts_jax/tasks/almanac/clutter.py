"""Sentences and fields that mean nothing for any question: what surrounds a fact on a real page."""

from random import Random

_OPENINGS = (
    "The {a} {n} behind the main entrance was repaired last autumn",
    "Visitors often ask about the {a} {n} near the car park",
    "A small display about the {n} can be seen on the upper floor",
    "Volunteers look after the {a} {n} all the year round",
    "Local papers have written more than once about the {a} {n}",
    "A plaque beside the {n} recalls the {a} years of the founders",
    "The {n} was moved to a {a} spot after long discussion",
    "Children from the nearby school painted the {a} {n}",
    "Few people remember how the {a} {n} came to be here",
    "The newsletter tells the story of the {a} {n} in instalments",
    "Before the works began there was only a {a} {n} at this place",
    "An anonymous donor paid for the {a} {n} and wished for no thanks",
    "On windy days the {a} {n} is closed for safety",
    "Groups meet at the {a} {n} and walk on from there",
    "The {n} by the side door is now lit in the evenings",
    "A second, {a} {n} was found during the repairs",
    "Guides like to begin their rounds at the {a} {n}",
    "The shop sells postcards of the {a} {n} and little else",
    "The minutes of the last meeting mention the {a} {n} at length",
    "Complaints about the {a} {n} should be made in writing",
)
_ENDINGS = (
    "and many regulars say that it has never looked better.",
    "although not everyone agrees that this was needed.",
    "which is why the committee keeps a record of every change.",
    "and the staff are happy to tell more about it on request.",
    "so that the view from the terrace is open again.",
    "while the older parts of the site stay as they were.",
    "and a short film about it can be watched in the lobby.",
    "but the plans for the coming season are not settled yet.",
    "as readers of our newsletter will already know.",
    "and photographs are welcome as long as no flash is used.",
    "which came as a surprise to nearly everybody involved.",
    "and the sponsors have asked for a longer report.",
    "so please allow a little more time on busy mornings.",
    "though the weather has not always been kind to it.",
    "and the old drawings are kept in the archive.",
    "as it has been the custom since the opening.",
)
_ADJECTIVES = (
    "small", "wooden", "famous", "narrow", "restored", "colourful", "modest", "curious", "rounded", "quiet",
    "draughty", "splendid", "peculiar", "simple", "well known", "forgotten",
)  # fmt: skip
_NOUNS = (
    "staircase", "noticeboard", "garden wall", "fountain", "archway", "collection", "weathervane", "courtyard",
    "bench", "signpost", "mural", "gatehouse", "pavilion", "library corner", "model railway", "rose bed",
    "sundial", "cloakroom", "tea room", "flagpole", "iron gate", "bicycle shed", "ticket booth", "stone bridge",
)  # fmt: skip
_FIELDS = (
    ("Parking", ("on site", "street only", "behind the building", "none")),
    ("Wheelchair access", ("yes", "ground floor only", "on request")),
    ("Contact", ("front desk", "press office", "by letter only", "through the form")),
    ("Dogs", ("on a lead", "not allowed", "welcome")),
    ("Newsletter", ("monthly", "quarterly", "discontinued")),
    ("Wifi", ("free", "none", "in the lobby")),
    ("Lost property", ("front desk", "town office")),
    ("Languages", ("two", "three", "on request")),
)


def clutter_sentences(rng: Random, *, num_sentences: int = 1_000) -> list[str]:
    """A pool of sentences of about 110 characters; none holds a colon, a bar, a digit or a dollar sign."""
    return [
        rng.choice(_OPENINGS).format(a=rng.choice(_ADJECTIVES), n=rng.choice(_NOUNS)) + ", " + rng.choice(_ENDINGS)
        for _ in range(num_sentences)
    ]


def clutter_fields(rng: Random, num_fields: int) -> list[tuple[str, str]]:
    """Field lines that no question asks for."""
    return [(name, rng.choice(values)) for name, values in rng.sample(_FIELDS, num_fields)]
