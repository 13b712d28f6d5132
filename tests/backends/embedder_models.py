"""Tiny real models with random weights, and a tiny real embeddings server, made on the spot."""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

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
