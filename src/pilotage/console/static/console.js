// Small comforts for every page. Everything works without this file.
"use strict";
(() => {
  const CHORD_MS = 1500;

  // A key handed over behind '#' is put into its field; it never reaches the server as part of an address.
  const takeKey = () => {
    const field = document.querySelector("input[name=local_key]");
    if (!field || !location.hash.startsWith("#key=")) return;
    field.value = decodeURIComponent(location.hash.slice(5));
    history.replaceState(null, "", location.pathname + location.search);
    field.form.querySelector("button").focus();
  };
  takeKey();
  addEventListener("hashchange", takeKey);

  // A form is sent once; the server would record it once anyway.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.dataset.sent) { event.preventDefault(); return; }
    if (form.method === "post" && !form.dataset.stream) {
      form.dataset.sent = "1";
      setTimeout(() => { delete form.dataset.sent; }, 3000);
    }
  });
  addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach((one) => delete one.dataset.sent));

  // A control that may not be used keeps its focus and its reason, and does nothing. A menu closes when another is pressed.
  document.addEventListener("click", (event) => {
    if (event.target.closest("[aria-disabled=true]")) event.preventDefault();
    for (const open of document.querySelectorAll("details.menu-of[open]")) {
      if (!open.contains(event.target)) open.open = false;
    }
  });

  // Escape closes a menu. Shortcuts lead to links and fields that the page marks for who switched them on, to no button.
  let before = "", pressed = 0;
  document.addEventListener("keydown", (event) => {
    const open = event.key === "Escape" && document.querySelector("details.menu-of[open]");
    if (open) { open.open = false; open.querySelector("summary").focus(); }
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (event.target.closest("input, textarea, select")) return;
    const keys = event.timeStamp - pressed < CHORD_MS ? before + event.key : event.key;
    const to = [...document.querySelectorAll("[data-keys]")].find((one) => one.dataset.keys === keys);
    [before, pressed] = [event.key === "g" ? "g " : "", event.timeStamp];
    if (!to) return;
    event.preventDefault();
    if (to.matches("a[href]")) to.click();
    else to.focus();
  });
})();
