"""Exercises of chapter 10: what is trained on, packing, and the overlap filter."""

import torch

from utils.checks import Case, Exercise

USER, ASSISTANT, END = "<|user|>", "<|assistant|>", "<|end|>"


def _from_assistant(tokens, keep):
    """Marks where keep(token) holds while the assistant speaks."""
    speaks, marks = False, []
    for token in tokens:
        if token in (USER, ASSISTANT):
            speaks = token == ASSISTANT
        marks.append(speaks and keep(token))
        speaks = speaks and token != END
    return marks


def _last_reply_only(tokens):
    if ASSISTANT not in tokens:
        return [False] * len(tokens)
    start = len(tokens) - tokens[::-1].index(ASSISTANT)
    return [False] * start + [True] * (len(tokens) - start)


reply_mask = Exercise(
    id="10.1",
    cases=[
        Case(
            "the reply and its <|end|> are trained on, the rest is not",
            ([USER, "hi", END, ASSISTANT, "yes", END],),
            [False, False, False, False, True, True],
        ),
        Case(
            "two replies, both trained on; the second question is not",
            ([USER, "hi", END, ASSISTANT, "yes", END]
             + [USER, "why", END, ASSISTANT, "so", "it", "is", END],),
            [False] * 4 + [True] * 2 + [False] * 4 + [True] * 4,
        ),
        Case(
            "a question without a reply: nothing to train on",
            ([USER, "hi", END],),
            [False, False, False],
        ),
    ],
    hints=[
        "Who is speaking at each token? What changes the speaker?",
        "Walk through the tokens with a variable that <|assistant|> sets to true "
        "and <|end|> to false, after it was marked.",
        "marks.append(speaks), then speaks = token == ASSISTANT or (speaks and "
        "token != END)",
    ],
    slips={
        "<|end|> is left out, so the model never learns to stop": lambda tokens: (
            _from_assistant(tokens, lambda t: t not in (ASSISTANT, END))
        ),
        "<|assistant|> is trained on, though it is always given": lambda tokens: (
            _from_assistant(tokens, lambda t: True)
        ),
        "the prompt is trained on too": lambda tokens: [True] * len(tokens),
        "only the last reply is trained on": _last_reply_only,
    },
)  # fmt: skip

reply_labels = Exercise(
    id="10.2",
    cases=[
        Case(
            "ids 5 6 7, of which 7 is the reply: it is the label of position 1",
            ([5, 6, 7], [False, False, True]),
            [-100, 7, -100],
        ),
        Case(
            "two words of a reply, then a question again",
            ([5, 6, 7, 8, 9], [False, False, True, True, False]),
            [-100, 7, 8, -100, -100],
        ),
        Case("one token has nothing after it", ([4], [True]), [-100]),
    ],
    hints=[
        "Which token does position t predict, and is that one part of the reply?",
        "Go over t + 1: zip ids[1:] with reply[1:]. The last position has no label.",
        "[i if said else -100 for i, said in zip(ids[1:], reply[1:])] + [-100]",
    ],
    slips={
        "the labels are not shifted: each position should name itself": (
            lambda ids, reply: [
                i if r else -100 for i, r in zip(ids, reply, strict=True)
            ]
        ),
        "the ids are shifted and the mask is not": lambda ids, reply: (
            [i if r else -100 for i, r in zip(ids[1:], reply, strict=False)] + [-100]
        ),
        "the last position has no label, so the list is one too short": (
            lambda ids, reply: [
                i if r else -100 for i, r in zip(ids[1:], reply[1:], strict=True)
            ]
        ),
    },
)


def _same(documents):
    documents = torch.tensor(documents)
    return documents[:, None] == documents


