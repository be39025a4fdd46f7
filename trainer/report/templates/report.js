// Sorts the tables of class "sortable" by a click on a column; without it they are as they are.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
      const compare = (a, b) => key(a).localeCompare(key(b), undefined, { numeric: true });
      const number = (row) => Number.parseFloat(key(row));
      const numeric = [...body.rows].every((row) => key(row) === "" || !Number.isNaN(number(row)));
      const rows = [...body.rows].sort(
        numeric && column ? (a, b) => (number(a) || 0) - (number(b) || 0) : compare,
      );
      body.append(...(down ? rows.reverse() : rows));
    });
  });
}
