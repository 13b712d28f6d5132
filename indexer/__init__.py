"""Documents in, searchable passages out. Start with `indexer.build` (in) and `indexer.search` (out)."""
