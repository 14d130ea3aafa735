"use strict";
(() => {
  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  root.classList.add("js");

  // Panels, marks and rows of the k that is chosen.
  const radios = all("input[name=k]");
  const choose = (k) => {
    root.dataset.k = k;
    for (const radio of radios) radio.checked = radio.value === k;
    for (const panel of all(".panel")) panel.hidden = panel.dataset.k !== k;
    for (const mark of all("svg [data-k], tr[data-k]")) {
      mark.classList.toggle("on", mark.dataset.k === k);
    }
  };
  const keep = (k) => {
    choose(k);
    history.replaceState(null, "", "#k=" + k);
  };
  const asked = () => {
    const k = /^#k=(\d+)$/.exec(location.hash)?.[1];
    return radios.some((radio) => radio.value === k) ? k : undefined;
  };
  for (const radio of radios) radio.addEventListener("change", () => keep(radio.value));
  for (const mark of all("#inertia [data-k], #timeline [data-k]")) {
    mark.addEventListener("click", () => keep(mark.dataset.k));
  }
  addEventListener("hashchange", () => choose(asked() ?? root.dataset.k));
  const first = asked() ?? root.dataset.k;
  if (first !== undefined) choose(first);

  // The two lines of a threshold: of the one under the pointer, else of the one that is chosen.
  const thresholds = all("input[name=threshold]");
  const said = document.querySelector(".thresholds output");
  const show = (radio) => {
    for (const mark of all("#elbow [data-threshold]")) {
      mark.classList.toggle("on", mark.dataset.threshold === radio.value);
    }
    said.value = radio.dataset.text;
  };
  const chosen = () => thresholds.find((radio) => radio.checked);
  for (const radio of thresholds) radio.addEventListener("change", () => show(radio));
  for (const band of all("#elbow .band")) {
    const radio = thresholds[band.dataset.threshold];
    band.addEventListener("pointerenter", () => show(radio));
    band.addEventListener("pointerleave", () => show(chosen()));
    band.addEventListener("click", () => {
      radio.checked = true;
      show(radio);
    });
  }
  if (chosen()) show(chosen());

  // Sorting, by the numbers behind the cells, which are shown rounded. What has none comes last.
  const value = (row, column) => {
    const number = row.cells[column].dataset.value;
    return number === undefined ? undefined : Number(number);
  };
  const sort = (table, heading) => {
    const column = heading.cellIndex;
    const sign = heading.ariaSort === "ascending" ? -1 : 1;
    for (const other of table.tHead.rows[0].cells) other.ariaSort = null;
    heading.ariaSort = sign > 0 ? "ascending" : "descending";
    const rows = [...table.tBodies[0].rows];
    rows.sort((a, b) => {
      const [x, y] = [value(a, column), value(b, column)];
      if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
      return sign * (x - y);
    });
    table.tBodies[0].append(...rows);
  };
  for (const button of all(".sortable button")) {
    button.addEventListener("click", () => sort(button.closest("table"), button.closest("th")));
  }
})();
