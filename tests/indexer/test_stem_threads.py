"""The search thread and the event loop analyse text at the same time."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

from indexer.analysis import stem

_STARTS = "hesit generaliz condition relat operat digit electric adjust depend differ probat effect".split()
_ENDS = "ing ed ation ational iveness fulness ously izer ements ences".split()
WORDS = [f"{start}{end}{more}" for start in _STARTS for end in _ENDS for more in ("", "s", "ly", "ness")]


def test_a_stem_does_not_depend_on_what_other_threads_stem() -> None:
    bare = stem.__wrapped__  # without the cache, so that every call works
    alone = [bare(word) for word in WORDS]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda _: [bare(word) for word in WORDS], range(8)))
    finally:
        sys.setswitchinterval(before)
    assert all(one == alone for one in found)
