"""The PolarDB FAQ's questions and their paraphrases as a question file, for fitting the confidence.

    python -m tests.bench.faq_questions > FILE

What an answer from the documents must hold was written by hand, one key for each entry.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.bench.retrieval import rows

KEYS = """restartIns restartCluster forceRebuild migrate switchRw followerNum extendStorage classInfoModifyTo
flushParams interrupt.recover kubectl_delete_mpdcluster pvcs 4GB POLARDB_USER --network=host mkfs start_pfsd.sh
WAL_日志 ecs.g7se
growfs polar_vfs_disk_expansion promote 共享数据目录 --polardata 独立的共享存储 pg_stat_activity total_time
pg_cancel_backend 95 CREATE_EXTENSION_vector FLASHBACK_TABLE 物化视图 polar_enable_flashback_log WAL_日志
--cluster-passphrase-command polar_tde_update_kmgr_file polar_bulk_read_size 3_分钟 polar_px_use px_build""".split()
"""By the entry's number, from 1; "_" is left out when keys are compared."""
UNANSWERED = (
    "RO 节点最多能加几个？",
    "备份文件能保留多少天？",
    "pgvector 怎么升级到新版本？",
    "怎么限制只有某些 IP 能连接数据库？",
    "怎么找出占用磁盘空间最多的 5 张表？",
    "已有的非加密集群怎么转成 TDE 加密？",
    "怎么取消一个正在执行的操作？",
)
"""Near misses that the documents do not answer either."""


def questions() -> Iterator[dict[str, Any]]:
    entries = {row["faq_id"]: row for row in rows("polardb_faq")}
    asked = [(row["question"], row["faq_id"]) for row in entries.values()]
    asked += [(row["query"], row["gold_faq"]) for row in rows("polardb_faq_queries_dev") if row["gold_faq"]]
    for question, entry in asked:
        key = KEYS[int(entry.rpartition("-")[2]) - 1]
        yield {"question": question, "answer_keys": [key], "doc_id": entries[entry]["source"]}
    for question in UNANSWERED:
        yield {"question": question, "answerable": False}


def main() -> None:
    for row in questions():
        print(json.dumps(row, ensure_ascii=False))


if __name__ == "__main__":
    main()
