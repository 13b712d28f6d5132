"""`make loop-demo`: documents → index → review → dataset → LoRA → merged → judged → promoted → vLLM → answers.

Everything through the front doors: the command line and HTTP. The base is a tiny model made on the spot (nothing is
downloaded), so what it says is no measure of what a real one says; that every step happens, and what the gates decide,
is. It takes minutes on two cores. What is kept lies in var/loop-demo, which is made anew each time.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import httpx

from deploy import loop_documents
from deploy.demo import COMMAND, DemoFailed, fetched, free_port, out
from deploy.loop_client import asked, inputs, streamed
from router import prompt, wording
from router.errors import AnswerloopError
from services.running import running_server
from services.settings import PREFIX

ROOT = Path(__file__).resolve().parent.parent
START_S, MODEL_S = 90, 300  # until a server answers; until its vLLM does
ASKED = "拿铁几点开始有？"
PARAPHRASE = "什么时候开始有拿铁？"
UNSEEN = 4  # questions of the test set that are asked over HTTP
REVIEWED = "咖啡机早上七点开启，那时开始有拿铁。"
PORT = 8090


@dataclass(frozen=True, slots=True)
class Sizes:
    """Of the tiny model and its training. curve: clusters of the learning curve."""

    parts: int = 28
    hidden: int = 128
    layers: int = 3
    pretraining: int = 800
    epochs: float = 12.0
    curve: tuple[int, ...] = (0, 100)
    curve_epochs: float = 3.0
    window: int = 256
    answer: int = 80


@dataclass(frozen=True, slots=True)
class Demo:
    """python: of the environment that has vLLM, "" for this one."""

    home: Path
    sizes: Sizes
    vllm_python: str = ""

    @property
    def docs(self) -> Path:
        return self.home / "docs"

    @property
    def candidate(self) -> Path:
        return self.home / "home" / "models" / "candidates" / "tiny-1"

    def run(self, *arguments: str | Path, allowed: tuple[int, ...] = (0,)) -> dict[str, Any]:
        """An `answerloop` command with --json; what it printed. Raises `DemoFailed`."""
        command = [*COMMAND, *map(str, arguments), "--json"]
        done = subprocess.run(command, env=self.environment(), cwd=ROOT, stdout=subprocess.PIPE, check=False)
        if done.returncode not in allowed:
            raise DemoFailed(f"`answerloop {' '.join(map(str, arguments[:3]))}` failed; the reason stands above.")
        printed: dict[str, Any] = json.loads(done.stdout)
        return printed

    def environment(self) -> dict[str, str]:
        """No setting of yours reaches the demo."""
        others = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        own = {"HOME": str(self.home / "home"), "LOG_LEVEL": "warning", "CORPUS_SECONDS": "3"}
        own |= {"VLLM_PYTHON": self.vllm_python, "MODEL_ANSWER_TOKENS": str(self.sizes.answer)}
        return others | {f"{PREFIX}{name}": value for name, value in own.items()}


def run(demo: Demo) -> dict[str, Any]:
    """The whole demo. Returns what it found, for tests. Raises `DemoFailed`."""
    shutil.rmtree(demo.home, ignore_errors=True)
    found: dict[str, Any] = {}
    for name, step in STEPS:
        began = time.monotonic()
        out.print(f"\n[bold]{name}[/]")
        found |= step(demo, found)
        out.print(f"[dim]{time.monotonic() - began:.0f} s[/]")
    return found


# --- documents, review ------------------------------------------------------------------------------------------------


def index_documents(demo: Demo, _found: Mapping[str, Any]) -> dict[str, Any]:
    loop_documents.write(demo.docs, loop_documents.PARTS[: demo.sizes.parts])
    (demo.docs / loop_documents.NEW_PAGE).write_text(loop_documents.NEW_TEXT, "utf-8")
    report = demo.run("index", "--source", f"docs={demo.docs}")
    out.print(f"{report['documents']} documents, {report['passages']} passages, release {report['release']}")
    return {"documents": report["documents"]}


def review(demo: Demo, _found: Mapping[str, Any]) -> dict[str, Any]:
    """Not known → a person decides once, in the console → the same question and a paraphrase are answered."""
    with server(demo) as client:
        first = asked(client, ASKED)
        item = first["review"]["item_id"]
        if item is None:
            raise DemoFailed(f"{ASKED} was expected to go to people; it was answered: {first['answer']}")
        made = decide(client, item)
        out.print(f"  a person decides in the console: {made['kind']}, curated entry {made['entry_id']}")
        again, paraphrase = asked(client, ASKED), asked(client, PARAPHRASE)
    routes = {"first": first["route"], "again": again["route"], "paraphrase": paraphrase["route"]}
    return {"review": routes, "entry": made["entry_id"]}


def decide(client: httpx.Client, item: str) -> dict[str, Any]:
    """As a reviewer does it on the item's page: searches, ticks the passage that holds the answer, writes the answer,
    sends the form. Returns the verdict."""
    where = f"/console/items/{item}"
    page = client.get(where, params={"find": "咖啡机 自动开启"})
    fields = {name: value for name, value in inputs(page.text) if name in {"csrf", "request_key"}}
    offered = [value for name, value in inputs(page.text) if name == "evidence"]
    ticked = next(one for one in offered if json.loads(one)["source"].endswith(loop_documents.NEW_PAGE))
    filled = {**fields, "kind": "corrected", "answer": REVIEWED, "evidence": ticked, "comment": "loop demo"}
    sent = client.post(f"{where}/verdict", data=filled)
    if sent.status_code != httpx.codes.SEE_OTHER:
        raise DemoFailed(f"the console did not take the verdict: {sent.status_code}")
    verdict: dict[str, Any] = fetched(client, f"/review/items/{item}")["verdicts"][0]
    return verdict


# --- dataset, training ------------------------------------------------------------------------------------------------


def build_dataset(demo: Demo, _found: Mapping[str, Any]) -> dict[str, Any]:
    """The tokenizer counts the rows, so the model comes first, with random weights."""
    from services.training import tiny

    texts = [path.read_text("utf-8") for path in sorted(demo.docs.rglob("*.md"))]
    shape = {"hidden": demo.sizes.hidden, "layers": demo.sizes.layers}
    tiny.make(demo.home / "base", "qwen3", texts + PHRASES, whole=always(), **shape)
    sizes = ("--window", str(demo.sizes.window), "--answer", str(demo.sizes.answer))
    manifest = demo.run("dataset", "build", "--out", demo.home / "data", "--base", demo.home / "base", *sizes)
    certificate = demo.run("dataset", "check", demo.home / "data")
    out.print(f"{manifest['rows']} rows, {manifest['splits']}, leaks: {len(certificate['leaks'])}")
    return {"rows": manifest["rows"], "leaks": certificate["leaks"], "made": manifest["made"]}


PHRASES = [
    "system\nuser\nassistant", "What is the default value of X?",
    "X 的默认值是多少？", "不设置 X 时，它的默认值是多少？", "默认是多少？",
]  # fmt: skip
"""What prompts say beside the documents, so that the tokenizer knows it."""


def always() -> list[str]:
    """The lines of every prompt."""
    tags = [f"{opening}{tag}>" for tag in ("passage", "question") for opening in ("<", "</")]
    systems = [one.system.replace("{refusal}", "").splitlines() for one in prompt.TEMPLATES.values()]
    asking = [line for one in prompt.TEMPLATES.values() for line in (one.asks, one.nothing)]
    return [*tags, *chain.from_iterable(systems), *asking, *wording.REFUSAL.values()]


def pretrain(demo: Demo, _found: Mapping[str, Any]) -> dict[str, Any]:
    """A base that has read the documents, without the sections of the test rows, and seen prompts, without answers."""
    from services.training import jsonl, tiny

    texts = [row["text"] for _, row in jsonl.read(demo.home / "data" / "text.jsonl")]
    chats = [row["messages"][:-1] for _, row in jsonl.read(demo.home / "data" / "train.jsonl")]
    shown = ["".join(f"<|im_start|>{one['role']}\n{one['content']}<|im_end|>\n" for one in chat) for chat in chats]
    opened = [f"{one}<|im_start|>assistant\n" for one in shown]
    tiny.pretrain(demo.home / "base", texts * 3 + opened, demo.sizes.pretraining, lambda *_: None)
    return {}


def train(demo: Demo, _found: Mapping[str, Any]) -> dict[str, Any]:
    where = ("--base", demo.home / "base", "--out", demo.home / "training")
    wide = ("--rank", "64", "--alpha", "128")  # a base that can do next to nothing has nearly everything to learn
    how = (*_pace(demo.sizes.epochs, "0.002"), *wide, "--patience", "0", "--dropout", "0")
    report = demo.run("train", "model", demo.home / "data", *where, *how)
    losses = list(report["valid_losses"].values())
    out.print(f"{report['steps']} steps, validation loss {losses[0]:.2f} → {losses[-1]:.2f}")
    return {"valid_losses": losses, "adapter": report["adapter"]}


def _pace(epochs: float, rate: str) -> tuple[str, ...]:
    """A tiny model learns at a higher rate than the defaults, which are for real ones."""
    return ("--epochs", str(epochs), "--learning-rate", rate, "--batch", "8", "--accumulation", "1")


# --- judged, promoted -------------------------------------------------------------------------------------------------


def curve(demo: Demo, _found: Mapping[str, Any]) -> dict[str, Any]:
    sizes = ",".join(map(str, demo.sizes.curve))
    report = demo.run(
        "models", "curve", "--data", demo.home / "data", "--base", demo.home / "base", "--out", demo.home / "curve",
        "--sizes", sizes, "--unreviewed", *_pace(demo.sizes.curve_epochs, "0.004"),
    )  # fmt: skip
    for one in report["points"]:
        out.print(
            f"  {one['clusters']:>4} clusters: F1 {one['f1']:.2f} ({one['low']:.2f}–{one['high']:.2f}), {one['says']}"
        )
    return {"curve": report["points"]}


def promote(demo: Demo, found: Mapping[str, Any]) -> dict[str, Any]:
    """One command: merged, judged on questions that it has not seen, registered, and served if it has earned it."""
    new = ("--adapter", found["adapter"], "--base", demo.home / "base")
    result = demo.run("promote", "tiny-1", "--data", demo.home / "data", *new, allowed=(0, 1))
    merged, report = (_written(demo, name) for name in ("merged", "evaluation"))
    out.print(f"  merged; largest difference of a logit {merged['reloaded_difference']:.1e}")
    _print_routes(report)
    for gate in result["gates"]:
        out.print(f"  {'held' if gate['held'] else 'SHUT'}  {gate['name']}: {gate['said']}")
    if result["release"]:
        out.print(f"  release {result['release']} serves tiny-1")
    else:
        out.print("  not promoted: that is a result. What follows serves it all the same, to show the way there.")
    differences = {"logit_difference": merged["reloaded_difference"], "differences": report["differences"]}
    return {"promoted": bool(result["release"]), "gates": result["gates"], **differences}


def _written(demo: Demo, name: str) -> dict[str, Any]:
    """A report that lies beside the merged model."""
    found: dict[str, Any] = json.loads((demo.candidate / f"{name}.json").read_text("utf-8"))
    return found


def _print_routes(report: Mapping[str, Any]) -> None:
    for name, route in report["routes"].items():
        f1, sent = route["as_written"].get("f1"), route["as_sent"].get("right")
        said = f"F1 {f1['mean']:.2f} ({f1['low']:.2f}–{f1['high']:.2f})" if f1 else "nothing fits into the window"
        out.print(f"  {name:20} {said}" + (f", right as sent {sent['mean']:.2f}" if sent else ""))
    for name, one in report["differences"].items():
        out.print(f"  {name}: {one['mean']:+.2f} ({one['low']:+.2f} to {one['high']:+.2f}), {one['says']}")


# --- served, the page changes -----------------------------------------------------------------------------------------


def serve_model(demo: Demo, found: Mapping[str, Any]) -> dict[str, Any]:
    """A promoted model is served because the release names it; one that was refused only because we say so."""
    if not has_vllm(demo):
        out.print("[yellow]There is no vLLM in this environment, so this step is left out:[/] pip install vllm, or")
        out.print("make loop-demo VLLM_PYTHON=/path/to/an/environment/bin/python")
        return {"served": None}
    model = demo.home / "home" / "models" / "registry" / "tiny-1"
    with server(demo, *([] if found["promoted"] else ["--model", str(model)])) as client:
        wait_for_model(client)
        replies = [served(client, *one) for one in unseen(demo)]
        curated = asked(client, ASKED)
    return {"served": replies, "served_curated": curated["route"]}


def unseen(demo: Demo) -> list[tuple[str, str]]:
    """Questions of the test set, which the model was not tuned on, with the right answers: one a cluster."""
    from services.training import jsonl
    from services.training.records import Split

    splits = json.loads((demo.home / "data" / "splits.json").read_text("utf-8"))
    rows = jsonl.read_examples(demo.home / "data" / "examples.jsonl")
    first = {one.cluster: (one.question, one.answer) for one in rows if not one.refuses and not one.parent}
    return [pair for cluster, pair in sorted(first.items()) if splits[cluster] == Split.TEST][:UNSEEN]


def served(client: httpx.Client, question: str, right: str) -> dict[str, Any]:
    reply = streamed(client, question)
    out.print(f"  {question} → {reply['answer']} ({reply['route']}, by {reply['model']}, {reply['pieces']} pieces)")
    for cited in reply["citations"]:
        out.print(f"    cited: {cited['source']}: {cited['quote'][:60]}")
    return {**reply, "right": right in reply["answer"]}


def has_vllm(demo: Demo) -> bool:
    look = "import importlib.util, sys; sys.exit(importlib.util.find_spec('vllm') is None)"
    return subprocess.run([demo.vllm_python or sys.executable, "-c", look], check=False).returncode == 0


def wait_for_model(client: httpx.Client) -> None:
    """Until the server's own vLLM answers; until then it quotes."""
    deadline = time.monotonic() + MODEL_S
    while time.monotonic() < deadline:
        if client.get("/ready").json()["parts"].get("generator", "").startswith("ok"):
            return
        time.sleep(1)
    raise DemoFailed(f"vLLM was not up within {MODEL_S} s: {client.get('/ready').json()['parts'].get('generator')}")


