"""Record K/V of the model for demos without it: python3 -m demo.record [--output FILE]

The four questions of the live demo are answered greedily, in one batch. Of four of the model's
thirty layers, K and V of every token of prompts and answers are kept as f16; of two of these layers
and three of nine heads, also each step's queries and what attention made of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from demo import live, recording
from demo.caches import Block, LocalCaches
from demo.decode import greedy
from demo.gguf import File
from demo.model import Array, Model, attend
from demo.recording import ATTENDED, HEADS, LAYERS, Recording
from demo.tokenizer import Tokenizer

STEPS = 24


class Recorder(LocalCaches):
    """Local caches that also write down what attention is asked in a decode step."""

    def __init__(self, seqs: Iterable[int], shape: tuple[int, int, int, int]) -> None:
        super().__init__(seqs, shape)
        self.queries: list[npt.NDArray[np.float16]] = []  # by step, layer, sequence
        self.seen: list[npt.NDArray[np.float16]] = []
        self._layer = 0

    def read(self, seqs: Sequence[int], layer: int) -> list[Block]:
        self._layer = layer
        return super().read(seqs, layer)

    def attend(self, q: Array, kv: Block) -> Array:
        if len(q) == 1 and self._layer in [LAYERS[index] for index in ATTENDED]:
            asked = q[:, HEADS].astype(np.float16)
            self.queries.append(asked[0])
            self.seen.append(attend(asked.astype(np.float32), kv)[0].astype(np.float16))
        return attend(q, kv)


def record(model: Model, tokenizer: Tokenizer, name: str) -> Recording:
    prompts = live.questions(tokenizer, first=0)
    s = model.shape
    caches = Recorder(prompts, (s.layers, s.kv_heads, live.CAPACITY, s.head_dim))
    model.attend = caches.attend
    run = greedy(model, caches, prompts, STEPS, None, lambda step: None)
    answers = [tokens[:STEPS] for tokens in run.tokens.values()]  # the last one has no K/V yet
    layers = [caches.read(list(prompts), layer) for layer in LAYERS]
    shape = (STEPS, len(ATTENDED), len(prompts))
    return Recording(
        model=name,
        prompts=[live.QUESTION.format(subject) for subject in live.SUBJECTS],
        pieces=[[tokenizer.decode([token]) for token in answer] for answer in answers],
        tokens=[prompt + answer for prompt, answer in zip(prompts.values(), answers, strict=True)],
        prompt_lengths=[len(prompt) for prompt in prompts.values()],
        kv=[np.concatenate(blocks) for blocks in zip(*layers, strict=True)],
        queries=np.stack(caches.queries).reshape(*shape, len(HEADS), s.head_dim),
        seen=np.stack(caches.seen).reshape(*shape, len(HEADS) * s.head_dim),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, metavar="GGUF", help="if not the package's")
    parser.add_argument("--output", type=Path, default=recording.PATH, metavar="FILE")
    given = parser.parse_args()
    path = live.find_model(given.model)
    file = File(path)
    record(Model(file), Tokenizer(file.meta), path.stem).save(given.output)
    print(f"{given.output}: {given.output.stat().st_size} bytes")


if __name__ == "__main__":
    main()
