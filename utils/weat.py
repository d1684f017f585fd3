"""Word embedding association test: which words stand nearer to which.

Caliskan et al., 2017, https://arxiv.org/abs/1608.07187. It measures a table of
vectors and the word lists chosen, not people. No torch.
"""

import math
from itertools import combinations

import numpy as np

from utils.counts import check_count

# Two of the paper's tests (its supplement): targets X and Y, attributes A and B.
FLOWERS_INSECTS = {
    "X": "aster clover hyacinth marigold poppy azalea crocus iris orchid rose bluebell "
    "daffodil lilac pansy tulip buttercup daisy lily peony violet carnation gladiola "
    "magnolia petunia zinnia".split(),
    "Y": "ant caterpillar flea locust spider bedbug centipede fly maggot tarantula bee "
    "cockroach gnat mosquito termite beetle cricket hornet moth wasp blackfly "
    "dragonfly horsefly roach weevil".split(),
    "A": "caress freedom health love peace cheer friend heaven loyal pleasure diamond "
    "gentle honest lucky rainbow diploma gift honor miracle sunrise family happy "
    "laughter paradise vacation".split(),
    "B": "abuse crash filth murder sickness accident death grief poison stink assault "
    "disaster hatred pollute tragedy divorce jail poverty ugly cancer kill rotten "
    "vomit agony prison".split(),
}
NAMES_CAREER = {
    "X": "John Paul Mike Kevin Steve Greg Jeff Bill".split(),
    "Y": "Amy Joan Lisa Sarah Diana Kate Ann Donna".split(),
    "A": "executive management professional corporation salary office business "
    "career".split(),
    "B": "home parents children family cousins marriage wedding relatives".split(),
}


def associations(w: object, a: object, b: object) -> np.ndarray:
    """How much nearer each word is to the words of A than to those of B.

    s(w, A, B) = mean cosine with A - mean cosine with B.

    Args:
        w: (n, d) vectors of the words.
        a, b: (n_a, d) and (n_b, d) vectors of the attributes.

    Returns:
        (n,).

    Raises:
        ValueError: if a vector is 0, not a number or of another size.

    >>> associations([[1, 0]], [[2, 0]], [[0, 3]]).tolist()
    [1.0]
    """
    w, a, b = (_unit(name, v) for name, v in (("w", w), ("a", a), ("b", b)))
    if not w.shape[1] == a.shape[1] == b.shape[1]:
        sizes = f"{w.shape[1]}, {a.shape[1]} and {b.shape[1]}"
        raise ValueError(f"w, a and b should be vectors of one size, have {sizes}")
    return (w @ a.T).mean(axis=1) - (w @ b.T).mean(axis=1)


def _unit(name: str, vectors: object) -> np.ndarray:
    array = np.asarray(vectors, dtype=float)
    length = np.linalg.norm(array, axis=-1, keepdims=True)
    good = array.ndim == 2 and len(array) and np.isfinite(length).all()
    if not good or not (length > 0).all():
        raise ValueError(
            f"{name} should be (n, d) vectors, none of them 0 or NaN, has shape "
            f"{array.shape}: give one row a word"
        )
    return array / length


def weat(
    x: object,
    y: object,
    a: object,
    b: object,
    n_permutations: int = 10_000,
    seed: int = 0,
) -> tuple[float, float]:
    """Effect size and p-value of the association of X with A and of Y with B.

    The effect is mean s(x) - mean s(y) over the standard deviation of s in X and
    Y together (with n - 1), so from -2 to 2. p is the share of the ways to part
    X and Y into halves of these sizes whose gap is at least as large, one-sided:
    every way if there are at most `n_permutations`, else so many drawn, the
    observed one counted too.

    Args:
        x, y: (n_x, d), (n_y, d) vectors of the target words.
        a, b: (n_a, d), (n_b, d) vectors of the attribute words.

    Raises:
        ValueError: as `associations`, or if all targets associate alike.

    >>> effect, p = weat([[1, 0], [2, 1]], [[0, 1], [1, 2]], [[1, 0]], [[0, 1]])
    >>> round(effect, 2), round(p, 2)
    (1.62, 0.17)
    """
    check_count("n_permutations", n_permutations)
    s_x, s_y = associations(x, a, b), associations(y, a, b)
    s, n_x = np.concatenate([s_x, s_y]), len(s_x)
    spread = s.std(ddof=1)
    if not spread > 1e-12:
        raise ValueError(
            "the targets should differ in their association, all are alike: look "
            "whether the vectors are of different words"
        )
    gap = s_x.mean() - s_y.mean()
    exact = math.comb(len(s), n_x) <= n_permutations
    if exact:
        halves = np.array(list(combinations(range(len(s)), n_x)))  # (n, n_x)
    else:
        rng = np.random.default_rng(seed)
        order = rng.random((n_permutations, len(s))).argsort(axis=1)
        halves = order[:, :n_x]
    in_x = s[halves].sum(axis=1)
    gaps = in_x / n_x - (s.sum() - in_x) / len(s_y)
    n_as_large = (gaps >= gap - 1e-12).sum() + (not exact)
    return float(gap / spread), float(n_as_large / (len(halves) + (not exact)))
