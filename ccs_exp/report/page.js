"use strict";
// Filters and sorts the table of heads. The choice is kept in the address (#q=...&class=high&sort=-ccs), so it can be shared.
(() => {
  const table = document.getElementById("heads");
  const form = document.getElementById("filters");
  if (!table || !form) return;
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const texts = new Map(rows.map((row) => [row, row.textContent.replace(/\s+/g, " ").toLowerCase()]));
  const count = document.getElementById("count");
  const keys = ["q", "class", "layer", "ccs"];
  let sort = "";

  function apply() {
    const wanted = Object.fromEntries(keys.map((key) => [key, form.elements[key].value]));
    const words = wanted.q.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const fits = ["class", "layer", "ccs"].every((key) => !wanted[key] || row.dataset[key] === wanted[key]);
      row.hidden = !(fits && words.every((word) => texts.get(row).includes(word)));
      shown += row.hidden ? 0 : 1;
    }
    count.textContent = `${shown} of ${rows.length} heads`;
  }

  function order() {
    const down = sort.startsWith("-");
    const key = down ? sort.slice(1) : sort;
    const value = (row) => row.dataset[key] ?? "";
    const compare = (one, other) => {
      const [a, b] = [value(one), value(other)];
      if (a === "" || b === "") return (a === "") - (b === "") || rows.indexOf(one) - rows.indexOf(other); // absent last
      const numbers = !Number.isNaN(Number(a)) && !Number.isNaN(Number(b));
      const sign = numbers ? Number(a) - Number(b) : a.localeCompare(b);
      return (down ? -sign : sign) || rows.indexOf(one) - rows.indexOf(other);
    };
    body.append(...(key ? [...rows].sort(compare) : rows));
    for (const button of table.querySelectorAll("button[data-sort]")) {
      const active = button.dataset.sort === key && key !== "";
      button.closest("th").setAttribute("aria-sort", active ? (down ? "descending" : "ascending") : "none");
    }
  }

  function remember() {
    const state = new URLSearchParams();
    for (const key of keys) if (form.elements[key].value) state.set(key, form.elements[key].value);
    if (sort) state.set("sort", sort);
    history.replaceState(null, "", `#${state}`);
  }

  function recall() {
    const hash = location.hash.slice(1);
    if (hash && !hash.includes("=")) return; // a link to one head
    const state = new URLSearchParams(hash);
    for (const key of keys) form.elements[key].value = state.get(key) ?? "";
    sort = state.get("sort") ?? "";
    order();
    apply();
  }

  form.addEventListener("input", () => { apply(); remember(); });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(() => { sort = ""; order(); apply(); remember(); }));
  table.tHead.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-sort]");
    if (!button) return;
    const key = button.dataset.sort;
    const falls = button.dataset.first === "down"; // numbers start with the largest
    const [first, second] = falls ? [`-${key}`, key] : [key, `-${key}`];
    sort = sort === first ? second : sort === second ? "" : first;
    order();
    remember();
  });
  window.addEventListener("hashchange", recall);
  document.documentElement.classList.add("js");
  form.hidden = false;
  recall();
  apply();
})();
