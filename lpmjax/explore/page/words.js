// A result in words and numbers.

import { short } from "./numbers.js";

const SIGNS = { certified: "✓", converged: "○" };
const NAMES = { R0: "merged", R1: "annihilated" };

function paragraph(box, text, tag = "p") {
  const element = document.createElement(tag);
  element.textContent = text;
  box.append(element);
  return element;
}

// Phase and rank, with the certificate: that it is certified, or why not, is never left out.
export function describe(box, picture) {
  box.replaceChildren();
  box.classList.toggle("open", picture.status !== "certified");
  paragraph(box, `${picture.phase}, rank ${picture.rank}`, "strong").id = "phase";
  const gap = short(picture.gap / Math.abs(picture.value), 2);
  const proof =
    picture.status === "certified"
      ? `global optimum, relative gap ${gap} (tolerance ${short(picture.tol)})`
      : picture.message.replace(/^\w+: /, "");
  paragraph(box, `${SIGNS[picture.status] ?? "✗"} ${picture.status}: ${proof}`).id = "status";
  paragraph(box, `value ${short(picture.value, 10)}, multiplier ${short(picture.multiplier, 6)}`);
  paragraph(box, `B is ${Object.entries(picture.boundaries).map(limit).join(", ")}`);
}

function limit([name, R]) {
  if (R === null) return `never ${NAMES[name]}`;
  return R < 1 ? `${NAMES[name]} at every R from 1 on` : `${NAMES[name]} from R = ${short(R, 6)} on`;
}

export function tabulate(table, picture) {
  const { groups } = picture;
  const columns = ["classes", "samples", "slack", "cosine", "w_norm2", "h_norm2", "margin"];
  const headings = ["group", "classes", "samples", "slack", "cosine within", "|w|²", "|h|²", "margin", "cosine A, B"];
  const head = row("th", headings);
  const body = groups.name.map((name, g) => {
    const cells = columns.map((column) => (column === "cosine" ? cosine(groups, g) : short(groups[column][g])));
    return row("td", [name, ...cells, g ? "" : short(picture.cosine_AB)]);
  });
  table.replaceChildren(head, ...body);
}

function cosine(groups, g) {
  const value = groups.cosine[g];
  if (value === null) return groups.classes[g] === 1 ? "undefined (one class)" : "undefined (zero)";
  return value === 1 || Math.abs(value) < 1e-3 ? short(value) : value.toFixed(5);
}

function row(kind, texts) {
  const line = document.createElement("tr");
  for (const text of texts) paragraph(line, text, kind);
  return line;
}