def edit_page(demo: Demo, found: Mapping[str, Any]) -> dict[str, Any]:
    """What was approved rests on a page that says something else now: it is not served as certain any more."""
    (demo.docs / loop_documents.NEW_PAGE).write_text(loop_documents.EDITED_TEXT, "utf-8")
    with server(demo) as client:
        demo.run("index")
        items = wait_for(lambda: [one for one in queue(client) if one["cause"] == "stale_source"])
        again = asked(client, ASKED)
    out.print(f"  waiting for people: {[(one['question'], one['cause']) for one in items]}")
    return {"stale_items": len(items), "after_edit": again["route"], "stale_entry": found["entry"]}


def queue(client: httpx.Client) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = fetched(client, "/review/items")["items"]
    return items


def wait_for(look: Callable[[], list[dict[str, Any]]], seconds: float = 30) -> list[dict[str, Any]]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.5)
    raise DemoFailed(f"the edited page brought nothing back to people within {seconds:.0f} s")


# --- HTTP -------------------------------------------------------------------------------------------------------------


@contextmanager
def server(demo: Demo, *options: str) -> Iterator[httpx.Client]:
    """A real `answerloop serve` for as long as the block runs."""
    command = [*COMMAND, "serve", "--port", str(free_port(PORT)), *options]
    process = subprocess.Popen(command, env=demo.environment(), cwd=ROOT, start_new_session=True)
    try:
        with httpx.Client(base_url=_address(demo, process), timeout=60, trust_env=False) as client:
            yield client
    finally:
        process.terminate()
        process.wait()


