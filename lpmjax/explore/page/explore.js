// The tab of two groups: what the inputs say is asked, and what is answered is drawn.

import { copied, found, Latest } from "./asking.js";
import { Controls } from "./controls.js";
import { Diagram } from "./diagram.js";
import { Geometry } from "./geometry.js";
import { drawMatrix } from "./matrix.js";
import { rounded, short } from "./numbers.js";
import { drawSlack } from "./slack.js";
import { describe, tabulate } from "./words.js";

const at = (id) => document.getElementById(id);

export class Explore {
  constructor() {
    this.picture = null;
    this.asked = null;
    this.drawnFor = "";
    this.pictures = new Latest(() => this.askPicture());
    this.diagrams = new Latest(() => this.askDiagram());
    this.diagram = new Diagram(at("diagram"), at("diagram-note"), (x, R) => this.moved(x, R));
    this.geometry = new Geometry(at("geometry"), at("geometry-note"));
    this.controls = new Controls(at("controls"), at("sliders"), () => this.changed());
    for (const id of ["frame", "matrix"]) at(id).addEventListener("change", () => this.draw());
    at("copy").addEventListener("click", () => this.picture && copied(this.picture.python, at("copied")));
    new ResizeObserver(() => this.redraw()).observe(at("figures"));
  }

  changed() {
    if (!this.controls) return queueMicrotask(() => this.changed()); // the first time, from its constructor
    this.asked ??= performance.now();
    this.diagram.move(this.point());
    this.pictures.ask();
  }

  // Across and up in the diagram.
  point() {
    const value = (name) => this.controls.value(name);
    const names = this.controls.model === "budgets" ? ["E_W", "E_H"] : ["lambda_W", "lambda_H"];
    return { x: Math.sqrt(value(names[0]) * value(names[1])), R: value("R") };
  }

  // The point of the diagram was moved: R, and the second budget or decay.
  moved(x, R) {
    const [fixed, free] = this.controls.model === "budgets" ? ["E_W", "E_H"] : ["lambda_W", "lambda_H"];
    this.controls.set("R", rounded(R));
    this.controls.set(free, rounded((x * x) / this.controls.value(fixed)));
  }

  async askPicture() {
    const since = this.asked;
    this.asked = null;
    const query = this.controls.query();
    try {
      this.picture = await found(`/api/picture?${query}`);
      this.complain(null);
    } catch (error) {
      this.complain(error.message);
      return;
    }
    this.draw();
    requestAnimationFrame(() =>
      setTimeout(() => performance.measure("slider to picture", { start: since, end: performance.now() })),
    );
    this.diagrams.ask();
  }

  // The diagram depends on numbers of classes and samples alone.
  async askDiagram() {
    const query = this.controls.query();
    const key = ["model", "K_A", "K_B", "n_B"].map((name) => query.get(name)).join();
    if (key === this.drawnFor) return;
    try {
      const data = await found(`/api/diagram?${query}`);
      this.drawnFor = key;
      this.diagram.show(data, this.point());
      performance.mark("diagram");
    } catch (error) {
      this.complain(error.message);
    }
  }

  complain(message) {
    at("error").hidden = message === null;
    at("error").textContent = message ?? "";
    this.controls.blame(message);
    at("figures").style.opacity = message === null ? "" : "0.35";
    at("verdict").style.opacity = message === null ? "" : "0.35";
  }

  draw() {
    const { picture } = this;
    if (!picture) return;
    describe(at("verdict"), picture);
    tabulate(at("groups"), picture);
    const { classes, frames, matrices } = picture;
    this.geometry.show(frames?.[at("frame").value] ?? null, classes);
    drawMatrix(at("gram"), at("gram-note"), matrices?.[at("matrix").value], classes);
    const group = classes?.group ?? [0, 1];
    drawSlack(at("slack"), group.map((g) => picture.groups.slack[g]), classes?.name ?? ["A", "B"]);
    const lone = picture.groups.classes.some((K, g) => K === 1 && picture.groups.slack[g] < 0);
    at("slack-note").textContent = (lone ? "A class alone can keep a direction below that. " : "") + (classes?.note ?? "");
    const sides = picture.groups.name.map((name, g) => `${name}: ${short(picture.groups.slack[g])}`);
    at("slack").setAttribute("aria-label", `Slack of each class, ${sides.join(", ")}`);
  }

  redraw() {
    this.draw();
    if (this.diagram.data) this.diagram.draw();
  }
}
