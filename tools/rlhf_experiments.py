"""Chapter 11's chain over seeds: over-optimisation, and PPO, GRPO, DPO side by side.

A seed has its own demonstrations, comparisons, reward models and policies. Rewards
of the proxy are in standard deviations of the replies before RL, true ones in points.
Long because the whole chain stands in one place.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import islice
from multiprocessing import get_context
from statistics import mean, pstdev

import numpy as np
import torch

from tools.experiments import told
from utils import rlhf
from utils.chat import Turn, chat_batches, reply_loss
from utils.gpt import GPT
from utils.ppo import (
    PPOConfig,
    Scorer,
    comparison_batches,
    comparison_loss,
    ppo,
    preference_loss,
    proxy,
    reply_log_probs,
    rollout,
)
from utils.preferences import Preference
from utils.pretrained import small_gpt
from utils.storytelling import (
    Request,
    demonstrations,
    noise_ceiling,
    prefer,
    requests,
    taste,
)
from utils.tokenizers import Vocab
from utils.training import TrainConfig, seed_all, train

NOISE = 0.5
N_COMPARISONS, N_HELD_OUT, N_TESTS = (2000, 500), 400, 256
N_PROMPTS, N_BEST = 24, 256
LR = 2e-3
# comparisons -> name -> options of PPOConfig; 64 replies a round in each
RUNS = {
    2000: {
        "PPO, no KL": {"kl_weight": 0.0},
        "PPO, KL 0.05": {"kl_weight": 0.05},
        "PPO, KL 0.2": {"kl_weight": 0.2},
        "PPO, KL to 4 nats": {"kl_weight": 0.05, "target_kl": 4.0},
        "GRPO, KL 0.2": {"kl_weight": 0.2, "n_group": 8},
    },
    500: {
        "PPO, no KL": {"kl_weight": 0.0},
        "PPO, KL 0.05": {"kl_weight": 0.05},
        "PPO, KL 0.2": {"kl_weight": 0.2},
    },
}
BETAS = {2000: (0.1, 0.3, 1.0), 500: (0.3, 1.0)}
DPO_STEPS, DPO_LR = 100, 1e-3
DISTANCES = np.arange(0, 10, 0.5)  # square roots of the KL in nats
STAGES = (0, 2, 5, 10, 20, 40, 60)  # KL at which samples are kept


def truth(texts: Sequence[str], replies: Sequence[str]) -> list[float]:
    """The true reward of replies; a request ends in the thing asked for."""
    pairs = zip(texts, replies, strict=True)
    return [taste(Request(text, text.split()[-1]), reply) for text, reply in pairs]


class World:
    """One seed's policy after step 1, its requests and its labellers' comparisons."""

    def __init__(self, seed: int) -> None:
        seed_all(seed)
        self.seed, self.policy, self.vocab = seed, *_fine_tuned(seed)
        self.generator = torch.Generator().manual_seed(seed)
        self.requests = (request.text for request in requests(seed))
        texts = self.asked(max(N_COMPARISONS) + N_HELD_OUT + 200)
        a, b = (self.write(self.policy, texts)[1] for _ in range(2))
        scores = truth(texts, a), truth(texts, b)
        first = prefer(*scores, seed, NOISE)
        pairs = [
            Preference(text, *((x, y) if wins else (y, x)))
            for text, x, y, wins in zip(texts, a, b, first, strict=True)
            if x and y and x != y
        ]
        self.comparisons, self.held_out = pairs[:-N_HELD_OUT], pairs[-N_HELD_OUT:]
        self.texts, self.replies, self.scores = texts, a, scores[0]
        gaps = [x - y for x, y in zip(*scores, strict=True)]
        self.ceiling = noise_ceiling(gaps, NOISE)

    def asked(self, n: int) -> list[str]:
        """The next n requests."""
        return list(islice(self.requests, n))

    def write(self, policy: GPT, texts: Sequence[str]) -> tuple:
        """Reply to each request once."""
        return rollout(policy, self.vocab, texts, generator=self.generator)

    def reward_model(self, n: int) -> tuple[Callable, dict]:
        """Fit one to n comparisons: its standardised score, and how good it is."""
        scorer = Scorer(self.policy)
        batches = comparison_batches(self.comparisons[:n], self.vocab, 32, self.seed)
        config = TrainConfig(
            n_steps=200, lr=3e-3, n_warmup=10, weight_decay=0.1, show_progress=False
        )
        train(scorer, batches, comparison_loss, config)
        score = proxy(scorer, self.vocab)
        prompts = [pair.prompt for pair in self.held_out]
        won, lost = (
            torch.tensor(score(prompts, [pair[side] for pair in self.held_out]))
            for side in (1, 2)
        )
        raw = torch.tensor(score(self.texts, self.replies))
        both = torch.stack([raw, torch.tensor(self.scores)])
        middle, spread = raw.mean(), raw.std()

        def standardised(texts: Sequence[str], replies: Sequence[str]) -> list[float]:
            return ((torch.tensor(score(texts, replies)) - middle) / spread).tolist()

        return standardised, {
            "model": "reward model",
            "variant": f"{n} comparisons",
            "accuracy": round(rlhf.pair_accuracy(won, lost), 3),
            "ceiling": round(self.ceiling, 3),
            "correlation": round(torch.corrcoef(both)[0, 1].item(), 3),
        }

    def exam(self, policy: GPT, score: Callable) -> dict:
        """Measure a policy on fresh requests."""
        texts = self.asked(N_TESTS)
        batch, replies = self.write(policy, texts)
        with torch.no_grad():
            now, entropies = reply_log_probs(policy, batch)
            before, _ = reply_log_probs(self.policy, batch)
        mask = batch.reply[:, 1:]
        found = {
            "kl": rlhf.kl_estimate(now, before, mask).mean().item(),
            "proxy": mean(score(texts, replies)),
            "true": mean(truth(texts, replies)),
            "entropy": rlhf.masked_mean(entropies, mask).item(),
            "length": mask.sum(1).float().mean().item(),
        }
        return {name: round(value, 3) for name, value in found.items()}

    def reinforced(self, score: Callable, n_steps: int, **options) -> dict:
        """PPO or GRPO from the policy of step 1: its exam; without KL, its way."""
        policy, written = copy.deepcopy(self.policy), []
        group = options.get("n_group", 1)
        value = None if group > 1 else Scorer(self.policy)
        # A penalty makes it steady long before.
        n_steps = n_steps if options["kl_weight"] == 0 else 2 * n_steps // 3
        config = PPOConfig(
            n_steps=n_steps,
            n_requests=64 // group,
            lr=LR,
            show_progress=False,
            **options,
        )

        def watch(texts: Sequence[str], replies: Sequence[str]) -> dict:
            some = zip(texts[:3], replies, strict=False)
            written.append([f"{text.split()[-1]}: {reply}" for text, reply in some])
            return {"true": mean(truth(texts, replies))}

        steps = ppo(
            policy, value, self.policy, score, self.requests, self.vocab, config,
            self.seed, watch,
        )  # fmt: skip
        found = self.exam(policy, score)
        if options["kl_weight"] == 0:
            found |= by_distance(steps)
            if self.seed < 2:
                kl = [step["kl"] for step in steps]
                places = [
                    next(i for i, x in enumerate(kl) if x >= stage)
                    for stage in STAGES
                    if stage <= max(kl)
                ]
                found["samples"] = [
                    {"kl": round(kl[i], 1), "replies": written[i]} for i in places
                ]
        return found

    def preferred(self, n: int, beta: float) -> GPT:
        """DPO from the policy of step 1, on n comparisons."""
        policy = copy.deepcopy(self.policy)
        batches = comparison_batches(self.comparisons[:n], self.vocab, 32, self.seed)
        loss = partial(preference_loss, reference=self.policy, beta=beta)
        config = TrainConfig(
            n_steps=DPO_STEPS, lr=DPO_LR, n_warmup=10, show_progress=False
        )
        train(policy, batches, loss, config)
        return policy

    def best_of_n(self, score: Callable) -> dict:
        """Proxy and true reward of the best of n by proxy, for n = 1, 2, 4, …"""
        texts = [text for text in self.asked(N_PROMPTS) for _ in range(N_BEST)]
        replies = [
            reply
            for at in range(0, len(texts), 512)
            for reply in self.write(self.policy, texts[at : at + 512])[1]
        ]
        guessed, true = (
            torch.tensor(f(texts, replies)).view(N_PROMPTS, N_BEST)
            for f in (score, truth)
        )
        ns = [2**k for k in range(N_BEST.bit_length())]
        means = rlhf.best_of_n_means
        return {
            "model": "best of n",
            "variant": f"{max(N_COMPARISONS)} comparisons",
            "n": ns,
            "kl": [round(rlhf.best_of_n_kl(n), 3) for n in ns],
            "proxy": [round(means(guessed, guessed, n), 3) for n in ns],
            "true": [round(means(guessed, true, n), 3) for n in ns],
        }


def by_distance(steps: Sequence[dict]) -> dict[str, list]:
    """Both rewards as functions of the square root of the KL; None where not reached.

    Means over 5 rounds; where the KL falls back, the largest so far counts.
    """
    kl = np.maximum.accumulate([max(0.0, step["kl"]) for step in steps]) ** 0.5
    reached = DISTANCES <= kl[-1]
    found = {}
    for theirs, ours in (("reward", "proxy"), ("true", "true")):
        padded = np.pad([step[theirs] for step in steps], 2, "edge")
        smooth = np.convolve(padded, np.ones(5) / 5, "valid")
        values = np.interp(DISTANCES, kl, smooth).round(3).tolist()
        found[f"{ours}_by_distance"] = [
            value if there else None
            for value, there in zip(values, reached.tolist(), strict=True)
        ]
    return {"distance": DISTANCES.tolist(), **found}


def _fine_tuned(seed: int) -> tuple[GPT, Vocab]:
    """Step 1: 1,000 demonstrations, 200 steps."""
    policy, vocab = small_gpt("stories")
    chats = [
        [Turn("user", request.text), Turn("assistant", story)]
        for request, story in islice(demonstrations(seed), 1000)
    ]
    config = TrainConfig(n_steps=200, lr=2e-3, n_warmup=20, show_progress=False)
    train(policy, chat_batches(chats, vocab, 32, seed), reply_loss, config)
    return policy.eval(), vocab


def runs_of(world: World, n_steps: int) -> Iterator[dict]:
    """Everything that is measured with one seed."""
    for n in N_COMPARISONS:
        score, how_good = world.reward_model(n)
        yield how_good
        if n == max(N_COMPARISONS):
            spread = round(pstdev(world.scores), 3)
            yield {
                "model": "start", **world.exam(world.policy, score), "spread": spread
            }
            yield world.best_of_n(score)
        for name, options in RUNS[n].items():
            found = world.reinforced(score, n_steps, **options)
            yield {"model": name, "variant": f"{n} comparisons", **found}
        for beta in BETAS[n]:
            found = world.exam(world.preferred(n, beta), score)
            name = f"DPO, beta {beta}"
            yield {"model": name, "variant": f"{n} comparisons", **found}


def _one_seed(job: tuple[int, int]) -> list[dict]:
    """All runs of a seed, told as they end."""
    torch.set_num_threads(1)
    seed, n_steps = job
    return [told({"seed": seed, **found}) for found in runs_of(World(seed), n_steps)]


def chain(seeds: Sequence[int], n_steps: int) -> list[dict]:
    """The three steps with each seed, as many at a time as there are cores."""
    jobs = [(seed, n_steps) for seed in seeds]
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        return [found for runs in pool.map(_one_seed, jobs) for found in runs]
