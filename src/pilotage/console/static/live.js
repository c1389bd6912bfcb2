// Live regions: swapped when the server sends them again. Without this file the page says "as of" and offers Reload.
"use strict";
(() => {
  const region = document.querySelector("[data-live]");
  const beside = document.querySelector("[data-beside]");
  const stale = document.getElementById("stale"), told = document.getElementById("told");
  if (!region || !window.EventSource) return;
  const HIDDEN_MS = 60000, LOST_MS = 10000, POLL_MS = 15000;
  let source = null, lost = null, hidden = null, poll = null, seen = "";

  const parsed = (html) => new DOMParser().parseFromString(pilotage.html(html), "text/html");
  const tell = (text) => { stale.textContent = text; stale.hidden = !text; };

  const stateOf = () => region.querySelector("[data-state]")?.dataset.state;
  const sayOf = () => region.querySelector("[data-say]")?.dataset.say;
  let state = stateOf(), said = sayOf();

  // Focus stays on the same control when it is still there, else goes to the heading of what was swapped.
  const inPlace = (part, change) => {
    const id = part.contains(document.activeElement) ? document.activeElement.id : null;
    change();
    if (id === null || part.contains(document.activeElement)) return;
    const target = (id && document.getElementById(id)) || part.querySelector("h2");
    if (target && target.tagName === "H2") target.tabIndex = -1;
    if (target) target.focus();
  };
  const swap = (html) => {
    const fresh = parsed(html).body, drawing = fresh.querySelector("[data-charts]");
    const part = region.querySelector("[data-swap]") ?? region, open = part.querySelectorAll("details[open][id]");
    inPlace(part, () => {
      part.replaceChildren(...(fresh.querySelector("[data-swap]") ?? fresh).childNodes);
      for (const { id } of open) document.getElementById(id)?.setAttribute("open", "");
    });
    if (drawing) charts.renew(region.querySelector("[data-charts]"), drawing);
    const waiting = region.querySelector("[data-waiting]")?.dataset.waiting;
    if (waiting) document.querySelector(".top .count").firstChild.data = waiting;
    if (said !== sayOf()) told.textContent = said = sayOf();  // counters change often and are not announced
    if (state === stateOf()) return;
    state = stateOf();
    if (beside) page().then((fresh) => fresh ? renew(fresh) : setTimeout(() => page().then(renew), POLL_MS));
  };

  // What one person may do stands beside the region that all share: it is read again when the state is another.
  async function page() {
    const reply = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
    return reply?.ok ? parsed(await reply.text()) : null;
  }
  const renew = (read) => {
    const fresh = read?.querySelector("[data-beside]");
    if (!fresh || read.querySelector("[data-state]").dataset.state !== state) return;
    // A decision counts for what was read: of what was written anew meanwhile the old digest stays, and is refused.
    for (const field of beside.querySelectorAll("textarea, select, input:is([type=checkbox], [type=text], [name=read])")) {
      const form = `form[action="${field.form.getAttribute("action")}"]`;
      const twin = fresh.querySelector(field.id ? `#${field.id}` : `${form} input[name=read]`);
      if (twin) { twin.value = field.value; twin.checked = field.checked; }
    }
    inPlace(beside, () => beside.replaceChildren(...fresh.childNodes));
  };

  const settled = () => { clearTimeout(lost); lost = null; tell(""); };
  async function look() {
    const fresh = (await page())?.querySelector("[data-live]");
    if (fresh) { swap(fresh.innerHTML); settled(); }
  }

  function open() {
    // The browser itself comes back with the last id; after a pause of ours the address says it.
    source = new EventSource(region.dataset.live + (seen ? `?after=${seen}` : ""));
    source.addEventListener("region", (event) => { seen = event.lastEventId; settled(); swap(event.data); });
    source.addEventListener("gone", () => { close(); tell("You were signed out, or your roles are others now. Reload."); });
    source.addEventListener("open", settled);
    source.addEventListener("error", () => {
      const since = new Date().toLocaleTimeString();
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
    else { clearTimeout(hidden); source ?? open(); }
  });
  addEventListener("pagehide", close);
  open();
})();
