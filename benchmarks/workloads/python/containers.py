"""Dictionaries, lists and strings: an index of words is built, changed and dropped. Stands for scripts and data
cleaning."""

from __future__ import annotations

from .common import share, steady

random = steady(2)


def index(words: list[str]) -> dict[str, list[int]]:
    """Where each word stands."""
    places: dict[str, list[int]] = {}
    for at, word in enumerate(words):
        places.setdefault(word, []).append(at)
    return places


def main() -> None:
    """Build texts, split them, index them, join them again."""
    vocabulary = [f"{random.getrandbits(random.choice((16, 32, 64))):x}" for _ in range(20000)]
    held: dict[int, dict[str, list[int]]] = {}
    for turn in range(share(220)):
        text = " ".join(random.choices(vocabulary, k=random.randrange(200, 12000)))
        words = text.upper().split()
        held[turn % 24] = index(words)
        pairs = {(a, b) for a, b in zip(words[::5], words[1::5], strict=False)}
        held[turn % 24][text.replace(" ", "-")[:100]] = sorted(len(a) + len(b) for a, b in pairs)


main()
