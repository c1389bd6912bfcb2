// Live regions: swapped when the server sends them again. Without this file the page says "as of" and offers Reload.
"use strict";
(() => {
  const region = document.querySelector("[data-live]");
  const stale = document.getElementById("stale");
  if (!region || !window.EventSource) return;
  const HIDDEN_MS = 60000, LOST_MS = 10000, POLL_MS = 15000;
  let source = null, lost = null, hidden = null, poll = null, seen = "";

  const clock = () => new Date().toLocaleTimeString();
  const tell = (text) => { stale.textContent = text; stale.hidden = !text; };

  // Focus stays on the same control when it is still there, else goes to the region's heading.
  const swap = (html) => {
    const id = document.activeElement && region.contains(document.activeElement) ? document.activeElement.id : null;
    region.innerHTML = pilotage.html(html);
    if (id !== null) {
      const target = (id && document.getElementById(id)) || region.querySelector("h2");
      if (target) { target.tabIndex = -1; target.focus(); }
    }
  };

  const settled = () => {
    clearTimeout(lost);
    lost = null;
    tell("");
  };

  async function look() {
    const reply = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!reply.ok) return;
    const page = new DOMParser().parseFromString(pilotage.html(await reply.text()), "text/html");
    const fresh = page.querySelector("[data-live]");
    if (fresh) { swap(fresh.innerHTML); settled(); }
  }

  function open() {
    // The browser itself comes back with the last id; after a pause of ours the address says it.
    source = new EventSource(region.dataset.live + (seen ? `?after=${seen}` : ""));
    source.addEventListener("region", (event) => { seen = event.lastEventId; settled(); swap(event.data); });
    source.addEventListener("gone", () => { close(); tell("You were signed out. Reload to sign in again."); });
    source.addEventListener("open", settled);
    source.addEventListener("error", () => {
      const since = clock();
      lost ??= setTimeout(() => tell(`Not live since ${since}.`), LOST_MS);
      // Closed for good: the server had no room. The page looks by itself instead.
      if (source.readyState === EventSource.CLOSED) poll ??= setInterval(look, POLL_MS);
    });
  }

  function close() {
    source?.close();
    source = null;
    clearInterval(poll);
    poll = null;
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) hidden = setTimeout(close, HIDDEN_MS);
    else {
      clearTimeout(hidden);
      if (!source) open();
    }
  });
  addEventListener("pagehide", close);
  open();
})();
