"""Small English stories, written for this course, with a tag for each word.

Two people meet at a place, find things, give, show, lose or break them, and feel
well or badly about it. The sentences of a story share people, things, colours and
places, so that what comes next, or what is hidden, can often be told from the rest.
Some words are a name here and a thing there: rose, daisy, robin, penny.
"""

import random
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from utils.counts import check_count
from utils.wordpiece import SPECIALS, WordPiece

WOMEN = "anna clara daisy emma olive penny rose sarah"
MEN = "adam ben david felix leo mark robin tom"
SURNAMES = "brook field hill reed stone wood"
COLOURS = "black blue brown green grey red white yellow"
# place -> where things may be, and the things
WORLDS = {
    "kitchen": ("oven shelf sink table", "bowl cake cup jug olive spoon teapot"),
    "garden": ("bench gate hedge pond", "bucket daisy ladder robin rose spade"),
    "beach": ("boat dune pier rock", "bucket crab kite pearl towel seashell"),
    "school": ("board desk door stairs", "bell book map pencil ruler satchel"),
    "farm": ("barn cart fence field", "bucket egg hen lamb rope saddle"),
    "market": ("bridge fountain stall wall", "basket cheese hat melon penny scarf"),
    "forest": ("brook cave hill oak", "feather lantern mushroom nut robin stick"),
    "station": ("bench clock door train", "bag book coat hat ticket umbrella"),
}
GOOD = "cheerful content delighted glad happy joyful merry proud"
BAD = "angry ashamed bitter cross gloomy miserable sad upset"
FEELINGS = (GOOD.split(), BAD.split())

# What may be said. {x} acts, {y} is the other one, {t} is a thing of colour {c},
# {s} is where it is, {p} where they are.
MEET = (
    "{x} and {y} are at the {p} .",
    "{x} meets {y} at the {p} .",
    "one day {x} goes to the {p} with {y} .",
)
FIND = ("{x} finds a {c} {t} near the {s} .", "{x} sees a {c} {t} behind the {s} .")
BRING = ("{x} brings a {c} {t} from home .", "{x} has a {c} {t} .")
SHOW = ("{x} shows the {c} {t} to {y} .", "{x} looks at the {c} {t} with {y} .")
GIVE = ("{x} gives the {c} {t} to {y} .", "{x} hands the {t} to {y} .")
LOSE = ("{x} loses the {c} {t} near the {s} .", "{x} drops the {c} {t} at the {s} .")
BREAK = ("{x} breaks the {c} {t} .",)
FEEL = (
    "{x} is {f} and {g} .",
    "{x} feels very {f} and {g} .",
    "{x} is not {n} but {f} .",
    "{x} is {f} .",
)
END = ("{x} leaves the {p} with {y} .", "{x} and {y} go home .")
TAGS = ("O", "B-PER", "I-PER", "B-LOC", "B-OBJ")
SLOT_TAGS = {"x": "B-PER", "y": "B-PER", "t": "B-OBJ", "s": "B-LOC", "p": "B-LOC"}


class Sentence(NamedTuple):
    """One sentence, with what it says."""

    words: tuple[str, ...]
    tags: tuple[str, ...]  # one of TAGS for each word
    slots: dict[str, str]  # slot -> what fills it

    @property
    def text(self) -> str:
        """The words, with a blank between."""
        return " ".join(self.words)


def _say(rng: random.Random, templates: Sequence[str], **slots: str) -> Sentence:
    """Fill one of the templates."""
    words, tags = [], []
    for part in rng.choice(templates).split():
        said = slots[part[1]].split() if part[0] == "{" else [part]
        tag = SLOT_TAGS.get(part[1], "O") if part[0] == "{" else "O"
        pronoun = said[0] in ("he", "she")
        words += said
        tags += ["O" if pronoun else tag, *["I-PER"] * (len(said) - 1)]
    return Sentence(tuple(words), tuple(tags), slots)


def _feeling(rng: random.Random, who: str, bad: bool) -> Sentence:
    f, g = rng.sample(FEELINGS[bad], 2)
    return _say(rng, FEEL, x=who, f=f, g=g, n=rng.choice(FEELINGS[not bad]))


def one_story(rng: random.Random) -> list[Sentence]:
    """Two people, a place, two things: six to ten sentences."""
    place = rng.choice(list(WORLDS))
    spots, things = (words.split() for words in WORLDS[place])
    people = rng.sample((WOMEN + " " + MEN).split(), 2)
    things = rng.sample([t for t in things if t not in people], 2)
    colour = dict(zip(things, rng.sample(COLOURS.split(), 2), strict=True))
    surname = f" {rng.choice(SURNAMES.split())}" if rng.random() < 0.3 else ""
    story = [_say(rng, MEET, x=people[0] + surname, y=people[1], p=place)]
    holder = dict(zip(things, rng.sample(people, 2), strict=True))
    for thing, x in holder.items():
        how = FIND if thing == things[0] or rng.random() < 0.6 else BRING
        y = people[x == people[0]]
        slots = {"x": x, "y": y, "t": thing, "c": colour[thing]}
        story.append(_say(rng, how, **slots, s=rng.choice(spots)))
    n_events = rng.randint(2, 3)
    for _ in range(n_events):
        if not holder:
            break
        thing = rng.choice(list(holder))
        x = holder[thing]
        y = people[x == people[0]]
        event = rng.choice((SHOW, GIVE, GIVE, LOSE, BREAK))
        again = story[-1].slots["x"] == x and rng.random() < 0.5
        name = ("she" if x in WOMEN.split() else "he") if again else x
        slots = {"x": name, "y": y, "t": thing, "c": colour[thing]}
        story.append(_say(rng, event, **slots, s=rng.choice(spots)))
        if event is GIVE:
            holder[thing] = y
        elif event is not SHOW:
            del holder[thing]
        if event is not SHOW and rng.random() < 0.7:
            story.append(_feeling(rng, y if event is GIVE else x, event is not GIVE))
    x, y = rng.sample(people, 2)
    story.append(_say(rng, END, x=x, y=y, p=place))
    return story


def stories(n_stories: int, seed: int = 0) -> list[list[Sentence]]:
    """Write stories, no two the same; other seeds give other stories.

    Raises:
        ValueError: if `n_stories` is no whole number of at least 1.

    >>> [sentence.text for sentence in stories(1, seed=3)[0][:1]]
    ['one day sarah goes to the school with rose .']
    """
    check_count("n_stories", n_stories)
    rng, found = random.Random(f"stories {seed}"), {}
    while len(found) < n_stories:
        story = one_story(rng)
        found.setdefault(tuple(s.words for s in story), story)
    return list(found.values())


def used_pieces(real: WordPiece, texts: Iterable[str]) -> WordPiece:
    """A tokenizer with only those pieces of a real one that some texts use.

    It cuts these texts as the real one does, and its list is short: [PAD] is 0,
    [UNK] 1, [CLS] 2, [SEP] 3 and [MASK] 4.

    >>> len(used_pieces(WordPiece(["a", "[UNK]", "b"]), ["b b"]))
    6
    """
    used = {i for text in texts for i in real.encode(text)}
    pieces = [real.tokens[i] for i in sorted(used) if real.tokens[i] not in SPECIALS]
    return WordPiece([*SPECIALS, *pieces])
