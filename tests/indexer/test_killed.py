"""`kill -9` of a build at any moment: the served version stays whole, and the next build carries on."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from indexer.build import versions
from indexer.vector_cache import VectorCache
from tests.indexer.small import Place, documents, page

ROOT = Path(__file__).resolve().parents[2]
BUILD = """
import sys, time
from pathlib import Path
from indexer import build as building, vectors
from tests.indexer.small import HashingEmbedder, Place, fixed_learning
building.learn = fixed_learning()
vectors._CHUNK = 8
class Slow(HashingEmbedder):
    def embed_passages(self, texts, spans):
        time.sleep(0.02)
        return super().embed_passages(texts, spans)
place = Place(Path(sys.argv[1]))
place.embedder = Slow()
place.version = sys.argv[2]
print("begun", flush=True)
place.build()
print("done", flush=True)
"""


def files(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_build_killed_at_any_moment_harms_nothing(place: Place) -> None:
    root, first = place.home.parent, place.version
    assert first
    for number in range(20, 80):
        place.write(f"page{number}.md", page(number))
    rng = random.Random(0)
    resumed = finished = 0
    for _ in range(12):
        whole = files(place.folder)  # anew each time: to open an engine is to write to its folder
        command = [sys.executable, "-c", BUILD, str(root), first]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout and child.stdout.readline() == "begun\n"
            time.sleep(rng.random() * 1.5)
            os.kill(child.pid, signal.SIGKILL)
            finished += "done" in child.stdout.read()
        assert files(place.folder) == whole
        for manifest in versions(place.home):  # the first, and those of builds that were quicker than the kill
            engine = place.home / "versions" / manifest.id / "engine"
            assert engine.is_dir() and manifest.passages > 0
        resumed += cached(place) > 0
        assert documents(place.search("node cluster")[0])
        for manifest in versions(place.home):
            if manifest.id != first:
                shutil.rmtree(place.home / "versions" / manifest.id)
    assert resumed and finished < 12
    kept = cached(place)
    place.embedder.embedded.clear()
    report = place.build()
    assert report.changed and len(place.embedder.embedded) == report.embedded - kept
    assert not list((place.home / "versions").glob(".*"))
    fresh = Place(root / "fresh")
    shutil.copytree(place.pages, fresh.pages, dirs_exist_ok=True)
    fresh.build()
    question = page(33).split("\n\n")[2]
    assert [hit.passage for hit in fresh.search(question)[0].hits] == [
        hit.passage for hit in place.search(question)[0].hits
    ]


def cached(place: Place) -> int:
    path = place.home / "cache" / f"{place.embedder.fingerprint}.db"
    if not path.exists():
        return 0
    cache = VectorCache(path, place.embedder.dimension)
    count = len(cache.get([hit for (hit,) in cache._connection.execute("SELECT id FROM vectors")]))
    cache.close()
    return count
