"""Invented names: towns, people, places. None is meant to be real, and none repeats."""

from random import Random

_TOWN_HEADS = (
    "Quil", "Drav", "Yelk", "Morv", "Tasp", "Velm", "Zorn", "Oskel", "Brint", "Culv",
    "Fenz", "Gost", "Hurl", "Javel", "Kesp", "Lumb", "Narv", "Plov", "Rusk", "Sketh",
    "Trelv", "Umbr", "Vask", "Wexil", "Yolt", "Zask", "Bolv", "Crand", "Dusk", "Eskel",
    "Frand", "Grist", "Holv", "Ilver", "Jask", "Kolm", "Lasker", "Mund", "Nolb", "Orv",
)  # fmt: skip
_TOWN_TAILS = ("holt", "mere", "stow", "aford", "ombe", "unden", "wick", "erby")
_GIVEN = (
    "Edda", "Tomas", "Ilse", "Bram", "Odile", "Rufus", "Maren", "Casper", "Livia", "Anton", "Greta", "Jonas",
    "Petra", "Silas", "Nadia", "Hugo", "Freya", "Oscar", "Thea", "Lorenz", "Vera", "Emil", "Clara", "Felix",
)  # fmt: skip
_SURNAMES = (
    "Quillorn", "Tavesk", "Brandreth", "Ostrander", "Velmaar", "Pellworth", "Draskin", "Marlowen", "Hestrick",
    "Corvane", "Lindquor", "Thessing", "Wardlock", "Yarnolt", "Zellman", "Kestrane", "Fenwright", "Orlovane",
)  # fmt: skip
_ADJECTIVES = (
    "Copper", "Silver", "Amber", "Crimson", "Velvet", "Hollow", "Quiet", "Golden", "Winter", "Summer",
    "Northern",
    "Southern", "Broken", "Hidden", "Lonely", "Bright", "Crooked", "Painted", "Wandering", "Frozen", "Gentle",
    "Scarlet", "Ivory", "Marble", "Misty", "Mossy", "Noble", "Pale", "Rustic", "Sandy", "Shaded", "Silent",
    "Sunken",
    "Twisted", "Upper", "Lower", "Violet", "Weathered", "Woven", "Ancient", "Burning", "Cobalt", "Distant",
    "Emerald",
    "Faded", "Gilded", "Humble", "Indigo", "Jade", "Kindly", "Linen", "Mellow", "Narrow", "Olive",
    "Patient", "Rolling",
)  # fmt: skip
_NOUNS = (
    "Lantern", "Heron", "Orchard", "Anchor", "Bramble", "Chapel", "Dover", "Ember", "Falcon", "Garland",
    "Harrow",
    "Island", "Juniper", "Kettle", "Larch", "Meadow", "Needle", "Otter", "Pepper", "Quarry", "Raven",
    "Saddle",
    "Thistle", "Umber", "Valley", "Willow", "Yarrow", "Acorn", "Beacon", "Cinder", "Drum", "Elm", "Fiddle",
    "Goose",
    "Hazel", "Inkwell", "Jasper", "Kestrel", "Ladder", "Mirror", "Nettle", "Oar", "Pebble", "Quill", "Ribbon",
    "Sparrow", "Timber", "Urn", "Vine", "Wagon", "Badger", "Candle", "Dagger", "Feather", "Glove", "Hammer",
    "Iris",
    "Jackdaw", "Knot", "Lily", "Magpie", "Nutmeg", "Owl", "Plough", "Rook", "Stirrup", "Tulip", "Violin",
    "Wren",
)  # fmt: skip


class Namer:
    """Hands out names of one world in a shuffled order; a pair of words is used for one subject only."""

    def __init__(self, rng: Random) -> None:
        towns = [head + tail for head in _TOWN_HEADS for tail in _TOWN_TAILS]
        people = [f"{given} {surname}" for given in _GIVEN for surname in _SURNAMES]
        pairs = [f"{adjective} {noun}" for adjective in _ADJECTIVES for noun in _NOUNS]
        for names in (towns, people, pairs):
            rng.shuffle(names)
        self._towns, self._people, self._pairs = towns, people, pairs

    def town(self) -> str:
        """A town's name, one word."""
        return self._towns.pop()

    def person(self) -> str:
        """A given name and a surname."""
        return self._people.pop()

    def pair(self, suffix: str = "") -> str:
        """Two words of its own and a suffix, such as "Copper Lantern Museum"."""
        return f"{self._pairs.pop()} {suffix}".rstrip()


def near_miss(name: str) -> str:
    """A name easily taken for `name`: "Copper Lantern Pool" becomes "Copper Lantern Pools Shop"."""
    return f"{name}s Shop" if len(name) % 2 else f"Old {name}"


def slug(text: str) -> str:
    """`text` as a part of an address: lower case, other characters become single hyphens."""
    return "-".join("".join(c if c.isalnum() else " " for c in text.lower()).split())


def list_names(names: list[str]) -> str:
    """Names in a sentence: "A", "A and B", "A, B and C"."""
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
