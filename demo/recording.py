"""Recorded K/V of the model: the file's contents, and where it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from demo.caches import Block

PATH = Path(__file__).with_name("recorded.npz")
LAYERS = (0, 10, 20, 29)  # of the model's 30: what is recorded
ATTENDED = (1, 3)  # indices into LAYERS: where queries are recorded too
HEADS = (0, 3, 6)  # of the model's 9: one for each K/V head


@dataclass(frozen=True)
class Recording:
    """Four sequences: their prompts, then one token a step.

    kv       one [layer][2][kv head][token][dim] for each sequence, f16, prompt and answer
    queries  [step][attended layer][sequence][head][dim], f16, in the model's own order of heads
    seen     [step][attended layer][sequence][head * dim], f16: what attention made of them
    """

    model: str
    prompts: list[str]
    pieces: list[list[str]]  # the answers' tokens, as text
    tokens: list[list[int]]  # of prompt and answer, as many as kv has
    prompt_lengths: list[int]
    kv: list[Block]
    queries: npt.NDArray[np.float16]
    seen: npt.NDArray[np.float16]

    @property
    def steps(self) -> int:
        return len(self.queries)

    def save(self, path: Path) -> None:
        fields = vars(self) | {"kv": 0, "pieces": 0, "tokens": 0}
        for index, block in enumerate(self.kv):
            fields[f"kv{index}"] = block
            fields[f"pieces{index}"] = np.array(self.pieces[index])
            fields[f"tokens{index}"] = np.array(self.tokens[index], dtype=np.int32)
        np.savez_compressed(path, **fields)


def load(path: Path = PATH) -> Recording:
    """OSError or KeyError where the file is not such a recording."""
    with np.load(path, allow_pickle=False) as file:

        def each(name: str) -> list[Any]:
            return [file[f"{name}{index}"] for index in range(len(file["prompts"]))]

        return Recording(
            model=str(file["model"]),
            prompts=file["prompts"].tolist(),
            pieces=[one.tolist() for one in each("pieces")],
            tokens=[one.tolist() for one in each("tokens")],
            prompt_lengths=file["prompt_lengths"].tolist(),
            kv=each("kv"),
            queries=file["queries"],
            seen=file["seen"],
        )
