// Inputs of the two-group model: a slider and a field for each parameter, which takes what lies beyond the slider, too.

import { rounded, short } from "./numbers.js";

const even = (low, high, steps) =>
  Array.from({ length: steps + 1 }, (_, k) => rounded(low * (high / low) ** (k / steps)));
const wholes = (last) => {
  const few = Array.from({ length: 20 }, (_, k) => k + 1);
  const more = [];
  for (let decade = 10; decade <= last; decade *= 10) more.push(...[1, 1.5, 2, 3, 5, 7].map((x) => x * decade));
  return [...few, ...more.filter((x) => x > 20 && x <= last)];
};

// Name, what it is, first value, and values of the slider; `only` where one model alone has it.
export const PARAMETERS = [
  { name: "K_A", words: "classes in group A", first: 5, values: wholes(1e6) },
  { name: "K_B", words: "classes in group B", first: 5, values: wholes(1e6) },
  { name: "R", words: "ratio n_A / n_B", first: 10, values: even(1, 1e4, 240) },
  { name: "E_W", words: "budget of |w|²", first: 1, values: even(0.01, 100, 240), only: "budgets" },
  { name: "E_H", words: "budget of |h|²", first: 5, values: even(0.01, 100, 240), only: "budgets" },
  { name: "lambda_W", words: "classifier decay", first: 0.005, values: even(1e-6, 1, 240), only: "decays" },
  { name: "lambda_H", words: "feature decay", first: 0.005, values: even(1e-6, 1, 240), only: "decays" },
  { name: "n_B", words: "samples per B class", first: 1, values: wholes(1e5), only: "decays" },
];

export class Controls {
  // `changed()` is called after every change; `text` holds what the fields say.
  constructor(form, box, changed) {
    this.form = form;
    this.changed = changed;
    this.rows = PARAMETERS.map((parameter) => this.row(box, parameter));
    for (const radio of form.elements.model) radio.addEventListener("change", () => this.choose());
    form.addEventListener("submit", (event) => event.preventDefault());
    this.choose();
  }

  row(box, parameter) {
    const { name, words, first, values } = parameter;
    const row = document.createElement("div");
    row.className = "slider";
    row.innerHTML =
      `<label for="range-${name}"><b>${name.replace("lambda", "λ")}</b> ${words}</label>` +
      `<input type="text" id="${name}" inputmode="decimal" autocomplete="off" aria-label="${name}, ${words}, as a number">` +
      `<input type="range" id="range-${name}" min="0" max="${values.length - 1}" step="1">`;
    box.append(row);
    const [, field, range] = row.children;
    field.value = String(first);
    range.addEventListener("input", () => this.set(name, values[range.value]));
    field.addEventListener("input", () => {
      this.place(this.of(name));
      this.changed();
    });
    const made = { ...parameter, row, field, range };
    this.place(made);
    return made;
  }

  of(name) {
    return this.rows.find((row) => row.name === name);
  }

  // The slider to the value that is nearest to the field's.
  place({ field, range, values }) {
    const value = Number(field.value);
    if (!(value > 0)) return;
    const distance = values.map((x) => Math.abs(Math.log(x / value)));
    range.value = distance.indexOf(Math.min(...distance));
    range.setAttribute("aria-valuetext", short(value));
  }

  set(name, value) {
    const row = this.of(name);
    row.field.value = String(value);
    this.place(row);
    this.changed();
  }

  choose() {
    for (const { row, only } of this.rows) row.hidden = Boolean(only) && only !== this.model;
    this.changed();
  }

  get model() {
    return this.form.elements.model.value;
  }

  get shown() {
    return this.rows.filter(({ only }) => !only || only === this.model);
  }

  // What is asked of the server.
  query() {
    const query = new URLSearchParams({ model: this.model });
    for (const { name, field } of this.shown) query.set(name, field.value.trim());
    return query;
  }

  value(name) {
    return Number(this.of(name).field.value);
  }

  // Marks the field that an error begins with.
  blame(message) {
    for (const { name, field } of this.rows) {
      const bad = message !== null && message.startsWith(`${name} `);
      if (bad) field.setAttribute("aria-invalid", "true");
      else field.removeAttribute("aria-invalid");
    }
  }
}
