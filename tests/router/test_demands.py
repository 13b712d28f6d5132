"""What a question asks for by name, in both languages, and which texts have it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.demands import Demands


@pytest.mark.parametrize(
    ("question", "text", "said"),
    [
        ("polar_bulk_read_size 最大能设成多少？", "默认大小为 128kB。", False),
        ("polar_bulk_read_size 最大能设成多少？", "默认 128kB，不超过 1MB。", True),
        ("What is the maximum length of a name?", "Names are 8 letters long.", False),
        ("What is the maximum length of a name?", "Names have up to 8 letters.", True),
        ("which region is the fastest?", "A region is a group of houses.", False),
        ("which region is the fastest?", "Region 2 is faster than the others.", True),
        ("How long is a name?", "Names are 8 letters long.", True),
        ("How long does a failover take?", "A failover needs the majority of the masters.", False),
        ("How long does a failover take?", "It is over within a few seconds.", True),
        ("How long does a failover take?", "通常在 30 秒内完成。", True),
        ("切换要多久？", "切换时先通知只读节点。", False),
        ("切换要多久？", "一般 2 分钟之内。", True),
        ("What is the default port?", "The port is set by RI_PORT.", False),
        ("What is the default port?", "| RI_PORT | default: 5540 |", True),
        ("默认端口是多少？", "端口由 RI_PORT 决定。", False),
        ("How much does the managed service cost?", "The managed service runs in 12 regions.", False),
        ("How much does the managed service cost?", "The managed service is $20 a month.", True),
        ("How much do they charge?", "Advisers ask for 1% of what they manage.", True),
        ("How much do they charge?", "The fee of an adviser is 1% a year.", True),
        ("How much does the database cost?", "It is 100% compatible and has an availability of 99.9%.", False),
        ("What is the price of a licence?", "A licence is free of charge.", True),
        ("How much memory does it use?", "It takes 3 MB.", True),
        ("How much does a pipeline improve throughput?", "Five times.", True),
        ("企业版多少钱一年？", "企业版支持 24 小时服务。", False),
        ("企业版多少钱一年？", "企业版每年 9800 元。", True),
        ("免费期结束以后要交多少钱？", "这项服务目前免费，之后的费用另行通知。", False),
        ("免费期结束以后要交多少钱？", "这项服务目前免费，之后每年 200 元。", True),
        ("How many dollars does it cost?", "It costs 12 dollars.", True),
        ("What is the price after the free trial?", "A free trial takes 30 days.", False),
        ("备份怎么收费？", "备份按存储量计费。", True),
        ("How many replicas may there be?", "Replicas follow the primary.", False),
        ("How many replicas may there be?", "One of the replicas follows the primary.", False),
        ("How many replicas may there be?", "There may be twelve.", True),
        ("How many replicas may there be?", "There is no limit.", True),
        ("How many slots hold 16 keys?", "16 keys are held by a slot.", False),
        ("How many seconds does moving 1000 slots take?", "We move 1000 slots now.", False),
        ("钉钉群号是多少？", "扫描二维码加入钉钉群。", False),
        ("钉钉群号是多少？", "钉钉群号为 3120。", True),
        ("鏡像佔用多少個連接埠？", "鏡像會使用三個連接埠。", True),
        ("How long may a script run?", "A script may run until it is stopped.", True),
        ("default of hash-max-entries", "hash-max-entries 512", True),
        ("default of hash-max-entries", "hash-max-entries bounds a hash.", False),
        ("Which option keeps the owner?", "The owner is kept.", False),
        ("Which option keeps the owner?", "With --keep-owner it is kept.", True),
        ("Which option of COPY keeps the owner?", "COPY keeps the owner.", False),
        ("哪个参数控制缓存？", "缓存由系统控制。", False),
        ("哪个参数控制缓存？", "由 cache_size 控制。", True),
        ("How do I add a node?", "Nothing is asked for by name.", True),
        ("Is the programme free or do I need to pay?", "The programme helps veterans to eat less.", False),
        ("Is the programme free or do I need to pay?", "It is offered at no charge.", True),
        ("Do I have to pay for backups?", "Backups are made every night.", False),
        ("Is the port free?", "A port in use is not opened again.", True),
        ("企业版收费吗？", "企业版支持 24 小时服务。", False),
        ("企业版是免费的吗？", "企业版需要购买许可。", True),
        ("5.0 计划哪年哪月发布", "5.0 版本将支持多写。", False),
        ("5.0 计划哪年哪月发布", "5.0 版本将于 2023 年发布。", True),
        ("5.0 在哪年发布？", "年底发布。", True),
        ("In which year was it released?", "It was released with 3 new commands.", False),
        ("In which year was it released?", "It came out in 2009.", True),
        ("In what year was he crowned?", "He was crowned in 1610.", True),
        ("In what month are pages moved?", "Pages are moved in July.", True),
        ("Which is faster, RDB or AOF?", "Both RDB and AOF are files.", False),
        ("Which is faster, RDB or AOF?", "A restart with RDB is faster.", True),
        ("SM4 和 AES-256 哪个加解密更快？", "支持 SM4 和 AES-256。", False),
        ("SM4 和 AES-256 哪个加解密更快？", "AES-256 比 SM4 快一倍。", True),
    ],
)
def test_what_a_question_asks_for_by_name_is_spoken_of(question: str, text: str, said: bool) -> None:
    assert Demands.of(question).met(text) is said


@pytest.mark.parametrize(
    "question",
    [
        "How many nodes may a pool have?",
        "一个池最多有多少个节点？",
        "一個池最多有幾個節點？",
        "default port",
        "smlar.threshold 默认值",
        "缓存默认多大",
        "What is the maximum length of a name?",
        "切换要多久？",
        "How much does a licence cost?",
    ],
)
def test_an_answer_begins_with_a_value(question: str) -> None:
    assert Demands.of(question).values.wanted


@pytest.mark.parametrize(
    "question",
    [
        "How do I see how many nodes there are?",
        "Why are there so many nodes, and how many are too many?",
        "Which setting says how long a script may run?",
        "怎么恢复几天前的备份？",
        "这几个节点怎么重启？",
        "这几天的备份还在吗？",
        "哪几个参数可以改？",
        "保留几天由哪个参数控制？",
        "What happens by default when a key expires?",
        "默认情况下会写日志吗？",
        "What happens when the maximum number of clients is reached?",
        "ERR max number of clients reached",
        "exceeded the maximum packet size",
        "Invalid default value for 'created_at'",
        "默认值不生效",
        "Change default port",
        "修改默认端口号",
        "reset to the default value",
        "add a column with a default value",
        "给字段加默认值",
        "設定預設值",
        "查看当前有多少个连接",
        "查询表有多大",
        "check how many connections are open",
        "See how much memory a key uses",
        "限制每个用户多少个连接",
        "删除几天前的备份",
        "没多久就掉线了",
        "不管多久都没有响应",
        "Can I limit how many connections a user opens?",
        "Does it matter how many replicas I have?",
        "可以限制每个用户多少个连接吗",
        "支持设置几个只读节点吗",
        "What determines how many replicas I need?",
        "What affects how long a failover takes?",
        "how high availability works",
        "how large objects are stored",
        "how long polling works",
        "how long running transactions block vacuum",
        "how many-to-many relations are modeled",
        "启用多重身份验证",
        "多重认证是什么",
        "多高可用区",
        "多快照备份",
        "多远程仓库",
    ],
)
def test_an_answer_begins_with_something_else(question: str) -> None:
    assert not Demands.of(question).values.wanted


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("企业版多少钱？", "企业版免费。"),
        ("多少钱，是免费的吗？", "企业版免费。"),
        ("企业版免费还是收费，多少钱？", "企业版免费。"),
        ("Do I get it for free or how much does it cost?", "You get it for free."),
        ("原价100元的套餐续费多少钱？", "续费80元一年。"),
        ("How much does the $50 plan cost after the trial?", "It costs $59 a month."),
        ("How much does the 10 usd plan cost now?", "It costs 20 USD."),
        ("費用多少錢？", "免費。"),
        ("服务费用多少？", "不收取任何费用。"),
        ("备份保留多少天？", "备份永久保留。"),
        ("证书有效期是几年？", "证书有效期一年。"),
        ("试用期是几天？", "试用期为一周。"),
        ("How many days are logs kept?", "Logs are kept forever."),
        ("How many days are backups kept?", "They are kept for a week."),
        ("What is the default port of Redis?", "Redis listens on port 6379."),
        ("默认端口是多少？", "服务监听 5432 端口。"),
        ("timeout 默认值", "timeout = 300"),
        ("maxclients default", "maxclients 10000"),
        ("default value of idle-timeout?", "idle-timeout: -1"),
        ("default value of maxmemory-samples?", "maxmemory-samples is 5 unless you change it."),
        ("I have 3 masters, how many replicas do I need?", "You need 3 replicas."),
        ("3 个主节点需要多少个副本？", "需要 3 个副本。"),
        ("How many connections may there be?", "There are no limits on connections."),
        ("最多多少个连接？", "连接数不受限制。"),
        ("最多多少个连接？", "没有数量限制。"),
        ("How many masters must agree?", "A majority of the masters must agree."),
        ("需要多少个节点投票？", "需要过半数节点投票。"),
        ("多少个节点要确认", "所有节点都要确认"),
        ("数据有几个副本", "三副本存储"),
        ("支持多少并发连接", "支持一万个并发连接"),
        ("数据库能有多大", "PB 级"),
        ("占多少内存", "内存的四分之一"),
        ("线程有多少个", "与 CPU 核数一致"),
        ("切换要多久", "秒级故障切换"),
        ("How long does a failover take?", "It happens within seconds."),
        ("How often are backups made?", "Backups run at 02:00."),
        ("多久备份一次", "凌晨自动备份"),
        ("多久更新一次", "每季度"),
        ("How often is the AOF flushed?", "after every write"),
        ("How long can a Redis key be?", "up to 512 MB"),
        ("数据多长时间同步一次？", "数据实时同步。"),
    ],
)
def test_a_value_may_be_said_in_many_ways(question: str, text: str) -> None:
    assert Demands.of(question).values.touched(text)


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("切换要多久？", "该参数分为静态和动态两类。"),
        ("切换要多久？", "写入参数日志"),
        ("切换要多久？", "函数分析"),
        ("How long does it take?", "A second replica takes over."),
        ("How long does it take?", "The following pages describe this."),
        ("How many replicas?", "Once the replicas have joined, they follow."),
        ("How many replicas?", "Use single quotes"),
        ("How many replicas?", "Double-click it"),
        ("副本有多少", "副本与主节点的配置相同"),
        ("副本有多少", "副本名称唯一"),
        ("How much does it cost?", "$ redis-cli"),
        ("How much does it cost?", "Feel free to contact us"),
        ("多少钱", "需要 3 块磁盘"),
    ],
)
def test_what_only_sounds_like_a_value_is_none(question: str, text: str) -> None:
    values = Demands.of(question).values
    assert values.wanted and not values.touched(text)


@pytest.mark.parametrize(
    ("question", "quotes", "there"),
    [
        (
            "smlar.type 默认值",
            "- `smlar.type STRING`：公式，可选：\n  - cosine（默认）\n  - [overlap](https://a.b_c)",
            True,
        ),
        ("smlar.limit 默认值", "- smlar.limit FLOAT\n判断两个数组是否相似。", False),
        ("smlar.cache 默认值是啥", "- cosine（默认）\n- smlar.cache BOOL\n缓存是否在内存中。", False),
        ("smlar.cache 默认值是啥", "- smlar.cache BOOL\n缓存在内存中。\n- smlar.type，默认 cosine", False),
        (
            "smlar.cache 默认值是啥",
            "缓存默认在内存中。",
            True,
        ),  # the quotes do not name it, so nothing says where it stands
        ("work_mem 默认多大", "work_mem = 4MB", True),
        ("default of max_size?", "| max_size | how much fits |\n| min_size | 3 by default |", False),
        ("default of max_size?", "max_size\n\n    How much fits; 9 by default.", True),
        ("wait_timeout 最大能设到多少秒？", "- wait_timeout：等待被服务的最大时间，默认 60 秒", False),
        ("wait_timeout 最大能设到多少秒？", "- wait_timeout：等待的时间，默认 60 秒，取值范围 1 到 600", True),
        ("log_size 最大可以調到多少", "| log_size | alter system | 8MB | 保留大小 |\n文档 > 参数", False),
        ("log_size 上限是多少", "| log_size | [1-512] | 8MB |", True),
        ("log_size 上限是多少", "log_size 不能超过 1GB。", True),
        ("What is the maximum value of max_size?", "max_size: 16 by default.", False),
        ("What is the maximum value of max_size?", "max_size: 16 by default, up to 512.", True),
        ("缓存由哪个参数控制？", "由 cache_size 控制", True),
        ("缓存由哪个参数控制？", "遍历的长度可以通过 GUC 参数控制，默认为 8。", False),
        ("對應的 GUC 叫什麼名字", "遍历的长度可以通过 GUC 参数控制。", False),
        ("保留进程数是哪个参数控制的", "按 `<user, database>` 划分；可以打开（`on`）", False),
        ("Which setting controls the cache?", "The cache is controlled by a setting.", False),
        ("Which setting controls the cache?", "See `cache`.", True),
        ("Which setting controls the cache?", "Start it with --cache 3.", True),
        ("Which non-blocking mode is used by default?", "Non-blocking by design.", True),
        ("How do I set work_mem?", "It can be set.", True),
    ],
)
def test_what_is_asked_of_a_setting_stands_where_it_is_named(question: str, quotes: str, there: bool) -> None:
    assert Demands.of(question).beside_names([quotes]) is there


def test_a_default_in_another_quote_is_of_something_else() -> None:
    default = Demands.of("smlar.limit 默认值")
    assert default.beside_names(["- smlar.limit FLOAT\n相似度阈值\n- FALSE（默认）"])
    assert not default.beside_names(["- smlar.limit FLOAT\n相似度阈值", "- FALSE（默认）"])


def test_headings_say_a_default_and_no_figure() -> None:
    default, figure = Demands.of("default of max_size").values, Demands.of("How many nodes may there be?").values
    assert default.met("- max_size: 9", "Defaults") and not default.met("- max_size: nine letters")
    assert not figure.touched("Nodes may be added.", "Version 6.2")


@given(st.text(), st.text())
def test_any_text_can_be_asked_and_searched(question: str, text: str) -> None:
    demands = Demands.of(question)
    assert set(demands.values.wanted) <= set(demands.wanted)
    assert demands.met(text) or demands.wanted
    assert demands.beside_names([text]) in (True, False)


@pytest.mark.parametrize(
    "part", ["default of a-b ", "how many ", "a-", "_a.", "最大多少", "--a", "12 ", "x", "A1", "/a", "`"]
)
def test_long_texts_take_no_time(part: str) -> None:
    begun = time.perf_counter()
    long = (part * 20_000)[:20_000]
    demands = Demands.of(f"default of max_size, which option sets it, how many, how long? {long}")
    demands.met(long)
    demands.beside_names([f"max_size\n{long}\n"] * 3)
    assert time.perf_counter() - begun < 2.0  # a square of the length is 5 seconds and more
