"""An English-French grammar whose every sentence pair has a gold alignment.

The grammar is synchronous: each rule writes the English and the French side at
once and links the words it wrote. No torch in here. Longer than other modules
because the lexicon stands in it as tables.
"""

import random
from collections.abc import Sequence
from typing import NamedTuple


class Pair(NamedTuple):
    """A sentence and its translation, both as tokens.

    `sure` and `possible` hold gold links (source position, target position),
    counted from 0; `possible` contains `sure`. Both are empty for pair files.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    sure: frozenset[tuple[int, int]] = frozenset()
    possible: frozenset[tuple[int, int]] = frozenset()


def _table(text: str) -> list[list[str]]:
    """One row a line, one field a word; '_' stands for a space."""
    rows = [line.split() for line in text.strip().splitlines()]
    return [[field.replace("_", " ") for field in row] for row in rows]


# English singular, plural; French singular, plural, gender (0 masculine)
PEOPLE = _table("""
    cat cats chat chats 0
    dog dogs chien chiens 0
    girl girls fille filles 1
    boy boys garçon garçons 0
    woman women femme femmes 1
    child children enfant enfants 0
    bird birds oiseau oiseaux 0
    horse horses cheval chevaux 0
    friend friends amie amies 1
    queen queens reine reines 1
    king kings roi rois 0
    doctor doctors médecin médecins 0
    mouse mice souris souris 1
    student students étudiant étudiants 0
    teacher teachers maîtresse maîtresses 1
    wolf wolves loup loups 0
""")
PLACES = _table("""
    garden gardens jardin jardins 0
    house houses maison maisons 1
    tree trees arbre arbres 0
    school schools école écoles 1
    forest forests forêt forêts 1
    bridge bridges pont ponts 0
""")
# English; French masculine, feminine (plural adds s); side of the noun
ADJECTIVES = _table("""
    small petit petite before
    big grand grande before
    young jeune jeune before
    pretty joli jolie before
    black noir noire after
    white blanc blanche after
    clever intelligent intelligente after
    tired fatigué fatiguée after
    strange étrange étrange after
    calm calme calme after
""")
# English third person singular, plural; French third person singular, plural
TRANSITIVE = _table("""
    sees see voit voient
    chases chase chasse chassent
    loves love aime aiment
    follows follow suit suivent
    hears hear entend entendent
    knows know connaît connaissent
    finds find trouve trouvent
    draws draw dessine dessinent
    waits_for wait_for attend attendent
    looks_for look_for cherche cherchent
""")
INTRANSITIVE = _table("""
    sleeps sleep dort dorment
    sings sing chante chantent
    runs run court courent
    dances dance danse dansent
    laughs laugh rit rient
""")
SAYING = _table("says say dit disent\nthinks think pense pensent")
# English singular, plural; French masculine, feminine, plural
DETERMINERS = _table("""
    the the le la les
    the the le la les
    this these ce cette ces
    my my mon ma mes
    a two un une deux
