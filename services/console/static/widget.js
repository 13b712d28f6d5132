// Answerloop chat widget. One script tag:
//   <script src="https://answers.example.org/widget.js" data-server="https://answers.example.org" data-key="al_…" async></script>
// data-key: a key of the role asker, which every visitor can read; the server takes no other across origins.
"use strict";
(() => {
  const tag = document.currentScript;
  const server = (tag.dataset.server || new URL(tag.src).origin).replace(/\/+$/, "");
  const key = tag.dataset.key || "";
  const zh = (tag.dataset.lang || document.documentElement.lang || navigator.language || "en").toLowerCase().startsWith("zh");
  const T = zh
    ? { title: "问文档", ask: "输入问题", send: "发送", open: "打开问答", close: "关闭", up: "有用", down: "没用", thanks: "谢谢反馈。", failed: "现在无法回答，请稍后再试。", wait: "正在查找……", queued: "已转给人工处理。", sources: "出处" }
    : { title: "Ask the documents", ask: "Your question", send: "Send", open: "Open the chat", close: "Close", up: "Helpful", down: "Not helpful", thanks: "Thank you.", failed: "No answer is possible now. Please try again later.", wait: "Looking …", queued: "People will look at this question.", sources: "Sources" };
  const STYLE = `
    :host { all: initial; --bg: #fff; --panel: #f5f7f9; --text: #1b1f24; --quiet: #555e68; --accent: #0550ae; --on: #fff; --edge: #6e7781; color-scheme: light; }
    @media (prefers-color-scheme: dark) { :host { --bg: #0f1419; --panel: #181f27; --text: #e6e9ec; --quiet: #a3adb8; --accent: #79b8ff; --on: #0b1117; --edge: #7d8894; color-scheme: dark; } }
    * { box-sizing: border-box; font: 15px/1.5 system-ui, "PingFang SC", "Noto Sans CJK SC", "Microsoft YaHei", sans-serif; }
    button { cursor: pointer; border-radius: .5rem; border: 1px solid var(--edge); background: var(--panel); color: var(--text); padding: .3rem .7rem; min-height: 2.25rem; }
    :focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
    .open { position: fixed; right: 1rem; bottom: 1rem; z-index: 2147483000; background: var(--accent); color: var(--on); border: 0; padding: .6rem 1.1rem; box-shadow: 0 2px 10px rgb(0 0 0 / 30%); }
    .box { position: fixed; right: 1rem; bottom: 1rem; z-index: 2147483000; width: min(24rem, calc(100vw - 2rem)); height: min(34rem, calc(100vh - 2rem)); display: flex; flex-direction: column; background: var(--bg); color: var(--text); border: 1px solid var(--edge); border-radius: .75rem; box-shadow: 0 6px 30px rgb(0 0 0 / 35%); }
    .box[hidden], .open[hidden] { display: none; }
    header, form { display: flex; gap: .5rem; padding: .6rem; align-items: center; background: var(--panel); border-radius: .75rem; }
    header b { flex: 1; font-weight: 600; }
    .log { flex: 1; overflow: auto; padding: .6rem; }
    .me { margin: .4rem 0 .4rem 2rem; background: var(--accent); color: var(--on); padding: .4rem .7rem; border-radius: .6rem; overflow-wrap: anywhere; white-space: pre-wrap; }
    .it { margin: .4rem 0; background: var(--panel); padding: .4rem .7rem; border-radius: .6rem; overflow-wrap: anywhere; }
    .text { white-space: pre-wrap; } .quiet { color: var(--quiet); font-size: .85rem; } summary { cursor: pointer; color: var(--accent); }
    blockquote { margin: .2rem 0 .5rem; padding-left: .6rem; border-left: 3px solid var(--edge); white-space: pre-wrap; }
    input { flex: 1; min-width: 0; padding: .4rem .6rem; border: 1px solid var(--edge); border-radius: .5rem; background: var(--bg); color: var(--text); }`;

  const make = (name, attributes = {}, ...inside) => {
    const made = document.createElement(name);
    for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
    made.append(...inside);  // text only ever becomes text: nothing here is parsed as HTML
    return made;
  };

  const host = make("div", { lang: zh ? "zh-Hans" : "en", "data-answerloop": "" });
  const root = host.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet();  // not an inline style, so a strict policy of the page allows it
  sheet.replaceSync(STYLE);
  root.adoptedStyleSheets = [sheet];
  const open = make("button", { class: "open", type: "button", "aria-haspopup": "dialog" }, T.title);
  const close = make("button", { type: "button", "aria-label": T.close }, "×");
  const log = make("div", { class: "log", role: "log", "aria-live": "polite", tabindex: "0", "aria-label": T.title });
  const field = make("input", { "aria-label": T.ask, placeholder: T.ask, maxlength: "2000", autocomplete: "off" });
  const form = make("form", {}, field, make("button", {}, T.send));
  const box = make("section", { class: "box", role: "dialog", "aria-label": T.title, hidden: "" }, make("header", {}, make("b", {}, T.title), close), log, form);
  root.append(open, box);

  const show = (shown) => { box.hidden = !shown; open.hidden = shown; (shown ? field : open).focus(); };
  open.addEventListener("click", () => show(true));
  close.addEventListener("click", () => show(false));
  root.addEventListener("keydown", (event) => { if (event.key === "Escape" && !box.hidden) show(false); event.stopPropagation(); });

  const session = crypto.randomUUID ? crypto.randomUUID() : String(Math.random()).slice(2);
  const history = [];
  const post = (path, body) => fetch(server + path, {
    method: "POST", credentials: "omit", body: JSON.stringify(body),
    headers: { "content-type": "application/json", ...(key ? { authorization: `Bearer ${key}` } : {}) },
  });

  async function* events(reply) {  // server-sent events: blocks of lines, a blank line after each
    const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
    let held = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      held += value;
      const blocks = held.split("\n\n");
      held = blocks.pop();
      for (const block of blocks) {
        const lines = block.split("\n");
        const name = lines.find((line) => line.startsWith("event: "))?.slice(7);
        const data = lines.filter((line) => line.startsWith("data: ")).map((line) => line.slice(6)).join("\n");
        if (name && data) yield { name, data: JSON.parse(data) };
      }
    }
  }

  function thumbs(id) {
    const holder = make("div", { class: "quiet" });
    for (const rating of ["up", "down"]) {
      const thumb = make("button", { type: "button", "aria-label": T[rating], "data-rating": rating }, `${rating === "up" ? "👍" : "👎"} ${T[rating]}`);  // not every machine has a font of pictures
      thumb.addEventListener("click", async () => {
        try { const reply = await post("/feedback", { id, rating, comment: "" }); holder.textContent = reply.ok ? T.thanks : T.failed; } catch { holder.textContent = T.failed; }
        field.focus();  // the button that had it is gone
      });
      holder.append(thumb, " ");
    }
    return holder;
  }

  function finish(bubble, text, done) {
    text.textContent = done.answer;
    if (done.citations.length) {
      const cited = make("details", {}, make("summary", {}, `${T.sources} (${done.citations.length})`));
      for (const one of done.citations) cited.append(make("div", { class: "quiet" }, `${one.source} ${one.heading}`), make("blockquote", {}, one.quote.slice(0, 1000)));
      bubble.append(cited);
    }
    if (done.review.queued) bubble.append(make("div", { class: "quiet" }, T.queued));
    bubble.append(thumbs(done.id));
  }

  async function ask(question) {
    log.append(make("div", { class: "me" }, question));
    const text = make("div", { class: "text" }, T.wait);
    const bubble = make("div", { class: "it" }, text);
    log.append(bubble);
    bubble.scrollIntoView({ block: "nearest" });
    try {
      const reply = await post("/ask", { question, history: history.slice(-10), session_id: session, stream: true });
      if (!reply.ok) throw new Error(String(reply.status));
      let said = "";
      for await (const { name, data } of events(reply)) {
        if (name === "delta") text.textContent = said += data.text;
        if (name === "error") throw new Error(data.detail);
        if (name === "done") { finish(bubble, text, data); history.push({ role: "user", content: question }, { role: "assistant", content: data.answer.slice(0, 1500) }); }
      }
    } catch { text.textContent = T.failed; }
    bubble.scrollIntoView({ block: "nearest" });
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const question = field.value.trim();
    field.value = "";
    if (question) ask(question);
  });
  (document.body ? Promise.resolve() : new Promise((ready) => addEventListener("DOMContentLoaded", ready))).then(() => document.body.append(host));
})();
