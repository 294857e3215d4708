"use strict";
// Questions go to the server as JSON; whatever comes back is put into the page as text, never as markup.
(() => {
  const get = (id) => document.getElementById(id);
  const answer = get("answer"), wrong = get("wrong");
  let image = null; // {place} of a probe image, or {upload} in base 64
  let turn = 0; // of the latest question: answers to earlier ones come too late

  function element(tag, properties = {}, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  }

  function choose(chosen, source, told) {
    image = chosen;
    get("image").hidden = !source;
    if (source) get("image").src = source;
    get("told").textContent = told;
    if (chosen && get("heads")?.querySelector(":checked")) ask("without");
  }

  function take(file) {
    if (!file) return;
    const reader = new FileReader();
    reader.onload = () => {
      const address = String(reader.result);
      choose({ upload: address.slice(address.indexOf(",") + 1) }, address, file.name);
    };
    reader.readAsDataURL(file);
  }

  async function ask(what, by) {
    const mine = ++turn;
    const heads = what === "without" ? Array.from(document.querySelectorAll("#heads :checked"), (box) => box.value) : [get("head").value];
    const asked = { heads, ...(by === "text" ? {} : image ?? {}) };
    if (what !== "without" && by !== "image") asked.text = get("text").value;
    if (what === "looks") asked.against = get("against").value;
    if (what === "without") asked.task = get("task").value;
    wrong.textContent = "";
    if (by === "text" && !asked.text.trim()) { wrong.textContent = "Type a text first."; return; }
    answer.setAttribute("aria-busy", "true");
    let found;
    try {
      const reply = await fetch(what, { method: "POST", body: JSON.stringify(asked) });
      found = reply.status === 404 ? { error: "This page is of another run of the app." } : await reply.json();
    } catch {
      found = { error: "The app does not answer: is it still running?" };
    }
    if (mine !== turn) return;
    answer.removeAttribute("aria-busy");
    if (found.error) { wrong.textContent = found.error; return; }
    answer.replaceChildren(...{ nearest, looks, without }[what](found));
  }

  function nearest(found) {
    const label = get("head").selectedOptions[0].textContent;
    const titles = { head: `By ${label}`, concept: "By all heads of that label", whole: "By the whole embedding" };
    return Object.entries(found).map(([name, items]) => {
      const figures = items.map((item) => {
        const picture = item.crop
          ? element("img", { className: "crop", src: item.crop, alt: `${item.name}: ask about this image` })
          : document.createTextNode(item.name);
        const button = element("button", { type: "button" }, element("span", { className: "picture" + (item.crop ? "" : " bare") }, picture));
        button.addEventListener("click", () => choose({ place: item.place }, item.crop, item.name));
        return element("li", {}, element("figure", {}, button, element("figcaption", { textContent: item.value.toFixed(3) })));
      });
      return element("div", { className: "found" }, element("h2", { textContent: titles[name] }), element("ul", { className: "pictures" }, ...figures));
    });
  }

  function looks(found) {
    const crop = element("img", { className: "crop", src: found.crop, alt: `The head looks most at ${found.strongest}` });
    const heat = element("img", { className: "heat", src: found.heat, alt: "" });
    const words = `Patches add ${found.along.toFixed(4)} along the text, the class token itself ${found.elsewhere.toFixed(4)}. Orange: along, blue: against.`;
    return [element("figure", { className: "large" }, element("span", { className: "picture" }, crop, heat)), element("p", { textContent: words })];
  }

  function without(found) {
    const titles = { all: "All heads", silenced: "Without those chosen" };
    const tables = Object.entries(titles).map(([name, title]) => {
      const rows = found[name].top.map((row) => element("tr", {}, element("td", { textContent: row.class }), element("td", { textContent: row.logit.toFixed(2) })));
      const lead = found[name].margin === null ? "" : `First leads by ${found[name].margin.toFixed(2)}`;
      const head = element("tr", {}, element("th", { textContent: "Class" }), element("th", { textContent: "Logit" }));
      return element("div", { id: `top-${name}` }, element("h2", { textContent: title }), element("table", {}, head, ...rows), element("p", { textContent: lead }));
    });
    return [element("div", { className: "both" }, ...tables)];
  }

  for (const button of document.querySelectorAll("[data-ask]")) button.addEventListener("click", () => ask(button.dataset.ask, button.dataset.by));
  get("heads")?.addEventListener("change", () => ask("without"));
  get("task")?.addEventListener("change", () => ask("without"));
  get("questions").addEventListener("submit", (event) => event.preventDefault());
  get("file").addEventListener("change", () => take(get("file").files[0]));
  const drop = get("drop");
  for (const name of ["dragover", "dragleave", "drop"]) {
    drop.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", name === "dragover");
      if (name === "drop") take(event.dataTransfer.files[0]);
    });
  }
})();
