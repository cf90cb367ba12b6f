"use strict";
// Sorting, searching, and links that open what they lead to. The page can be read without it.
(() => {
  const table = document.getElementById("tasks");
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const rows = [...body.rows];

  const value = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.order ?? cell.textContent;
  };
  const compare = (one, other, column) =>
    heads[column].classList.contains("number")
      ? Number(value(one, column)) - Number(value(other, column))
      : value(one, column).localeCompare(value(other, column), undefined, { numeric: true });

  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const first = head.classList.contains("number") ? "descending" : "ascending";
      const second = first === "ascending" ? "descending" : "ascending";
      const now = head.getAttribute("aria-sort") === first ? second : first;
      heads.forEach((one) => one.setAttribute("aria-sort", one === head ? now : "none"));
      const sign = now === "ascending" ? 1 : -1;
      rows.sort((one, other) => sign * compare(one, other, column));
      body.append(...rows);
    });
  });

  const search = document.getElementById("search");
  const found = document.getElementById("found");
  search.closest("p").hidden = false;
  search.addEventListener("input", () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      count += row.hidden ? 0 : 1;
    }
    found.textContent = words.length ? `${count} of ${rows.length}` : "";
  });

  const show = () => {
    const part = document.getElementById(location.hash.slice(1));
    if (part instanceof HTMLDetailsElement) {
      part.open = true;
      part.scrollIntoView();
      part.querySelector("summary").focus();
    }
  };
  addEventListener("hashchange", show);
  show();

  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    closed.forEach((one) => { one.open = true; });
  });
  addEventListener("afterprint", () => closed.forEach((one) => { one.open = false; }));
})();