""")
ADVERBS = _table("often souvent\nalways toujours\nsometimes parfois")
PREPOSITIONS = _table("in dans\nbehind derrière\nunder sous")
OBJECT_PRONOUNS = _table("him le\nher la\nthem les\nme me")
SUBJECT_PRONOUNS = _table("he il 0\nshe elle 0\nthey ils 1")
LINKERS = _table("and et\nbut mais\nbecause parce_que\nwhen quand")

# What a French word becomes before a vowel. One token stays one token, so the
# links of the gold alignment are not touched.
_ELIDED = {
    "le": "l'",
    "la": "l'",
    "ne": "n'",
    "me": "m'",
    "que": "qu'",
    "ce": "cet",
    "ma": "mon",
}
_VOWELS = "aeiouâàéèêëîïôûù"


class _Phrase(NamedTuple):
    """A piece of both sentences with its links (source, target, is sure)."""

    source: list[str]
    target: list[str]
    links: list[tuple[int, int, bool]]


def _words(source: str, target: str) -> _Phrase:
    """A phrase in which every source word is linked to every target word."""
    s, t = source.split(), target.split()
    links = [(i, j, True) for i in range(len(s)) for j in range(len(t))]
    return _Phrase(s, t, links)


def _join(*parts: _Phrase, order: Sequence[int] | None = None) -> _Phrase:
    """Put phrases one after the other; `order` is the French order of them."""
    source: list[str] = []
    starts = []
    for part in parts:
        starts.append(len(source))
        source += part.source
    target: list[str] = []
    links = []
    for k in order or range(len(parts)):
        at = len(target)
        links += [(i + starts[k], j + at, sure) for i, j, sure in parts[k].links]
        target += parts[k].target
    return _Phrase(source, target, links)


class _Grammar:
    """Draws phrases at random. `plural` is 0 or 1, as an index into tables."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def noun_phrase(self, depth: int) -> tuple[_Phrase, int]:
        """The (small) cat (black) (in the garden | that ...), and its number."""
        rng = self.rng
        plural = int(rng.random() < 0.35)
        phrase = self._noun(rng.choice(PEOPLE), plural, rng.random() < 0.4)
        extra = rng.random()
        if depth and extra < 0.2:
            return _join(phrase, self._relative(plural, depth - 1)), plural
        if extra < 0.35:
            return _join(phrase, self._place()), plural
        return phrase, plural

    def _noun(self, row: list[str], plural: int, with_adjective: bool) -> _Phrase:
        """Determiner, noun and maybe an adjective that agrees with the noun."""
        gender = int(row[4])
        det = self.rng.choice(DETERMINERS)
        parts = [
            _words(det[plural], det[4] if plural else det[2 + gender]),
            _words(row[plural], row[2 + plural]),
        ]
        if not with_adjective:
            return _join(*parts)
        english, *french, side = self.rng.choice(ADJECTIVES)
        adjective = _words(english, french[gender] + "s" * plural)
        parts.insert(1, adjective)
        return _join(*parts, order=(0, 1, 2) if side == "before" else (0, 2, 1))

    def _place(self) -> _Phrase:
        """In the garden."""
        row = self.rng.choice(PLACES)
        noun = self._noun(row, int(self.rng.random() < 0.2), False)
        return _join(_words(*self.rng.choice(PREPOSITIONS)), noun)

    def _relative(self, plural: int, depth: int) -> _Phrase:
        """That chases the dog | that the dog chases."""
        if self.rng.random() < 0.6:
            return _join(_words("that", "qui"), self.verb_phrase(plural, depth))
        noun, noun_plural = self.noun_phrase(0)
        verb = self.rng.choice(TRANSITIVE)
        return _join(
            _words("that", "que"),
            noun,
            _words(verb[noun_plural], verb[2 + noun_plural]),
        )

    def verb_phrase(self, plural: int, depth: int) -> _Phrase:
        """Sleeps | often sees him | does not see the dog | says that ..."""
        rng = self.rng
        kind = rng.random()
        if kind < 0.2:
            verb = rng.choice(INTRANSITIVE)
            return self._predicate(verb, plural, None)
        if kind < 0.32 and depth:
            clause = _join(_words("that", "que"), self.clause(depth - 1))
            return _join(self._predicate(rng.choice(SAYING), plural, None), clause)
        verb = rng.choice(TRANSITIVE)
        if kind < 0.55:
            pronoun = _words(*rng.choice(OBJECT_PRONOUNS))
            return self._predicate(verb, plural, pronoun)
        noun, _ = self.noun_phrase(depth)
        return _join(self._predicate(verb, plural, None), noun)

    def _predicate(
        self, verb: list[str], plural: int, pronoun: _Phrase | None
    ) -> _Phrase:
        """The verb with its pronoun (before it in French), negation or adverb."""
        kind = self.rng.random()
        pronouns = [pronoun] if pronoun else []
        if kind < 0.25:
            # does not see him -> ne le voit pas: "not" is both "ne" and "pas",
            # and "does" has no word of its own: its links are only possible.
            do = _Phrase(["do" if plural else "does"], [], [])
            phrase = _join(
                do,
                _Phrase(["not"], ["ne"], [(0, 0, True)]),
                _words(verb[1], verb[2 + plural]),
                *pronouns,
                _Phrase([], ["pas"], []),
                order=(0, 1, 3, 2, 4) if pronoun else (0, 1, 2, 3),
            )
            at = phrase.target.index(verb[2 + plural])
            links = [(1, at + 1, True), (0, 0, False), (0, at, False)]
            return phrase._replace(links=phrase.links + links)
        french = _words(verb[plural], verb[2 + plural])
        if kind < 0.45:
            adverb = _words(*self.rng.choice(ADVERBS))
            order = (2, 1, 0) if pronoun else (1, 0)
            return _join(adverb, french, *pronouns, order=order)
        return _join(french, *pronouns, order=(1, 0) if pronoun else (0,))

    def clause(self, depth: int) -> _Phrase:
        """Subject and predicate, with the verb in the subject's number."""
        if self.rng.random() < 0.2:
            english, french, plural = self.rng.choice(SUBJECT_PRONOUNS)
            subject, number = _words(english, french), int(plural)
        else:
            subject, number = self.noun_phrase(depth)
        phrase = _join(subject, self.verb_phrase(number, depth))
        return _join(phrase, self._place()) if self.rng.random() < 0.15 else phrase

    def sentence(self, n_tokens: int) -> _Phrase:
        """Clauses joined by linkers until there are about `n_tokens` words."""
        phrase = self.clause(min(2, n_tokens // 8))
        while len(phrase.source) < n_tokens - 6:
            linker = _words(*self.rng.choice(LINKERS))
            phrase = _join(phrase, linker, self.clause(2))
        return _join(phrase, _words(".", "."))


def _elide(tokens: list[str]) -> tuple[str, ...]:
    """Le arbre -> l' arbre, que il -> qu' il, ma amie -> mon amie."""
    following = tokens[1:] + ["."]
    return tuple(
        _ELIDED.get(token, token) if after[0] in _VOWELS else token
        for token, after in zip(tokens, following, strict=True)
    )


def translation_pairs(
    n_pairs: int, seed: int = 0, min_len: int = 4, max_len: int = 50
) -> list[Pair]:
    """Write distinct English sentences, their French translation and alignment.

    Lengths are spread over the whole range. The same seed gives the same pairs
    on every machine.

    Args:
        n_pairs: how many pairs; no English sentence comes twice.
        min_len, max_len: bounds on the tokens of both sides, from 4 to 50.

    Returns:
        Pairs with their gold links.

    Raises:
        ValueError: if a bound is out of range or so many pairs do not exist.

    >>> pair = translation_pairs(1, seed=5, max_len=8)[0]
    >>> " ".join(pair.source), " ".join(pair.target)
    ('my young queen knows them .', 'ma jeune reine les connaît .')
    """
    if not 4 <= min_len <= max_len <= 50:
        raise ValueError(
            "min_len and max_len should be 4 <= min_len <= max_len <= 50, "
            f"got {min_len} and {max_len}"
        )
    if n_pairs < 1:
        raise ValueError(f"n_pairs should be 1 or more, got {n_pairs}")
    grammar = _Grammar(seed)
    pairs: dict[tuple[str, ...], Pair] = {}
    for _ in range(20 * n_pairs + 1000):
        phrase = grammar.sentence(grammar.rng.randint(min_len, max_len))
        source, target = tuple(phrase.source), _elide(phrase.target)
        shorter, longer = sorted((len(source), len(target)))
        if min_len <= shorter and longer <= max_len and source not in pairs:
            sure = frozenset((i, j) for i, j, is_sure in phrase.links if is_sure)
            possible = frozenset((i, j) for i, j, _ in phrase.links)
            pairs[source] = Pair(source, target, sure, possible)
        if len(pairs) == n_pairs:
            return list(pairs.values())
    raise ValueError(
        f"found only {len(pairs)} different sentences of {min_len} to {max_len} "
        f"tokens, not {n_pairs}: ask for fewer or widen the range"
    )
