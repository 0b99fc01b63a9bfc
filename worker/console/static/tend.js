"use strict";
// The server writes every time twice once it knows the viewer's zone; it is told in a cookie.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const secure = location.protocol === "https:" ? "; secure" : "";
document.cookie = `tend_zone=${zone}; path=/; max-age=31536000; samesite=strict${secure}`;

// A button with data-dialog opens that dialog; the browser keeps focus in it and closes it on Esc.
document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-dialog]");
  if (opener) document.getElementById(opener.dataset.dialog).showModal();
  const closer = event.target.closest("[data-close]");
  if (closer) closer.closest("dialog").close();
});

// What is swapped in takes the focus that was in it, so that a keyboard loses no place.
let focused = "";
for (const name of ["htmx:beforeSwap", "htmx:sseBeforeMessage"]) {
  document.addEventListener(name, () => (focused = document.activeElement?.id ?? ""));
}
for (const name of ["htmx:afterSwap", "htmx:sseMessage"]) {
  document.addEventListener(name, () => {
    if (focused && document.activeElement === document.body) {
      document.getElementById(focused)?.focus();
    }
  });
}

// Seconds that are left count down between two looks of the server.
setInterval(() => {
  for (const one of document.querySelectorAll("[data-left]")) {
    const left = Math.max(0, one.dataset.left - 1);
    one.dataset.left = left;
    one.textContent = left < 60 ? `${left}s` : `${Math.floor(left / 60)}m ${left % 60}s`;
  }
}, 1000);
