// The assistant, streamed. Without this file the same form posts and the whole answer comes as a page.
"use strict";
(() => {
  const form = document.querySelector("form[data-stream]");
  const talk = document.getElementById("talk");
  if (!form || !talk || !window.ReadableStream) return;
  const question = form.elements.question;
  const stop = form.querySelector("[data-stop]"), send = form.querySelector("[data-send]");
  const voice = document.getElementById("voice");
  let running = null;

  const element = (name, kind, ...inside) => {
    const made = document.createElement(name);
    made.className = kind;
    made.append(...inside);
    return made;
  };
  const busy = (is) => { stop.hidden = !is; send.hidden = is; };

  async function ask(text) {
    running = new AbortController();
    busy(true);
    const asked = element("div", "asked", element("span", "unseen", "You asked: "), text);
    const words = element("p", ""), draft = element("div", "text draft", words), told = element("div", "told", draft);
    talk.append(asked, told);
    asked.scrollIntoView({ block: "nearest" });
    voice.textContent = "Answering.";
    const body = new URLSearchParams(new FormData(form));
    body.set("question", text);
    try {
      const reply = await fetch(form.action, {
        method: "POST", body, signal: running.signal, headers: { Accept: "text/event-stream" },
      });
      if (!reply.ok || !reply.headers.get("content-type").startsWith("text/event-stream")) throw new Error("refused");
      let ended = false;
      for await (const [event, data] of pilotage.events(reply.body)) {
        if (event === "text") words.append(JSON.parse(data));
        if (event === "answer") {
          told.innerHTML = pilotage.html(data);
          ended = true;
        }
        if (event === "failed") break;
      }
      if (!ended) throw new Error("cut");
      voice.textContent = told.querySelector(".text, .notice")?.textContent ?? "Answered.";
    } catch (error) {
      draft.classList.remove("draft");
      const why = running.signal.aborted ? "Stopped. What stands above is not a complete answer."
        : "The answer broke off. Your question is kept below; ask again, or reload the page if you were signed out.";
      told.append(element("p", "notice hold", why));
      voice.textContent = why;
      question.value = text;
    } finally {
      running = null;
      busy(false);
      told.scrollIntoView({ block: "nearest" });
    }
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = question.value.trim();
    if (!text || running) return;
    question.value = "";
    ask(text);
  });
  stop.addEventListener("click", () => running?.abort());
  question.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit(send);
  });
  for (const sample of document.querySelectorAll("[data-sample]")) {
    sample.addEventListener("click", (event) => {
      event.preventDefault();
      if (!running) ask(sample.dataset.sample);
    });
  }
})();
