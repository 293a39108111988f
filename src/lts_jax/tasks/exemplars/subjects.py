"""What questions of every kind are about: invented names, and subjects told in many words."""

from dataclasses import dataclass

NAMES = (
    "Edda Quillorn", "Tomas Velmaar", "Ilse Pellworth", "Bram Tavesk", "Odile Corvane", "Rufus Hestrick",
    "Maren Thessing", "Casper Yarnolt", "Livia Draskin", "Anton Wardlock", "Greta Marlowen", "Silas Zellman",
)  # fmt: skip
SUBJECTS = (
    ("lighthouse", "the leaning lighthouse on the cliff at Quilmere"),
    ("ferry", "the green ferry that is late to Morvunden harbour"),
    ("bakery", "the corner bakery with the blue oven in Taspwick"),
    ("clock", "the stopped clock above the Zornholt market"),
    ("orchard", "the walled orchard behind Velmstow abbey"),
    ("bridge", "the narrow bridge over the Narvombe weir"),
    ("museum", "the dusty museum of buttons in Lumberby"),
    ("garden", "the night garden of the Gostaford hospital"),
    ("tram", "the yellow tram up the hill to Plovmere"),
    ("library", "the floating library on the Sketherby canal"),
    ("mill", "the crooked mill below the Trelvstow falls"),
    ("theatre", "the paper theatre in the cellar at Umbrwick"),
)
FRAMES = (
    "{cue}: {name} and {long}.",
    "For {name}, who knows {long}. {cue}.",
    "It is about {long}, and {name} is in it. {cue}.",
    "{name} asks for this, {long} being the matter: {cue}.",
)
"""How a wording, a name and a subject make a question; the same for every kind."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What one question is about."""

    name: str
    short: str
    long: str
