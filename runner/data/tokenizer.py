"""Byte-level BPE: trained by a library, stored as a plain table of raw bytes, loaded by tiktoken. Never a pickle.

The byte count of a token is the length of its raw bytes. Counting `len(decode([id]).encode())` instead would give a
lone UTF-8 fragment three bytes (U+FFFD) and deflate bits per byte (karpathy/autoresearch #484).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.data.errors import DataError

SCHEMA = "autoresearch/tokenizer/1"
# GPT-4's split, with numbers of at most two digits as in nanochat: a small vocabulary has no tokens for more.
PATTERN = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """`tokens[i]` are the raw bytes of token i, for 0 <= i < V - 1; BOS is V - 1 and has none."""

    tokens: tuple[bytes, ...]
    pattern: str = PATTERN

    @property
    def vocab_size(self) -> int:
        return len(self.tokens) + 1

    @property
    def bos_id(self) -> int:
        return len(self.tokens)

    def encoding(self) -> Any:
        """The tiktoken.Encoding."""
        import tiktoken

        ranks = {token: rank for rank, token in enumerate(self.tokens)}
        return tiktoken.Encoding(
            "autoresearch", pat_str=self.pattern, mergeable_ranks=ranks, special_tokens={}
        )

    def save(self, path: Path) -> None:
        table = {
            "schema": SCHEMA,
            "pattern": self.pattern,
            "vocab_size": self.vocab_size,
            "bos_id": self.bos_id,
            "tokens": [token.hex() for token in self.tokens],
        }
        path.write_text(json.dumps(table) + "\n")


def load_tokenizer(path: Path) -> Tokenizer:
    """Raises DataError for anything but a table that `Tokenizer.save` wrote."""
    try:
        table = json.loads(path.read_text())
        if table["schema"] != SCHEMA:
            raise ValueError("another schema")
        return Tokenizer(tuple(bytes.fromhex(token) for token in table["tokens"]), table["pattern"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not a tokenizer table; run `autoresearch data prepare` again") from error


def train(texts: Iterator[str], vocab_size: int) -> Tokenizer:
    """BPE over bytes. Raises DataError when the text is too small for the vocabulary."""
    from tokenizers import Regex, models, pre_tokenizers, trainers
    from tokenizers import Tokenizer as Library

    library = Library(models.BPE())
    library.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - 1, initial_alphabet=alphabet, special_tokens=[], show_progress=False
    )
    library.train_from_iterator(texts, trainer)
    names = sorted(library.get_vocab().items(), key=lambda item: item[1])
    if len(names) != vocab_size - 1:
        raise DataError(
            f"the text is too small for {vocab_size} tokens (it gives {len(names) + 1}): choose a smaller --vocab-size"
        )
    return Tokenizer(tuple(_raw_bytes(name) for name, _ in names))


def encode(tokenizer: Tokenizer, texts: Sequence[str], threads: int = 2) -> list[list[int]]:
    """Tokens of every text, BOS not included; what looks like a special token is plain text."""
    batches: list[list[int]] = tokenizer.encoding().encode_ordinary_batch(list(texts), num_threads=threads)
    return batches


def _raw_bytes(name: str) -> bytes:
    return bytes(_BYTE_OF[character] for character in name)


def _byte_table() -> dict[str, int]:
    """GPT-2's printable stand-ins for bytes, reversed (Radford et al. 2019, encoder.py `bytes_to_unicode`)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table = {chr(byte): byte for byte in printable}
    others = (byte for byte in range(256) if byte not in printable)
    table.update({chr(256 + index): byte for index, byte in enumerate(others)})
    return table


_BYTE_OF = _byte_table()
