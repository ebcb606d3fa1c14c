"""The demo without the model: its recorded K/V, step by step through truekvd."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import truekv

from demo import checks, daemon, recording
from demo.caches import Block, DaemonCaches
from demo.checks import FAULT, expect
from demo.model import attend
from demo.recording import ATTENDED, LAYERS, Recording
from demo.screen import Screen, one_line

FAULT_FIRST, FAULT_STEPS = 8, 8
NEAR = 0.01  # attention is recorded as f16, which rounds values up to 8 by up to 0.004


@dataclass
class Found:
    """How a replay differs from the recording, by sequence: K/V bytes of all that was read, and
    the largest difference of attention."""

    read: list[int]
    wrong: list[int]
    attention: list[float]


def show(screen: Screen, place: daemon.Place, command: Path | None) -> None:
    """The whole demo. Failed, DaemonFailed or a TruekvError where something does not hold."""
    tape = recording.load()
    layers, _, heads, _, dim = tape.kv[0].shape
    told = daemon.CacheModel("smollm2-135m-recorded", layers, heads, dim)
    _introduce(screen, tape)
    with (
        daemon.running(place, told) as address,
        truekv.Client(address, timeout=daemon.TIMEOUT_S) as kv,
    ):
        _good_replay(screen, kv, tape)
        _broken_replay(screen, kv, tape)
        screen.title("4. debug.verify says which bug it is")
        checks.fault_is_named(screen, kv, address, command)


def _introduce(screen: Screen, tape: Recording) -> None:
    screen.title("1. Recorded K/V of a real language model")
    screen.say(
        f"{tape.model} was asked four questions at once. Here are K and V of {len(LAYERS)} of its "
        f"30 layers ({', '.join(map(str, LAYERS))}), for each token of the questions and for the "
        f"first {tape.steps} of each answer:"
    )
    for prompt, pieces in zip(tape.prompts, tape.pieces, strict=True):
        screen.say(f"{prompt} - {one_line(''.join(pieces))} ...")


def _good_replay(screen: Screen, kv: truekv.Client, tape: Recording) -> None:
    screen.title("2. Four sequences at once, their K/V caches in truekvd")
    screen.say(
        "Each layer of each step appends the K and V of all four with one seq.append, and reads "
        "all of it back. Every byte must be the recorded one, and attention with the recorded "
        "queries must come to what the model's came to."
    )
    with screen.timed("replayed through truekvd"):
        found = replay(screen, kv, tape, first=11, fault=False)
    expect(not any(found.wrong), f"{sum(found.wrong)} bytes came back wrong")
    screen.say(
        f"All {sum(found.read):,} bytes that were read are right. Attention differs by at most "
        f"{max(found.attention):.4f}, which is rounding."
    )
    expect(max(found.attention) < NEAR, "attention is not what was recorded")
    checks.all_well(screen, kv)


def _broken_replay(screen: Screen, kv: truekv.Client, tape: Recording) -> None:
    screen.title("3. The same four, with a bug in the batched kernel")
    screen.say(
        f"debug.inject arms {FAULT} for {FAULT_STEPS} steps: each item of a batch gets the pointer "
        "of the last one. truekvd goes on answering as if nothing were wrong."
    )
    with screen.timed("replayed through truekvd, with the fault"):
        found = replay(screen, kv, tape, first=21, fault=True)
    rows = zip(found.read, found.wrong, found.attention, strict=True)
    for seq, (read, wrong, off) in enumerate(rows, 21):
        screen.say(
            f"Sequence {seq}: {wrong:,} of {read:,} bytes that were read are wrong, and attention "
            f"is off by up to {off:.4f}."
        )
    screen.say("The last one is unharmed: the pointer that all get is its own.")
    expect(any(found.wrong), "the fault changed no byte")


def replay(screen: Screen, kv: truekv.Client, tape: Recording, first: int, fault: bool) -> Found:
    """Append prompts, then a token a step, and compare what comes back after each."""
    seqs = list(range(first, first + len(tape.kv)))
    caches = DaemonCaches(kv, seqs)
    found = Found([0] * len(seqs), [0] * len(seqs), [0.0] * len(seqs))
    for step in range(tape.steps + 1):
        screen.progress(f"step {step} of {tape.steps}")
        if fault and step == FAULT_FIRST:
            kv.inject(FAULT, batches=FAULT_STEPS * len(LAYERS))
        for layer in range(len(LAYERS)):
            parts = [_part(tape, index, layer, step) for index in range(len(seqs))]
            caches.append(seqs, layer, parts)
            _compare(tape, step, layer, caches.read(seqs, layer), found)
    return found


def _part(tape: Recording, index: int, layer: int, step: int) -> Block:
    """What a step appends: in step 0 the prompt, then one token."""
    prompt = tape.prompt_lengths[index]
    tokens = slice(0, prompt) if step == 0 else slice(prompt + step - 1, prompt + step)
    return tape.kv[index][layer : layer + 1, :, :, tokens]


def _compare(tape: Recording, step: int, layer: int, cached: list[Block], found: Found) -> None:
    for index, got in enumerate(cached):
        length = tape.prompt_lengths[index] + step
        want = tape.kv[index][layer : layer + 1, :, :, :length]
        expect(got.shape == want.shape, f"read {got.shape}, not {want.shape}")
        found.read[index] += got.nbytes
        found.wrong[index] += int(np.count_nonzero(_bytes(got) != _bytes(want)))
        if step > 0 and layer in ATTENDED:
            at = ATTENDED.index(layer)
            query = tape.queries[step - 1, at, index].astype(np.float32)
            off = np.abs(attend(query[None], got[0])[0] - tape.seen[step - 1, at, index])
            found.attention[index] = max(found.attention[index], float(off.max()))


def _bytes(block: Block) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(block).view(np.uint8)
