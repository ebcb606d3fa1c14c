"""Text <-> tokens, from the vocabulary inside the model file: byte-level BPE as in GPT-2, with
every digit on its own (the pre-tokenizer that model files call "smollm")."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_CONTROL = 3  # token type of markers like <|im_start|>

# The patterns want \p{L} and \p{N}, which re does not have. So they run over a shadow of the text
# in which every letter beyond ASCII is "é", every number "½", every space "\t" and all else "§".
_DIGIT = re.compile("([0-9½])")
_WORD = re.compile(
    r"'(?:s|t|re|ve|m|ll|d)| ?[A-Za-zé]+| ?[0-9½]+| ?[^\sA-Za-zé0-9½]+|\s+(?!\S)|\s+", re.ASCII
)


class Tokenizer:
    """The vocabulary of one model file. ValueError where it is of another kind."""

    def __init__(self, meta: Mapping[str, Any]) -> None:
        kind = meta["tokenizer.ggml.model"], meta["tokenizer.ggml.pre"]
        if kind != ("gpt2", "smollm"):
            raise ValueError(f"a vocabulary of kind {kind}")
        self._texts: Sequence[str] = meta["tokenizer.ggml.tokens"]
        self._ids = {text: number for number, text in enumerate(self._texts)}
        merges = (tuple(merge.split(" ")) for merge in meta["tokenizer.ggml.merges"])
        self._ranks = {pair: rank for rank, pair in enumerate(merges)}
        self._letters = dict(enumerate(_byte_letters()))
        self._bytes = {letter: byte for byte, letter in self._letters.items()}
        types = meta["tokenizer.ggml.token_type"]
        self._control = [text for text, one in zip(self._texts, types, strict=True)
                         if one == _CONTROL]  # fmt: skip
        self._unknown = int(meta["tokenizer.ggml.unknown_token_id"])
        self.end = int(meta["tokenizer.ggml.eos_token_id"])

    def chat(self, system: str, user: str) -> list[int]:
        """A question to the model, in the form it was trained on, up to where it answers."""
        return self.encode(
            f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n{user}<|im_end|>\n"
            "<|im_start|>assistant\n"
        )

    def encode(self, text: str) -> list[int]:
        """Tokens of a text; markers such as <|im_end|> become their one token."""
        parts = re.split("(" + "|".join(map(re.escape, self._control)) + ")", text)
        tokens: list[int] = []
        for index, part in enumerate(parts):
            if index % 2 == 1:
                tokens.append(self._ids[part])
            else:
                for word in split_words(part):
                    tokens += self._merge(word)
        return tokens

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens; bytes that are no UTF-8 become the replacement character."""
        letters = "".join(self._texts[token] for token in tokens)
        return bytes(self._bytes[letter] for letter in letters).decode(errors="replace")

    def _merge(self, word: str) -> list[int]:
        """Join the pair with the lowest rank, until no pair is in the list of merges."""
        parts = [self._letters[byte] for byte in word.encode()]
        never = len(self._ranks)
        while len(parts) > 1:
            ranks = [self._ranks.get(pair, never) for pair in zip(parts, parts[1:], strict=False)]
            best = min(ranks)
            if best == never:
                break
            at = ranks.index(best)
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        return [self._ids.get(part, self._unknown) for part in parts]


def split_words(text: str) -> Iterator[str]:
    """The pieces within which letters are joined."""
    start = 0
    for part in _DIGIT.split("".join(map(_shadow, text))):
        for match in _WORD.finditer(part):
            yield text[start + match.start() : start + match.end()]
        start += len(part)


def _shadow(letter: str) -> str:
    if letter.isascii():
        return letter
    category = unicodedata.category(letter)
    if category[0] in "LN":
        return "é" if category[0] == "L" else "½"
    return "\t" if letter.isspace() else "§"


def _byte_letters() -> list[str]:
    """GPT-2's printable letter for each byte: itself where that is visible, else from U+0100 on."""
    visible = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = iter(range(0x100, 0x200))
    return [chr(byte if byte in visible else next(hidden)) for byte in range(256)]
