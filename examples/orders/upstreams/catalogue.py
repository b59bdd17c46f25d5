"""The words the generated shop is made of.

Kept apart from the generator so that its logic can be read in one screen. Several entries carry
letters outside ASCII on purpose: a reply that survives them has treated UTF-8 as bytes, not luck.
"""

from typing import Final, NamedTuple


class Place(NamedTuple):
    """A city with the parts of an address that depend on it."""

    city: str
    country: str
    locale: str
    street: str
    postal_code: str


MATERIALS: Final = ("Walnut", "Oak", "Brass", "Linen", "Felt", "Cork", "Glass", "Steel", "Wool")
PRODUCTS: Final = (
    "desk lamp",
    "notebook, dotted",
    "pen",
    "desk mat",
    "cable tray",
    "bookend",
    "pencil cup",
    "wall clock",
    "letter opener",
    "monitor stand",
    "café tray",
    "footrest",
    "ink, blue-black",
)
FIRST_NAMES: Final = (
    "Ada",
    "Björn",
    "Chloé",
    "Dmitri",
    "Élise",
    "Farah",
    "Grace",
    "Håkon",
    "Inês",
    "Jürgen",
    "Keiko",
    "Łucja",
    "Mateo",
    "Nadia",
    "Oskar",
    "Priya",
    "Quentin",
    "Rosa",
    "Søren",
    "Tomáš",
)
LAST_NAMES: Final = (
    "Lindqvist",
    "Okafor",
    "Müller",
    "García",
    "Novák",
    "Tanaka",
    "O'Brien",
    "van Dijk",
    "Rossi",
    "Kowalska",
    "Nguyễn",
    "Andersen",
    "Dupont",
    "Haddad",
    "Silva",
)
PLACES: Final = (
    Place("Uppsala", "SE", "sv-SE", "Storgatan", "753 31"),
    Place("Amsterdam", "NL", "nl-NL", "Prinsengracht", "1015 DK"),
    Place("München", "DE", "de-DE", "Kaufingerstraße", "80331"),
    Place("Kraków", "PL", "pl-PL", "ulica Floriańska", "31-021"),
    Place("Lyon", "FR", "fr-FR", "rue de la République", "69002"),
    Place("Porto", "PT", "pt-PT", "Rua das Flores", "4050-262"),
    Place("Dublin", "IE", "en-IE", "Dame Street", "D02 T6X9"),
    Place("Tromsø", "NO", "nb-NO", "Storgata", "9008"),
)
CURRENCY: Final = "EUR"
WAREHOUSES: Final = ("ams-1", "muc-1", "waw-2")
STATUSES: Final = ("placed", "paid", "packed", "shipped", "delivered", "cancelled")
STATUS_WEIGHTS: Final = (5, 15, 10, 20, 45, 5)
TIERS: Final = ("standard", "silver", "gold")
TIER_WEIGHTS: Final = (70, 22, 8)
SEGMENTS: Final = ("nordics", "stationery", "returning", "gifts", "wholesale", "newsletter")
NOTES: Final = ("priority lane", "picked by station 7", "gift wrap", "call before delivery")
COUPON_WORDS: Final = ("SPRING", "THANKS", "WELCOME", "DESK", "LOYAL")
