"""From words to integer ids and back. No torch in here."""

from collections import Counter
from collections.abc import Iterable, Sequence

PAD, BOS, EOS, UNK = "<pad>", "<bos>", "<eos>", "<unk>"
SPECIALS = (PAD, BOS, EOS, UNK)


class Vocab:
    """A fixed list of tokens; a token's id is its place in the list.

    The first four ids are always <pad> 0, <bos> 1, <eos> 2 and <unk> 3.

    Args:
        tokens: the ordinary tokens, in the order of their ids.

    Raises:
        ValueError: if a token comes twice, is empty, is not a string, or is one
            of the four special ones.

    >>> vocab = Vocab(["the", "cat"])
    >>> vocab.encode(["the", "dog"])
    [4, 3]
    >>> vocab.decode([1, 4, 5, 2, 0])
    ['the', 'cat']
    """

    pad, bos, eos, unk = range(len(SPECIALS))

    def __init__(self, tokens: Iterable[str]) -> None:
        if isinstance(tokens, str):
            raise ValueError(
                f"tokens should be a list of strings but is the string {tokens!r}: "
                "split it first, for example with .split()"
            )
        self.tokens = [*SPECIALS, *tokens]
        for token in self.tokens:
            if not isinstance(token, str) or not token:
                raise ValueError(
                    f"each token should be a non-empty string, got {token!r}"
                )
        self._id = {token: i for i, token in enumerate(self.tokens)}
        if len(self._id) < len(self.tokens):
            twice = next(t for t, n in Counter(self.tokens).items() if n > 1)
            raise ValueError(f"each token should come once, {twice!r} comes twice")

    @classmethod
    def from_sentences(
        cls, sentences: Iterable[Sequence[str]], min_count: int = 1
    ) -> "Vocab":
        """Collect the tokens of some sentences, the most frequent first.

        Args:
            sentences: lists of tokens.
            min_count: leave out tokens seen fewer times; they become <unk>.

        Raises:
            ValueError: if a sentence is a string, or `min_count` is below 1.
        """
        if min_count < 1:
            raise ValueError(f"min_count should be 1 or more, got {min_count}")
        counts: Counter[str] = Counter()
        for sentence in sentences:
            if isinstance(sentence, str):
                raise ValueError(
                    f"each sentence should be a list of tokens, got the string "
                    f"{sentence!r}: split it first"
                )
            counts.update(sentence)
        kept = [t for t, n in counts.items() if n >= min_count and t not in SPECIALS]
        return cls(sorted(kept, key=lambda t: (-counts[t], t)))

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: object) -> bool:
        return token in self._id

    def encode(self, tokens: Sequence[str]) -> list[int]:
        """Look up the id of each token; unknown ones become <unk>.

        Raises:
            ValueError: if `tokens` is a string rather than a list of them.
        """
        if isinstance(tokens, str):
            raise ValueError(
                f"tokens should be a list of strings but is the string {tokens!r}: "
                "split it first, for example with .split()"
            )
        return [self._id.get(token, self.unk) for token in tokens]

    def decode(self, ids: Iterable[int]) -> list[str]:
        """Turn ids into tokens, up to the first <eos>, without <pad> and <bos>.

        Args:
            ids: integers, or a one-dimensional tensor of them.

        Raises:
            ValueError: if an id lies outside the vocabulary.
        """
        tokens = []
        for i in map(int, ids):
            if not 0 <= i < len(self.tokens):
                raise ValueError(
                    f"ids should be from 0 to {len(self.tokens) - 1}, got {i}: "
                    "is this the vocabulary that encoded them?"
                )
            if i == self.eos:
                break
            if i not in (self.pad, self.bos):
                tokens.append(self.tokens[i])
        return tokens
