"use strict";
// One answer a page: a second press, or a key held down, must not answer the next question unseen.
let sent = false;
document.addEventListener("submit", (event) => {
  if (sent) event.preventDefault();
  sent = true;
});
document.addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  const key = event.key.toLowerCase();
  if (!/^[ynu]$/.test(key)) return;
  const button = document.querySelector(`button[data-key="${key}"]`);
  if (button) button.click();
});
window.addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload(); // an old page from the browser's memory
});
