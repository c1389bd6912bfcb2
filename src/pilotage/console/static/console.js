// Small comforts for every page. Everything works without this file.
"use strict";
(() => {
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
  addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  });

  // A control that may not be used keeps its focus and its reason, and does nothing.
  document.addEventListener("click", (event) => {
    if (event.target.closest("[aria-disabled=true]")) event.preventDefault();
  });

  // Menus close with Escape, and when something else is pressed.
  document.addEventListener("keydown", (event) => {
    const open = event.key === "Escape" && document.querySelector("details.menu-of[open]");
    if (open) { open.open = false; open.querySelector("summary").focus(); }
  });
  document.addEventListener("click", (event) => {
    for (const open of document.querySelectorAll("details.menu-of[open]")) {
      if (!open.contains(event.target)) open.open = false;
    }
  });
})();