def _address(demo: Demo, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise DemoFailed("the server did not start; the reason stands above.")
        running = running_server(demo.home / "home")
        if running is not None and running.pid == process.pid:
            return running.url
        time.sleep(0.1)
    raise DemoFailed(f"the server was not up within {START_S} s.")


Step = Callable[[Demo, Mapping[str, Any]], dict[str, Any]]
STEPS: Sequence[tuple[str, Step]] = (
    ("1. Documents → index", index_documents),
    ("2. Asked, not known → reviewed once → asked again", review),
    ("3. Documents and verdicts → dataset, certified", build_dataset),
    ("4. A tiny base, made on the spot", pretrain),
    ("5. LoRA", train),
    ("6. Learning curve", curve),
    ("7. Merged, judged on questions it has not seen, promoted if it has earned it", promote),
    ("8. vLLM serves it, /ask answers", serve_model),
    ("9. The page changes → the approved answer comes back to people", edit_page),
)


def main() -> int:
    parser = argparse.ArgumentParser(description="The whole learning loop, with a tiny model made on the spot.")
    parser.add_argument("--home", type=Path, default=ROOT / "var" / "loop-demo", help="made anew each time")
    parser.add_argument("--vllm-python", default="", help="Python of the environment that has vLLM; default: this one")
    given = parser.parse_args()
    began = time.monotonic()
    try:
        run(Demo(given.home, Sizes(), given.vllm_python))
    except AnswerloopError as exc:
        out.print(f"The demo stopped: {exc}", style="bold red", markup=False)
        return 1
    out.print(f"\n{(time.monotonic() - began) / 60:.1f} minutes in all.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