packed_mask = Exercise(
    id="10.3",
    cases=[
        Case(
            "two conversations, of one token and of two",
            ([1, 2, 2],),
            torch.tensor([[1, 0, 0], [0, 1, 0], [0, 1, 1]]).bool(),
        ),
        Case(
            "the last place is padding: it sees nothing and nothing sees it",
            ([1, 1, 0],),
            torch.tensor([[1, 0, 0], [1, 1, 0], [0, 0, 0]]).bool(),
        ),
        Case("one token sees itself", ([1],), torch.tensor([[True]])),
    ],
    hints=[
        "Three things must hold for t to see j: which?",
        "documents[:, None] == documents[None], tril() for the past, and the row's "
        "document is not 0.",
        "(d[:, None] == d).tril() & (d > 0)[:, None] is nearly there; make d a "
        "tensor first.",
    ],
    slips={
        "the conversations see each other": lambda d: (
            torch.ones(len(d), len(d)).tril().bool() & (torch.tensor(d) > 0)[:, None]
        ),
        "padding sees padding": lambda d: _same(d).tril(),
        "a token sees what comes after it": lambda d: (
            _same(d) & (torch.tensor(d) > 0)[:, None]
        ),
    },
)


def _next_fit(lengths, max_len):
    rows = []
    for n in lengths:
        if not rows or sum(rows[-1]) + n > max_len:
            rows.append([])
        rows[-1].append(n)
    return rows


def _first_fit(lengths, max_len):
    rows = []
    for n in lengths:
        for row in rows:
            if sum(row) + n <= max_len:
                row.append(n)
                break
        else:
            rows.append([n])
    return rows


first_fit = Exercise(
    id="10.4",
    cases=[
        Case(
            "5 and 3 fill a row of 8, 4 needs a new one",
            ([5, 3, 4], 8),
            [[5, 3], [4]],
        ),
        Case(
            "6, then 7, and 2 still finds room in the first row",
            ([6, 7, 2], 8),
            [[6, 2], [7]],
        ),
        Case(
            "the order given is kept; nothing is sorted",
            ([2, 5, 6, 3], 8),
            [[2, 5], [6], [3]],
        ),
        Case("nothing to pack", ([], 8), []),
    ],
    hints=[
        "Which rows may still take the next conversation, and which comes first?",
        "A loop over rows inside a loop over lengths; for ... else opens a new row.",
        "if sum(row) + n <= max_len: row.append(n); break",
    ],
    slips={
        "only the last row is tried, so gaps in earlier ones stay": _next_fit,
        "a row is left one token short: < in place of <=": lambda lengths, n: (
            _first_fit(lengths, n - 1)
        ),
        "the lengths are sorted first": lambda lengths, n: _first_fit(
            sorted(lengths, reverse=True), n
        ),
        "each conversation gets a row of its own": lambda lengths, n: [
            [x] for x in lengths
        ],
    },
)


def _keep(similar, unlike):
    kept = []
    for i in range(len(similar)):
        if unlike(i, kept):
            kept.append(i)
    return kept


keep_unlike = Exercise(
    id="10.5",
    cases=[
        Case(
            "1 is like 0 and falls out; 2 is like neither",
            ([[1.0, 0.8, 0.1], [0.8, 1.0, 0.2], [0.1, 0.2, 1.0]], 0.7),
            [0, 2],
        ),
        Case(
            "2 is like 1 only, and 1 fell out: 2 stays",
            ([[1.0, 0.9, 0.3], [0.9, 1.0, 0.9], [0.3, 0.9, 1.0]], 0.7),
            [0, 2],
        ),
        Case(
            "3 is like 0, three places before",
            (
                [
                    [1.0, 0.1, 0.1, 0.9],
                    [0.1, 1.0, 0.1, 0.1],
                    [0.1, 0.1, 1.0, 0.1],
                    [0.9, 0.1, 0.1, 1.0],
                ],
                0.7,
            ),
            [0, 1, 2],
        ),
        Case(
            "exactly at the threshold is too like",
            ([[1.0, 0.5], [0.5, 1.0]], 0.5),
            [0],
        ),
    ],
    hints=[
        "With which candidates must a new one be compared: all, or those kept?",
        "A list `kept` that grows; all(...) over it.",
        "if all(similar[i][j] < threshold for j in kept): kept.append(i)",
    ],
    slips={
        "each one is compared with all before it, those that fell out too": (
            lambda s, t: _keep(s, lambda i, kept: all(s[i][j] < t for j in range(i)))
        ),
        "each one is compared with the last one kept only": lambda s, t: _keep(
            s, lambda i, kept: not kept or s[i][kept[-1]] < t
        ),
        "one exactly at the threshold stays": lambda s, t: _keep(
            s, lambda i, kept: all(s[i][j] <= t for j in kept)
        ),
    },
)
