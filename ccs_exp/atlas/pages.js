"use strict";
// Index: filters, kept in the address, and arrow keys from card to card. Pages of heads: arrow keys to the neighbours, heat maps on and off.
(() => {
  const root = document.documentElement;
  const typing = () => /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement?.tagName ?? "");
  const heat = document.getElementById("heat");
  if (heat) {
    heat.closest("form").hidden = false;
    heat.addEventListener("change", () => root.classList.toggle("no-heat", !heat.checked));
  }
  const form = document.getElementById("filters");
  const cards = Array.from(document.querySelectorAll("#cards .card"));
  const shown = () => cards.filter((card) => !card.parentElement.hidden);
  const keys = ["q", "layer", "ccs", "label", "cost"];

  function apply() {
    const wanted = Object.fromEntries(keys.map((key) => [key, form.elements[key]?.value ?? ""]));
    const words = wanted.q.toLowerCase().split(/\s+/).filter(Boolean);
    for (const card of cards) {
      const data = card.dataset;
      const equal = ["layer", "ccs", "label"].every((key) => !wanted[key] || data[key] === wanted[key]);
      const strong = !wanted.cost || (data.cost !== "" && Number(data.cost) >= Number(wanted.cost));
      card.parentElement.hidden = !(equal && strong && words.every((word) => data.text.includes(word)));
    }
    for (const layer of document.querySelectorAll(".layer")) layer.hidden = !layer.querySelector("li:not([hidden])");
    document.getElementById("count").textContent = `${shown().length} of ${cards.length} heads`;
  }

  if (form) {
    const state = new URLSearchParams(location.hash.slice(1));
    for (const key of keys) if (form.elements[key] && state.has(key)) form.elements[key].value = state.get(key);
    const remember = () => {
      const chosen = keys.filter((key) => form.elements[key]?.value).map((key) => [key, form.elements[key].value]);
      history.replaceState(null, "", `#${new URLSearchParams(chosen)}`);
    };
    form.addEventListener("input", () => { apply(); remember(); });
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(() => { apply(); remember(); }));
    form.hidden = false;
    apply();
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || typing()) return;
    const way = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (form && event.key === "/") {
      event.preventDefault();
      form.elements.q.focus();
    } else if (form && way) {
      const some = shown();
      some[(some.indexOf(document.activeElement) + way + some.length) % some.length]?.focus();
    } else if (event.key === "u") {
      document.querySelector("a[rel=up]")?.click();
    } else if (event.key === "h" && heat) {
      heat.click();
    } else if (way) {
      document.querySelector(way > 0 ? "a[rel=next]" : "a[rel=prev]")?.click();
    }
  });
})();
