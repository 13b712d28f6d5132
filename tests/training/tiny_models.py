"""The demo ships the maker of tiny models; tests take it from there."""

from services.training.tiny import CHATML, FAMILIES, SPECIAL, make, make_tokenizer

__all__ = ["CHATML", "FAMILIES", "SPECIAL", "make", "make_tokenizer"]
