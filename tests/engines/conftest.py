"""Both engines, for tests that are the same for both.

No Qdrant server is at hand where these tests run: qdrant-client's local mode, the library's own Python model of a
server, stands in for it. What it cannot show: the network, the server's own indexing, several nodes. Set
ANSWERLOOP_TEST_QDRANT_URL to run the very same tests against a real server.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from indexer.backends.qdrant_edge import EdgeIndex
from indexer.backends.qdrant_server import QdrantEngines
from router.ports import Engines


@pytest.fixture(params=["edge", "server"])
def engines(request: pytest.FixtureRequest) -> Iterator[Engines]:
    if request.param == "edge":
        yield EdgeIndex
    else:
        yield QdrantEngines(os.environ.get("ANSWERLOOP_TEST_QDRANT_URL", ":memory:"), prefix="answerloop-test")
