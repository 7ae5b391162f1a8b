// Classifier rows (lines with filled marks) and features (open marks) in three directions, to be turned.

import { GROUPS, INK, label, line, mark, prepared } from "./chart.js";
import { short } from "./numbers.js";

const NAMED = 24;

export class Geometry {
  constructor(canvas, note) {
    this.canvas = canvas;
    this.note = note;
    this.yaw = 0.6;
    this.pitch = 0.35;
    canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
    canvas.addEventListener("pointermove", (event) => {
      if (event.buttons) this.turn(event.movementX / 120, event.movementY / 120);
    });
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!step) return;
      event.preventDefault();
      this.turn(step[0] / 6, step[1] / 6);
    });
  }

  turn(yaw, pitch) {
    this.yaw += yaw;
    this.pitch += pitch;
    if (this.frame) this.draw();
  }

  // `frame` is null where there is no optimum.
  show(frame, classes) {
    this.frame = frame;
    this.classes = classes;
    if (frame) this.draw();
    else {
      prepared(this.canvas);
      this.note.textContent = "No optimum to draw.";
    }
  }

  // Pixels to the right and down of the middle, and depth.
  seen([x, y, z], unit) {
    const [c, s] = [Math.cos(this.yaw), Math.sin(this.yaw)];
    const [across, away] = [c * x + s * y, c * y - s * x];
    const [cp, sp] = [Math.cos(this.pitch), Math.sin(this.pitch)];
    return [unit * across, -unit * (cp * z - sp * away), cp * away + sp * z];
  }

  draw() {
    const { pen, width, height } = prepared(this.canvas);
    const { frame, classes } = this;
    const reach = Math.max(...[...frame.w, ...frame.h].map((p) => Math.hypot(...p)), 1e-300);
    const unit = (0.5 * Math.min(width, height) - 26) / reach;
    pen.save();
    pen.translate(width / 2, height / 2);
    this.axes(pen, reach, unit);
    const things = frame.w.map((p, k) => ({ at: this.seen(p, unit), k, filled: true }));
    things.push(...frame.h.map((p, k) => ({ at: this.seen(p, unit), k, filled: false })));
    things.sort((a, b) => b.at[2] - a.at[2]);
    for (const { at, k, filled } of things) {
      const group = GROUPS[classes.group[k]];
      pen.strokeStyle = pen.fillStyle = group.colour;
      pen.lineWidth = 1.6;
      if (filled) line(pen, 0, 0, at[0], at[1]);
      mark(pen, group.mark, at[0], at[1], filled ? 4 : 8, filled);
    }
    if (classes.name.length <= NAMED && frame.axes.length) this.names(pen, unit);
    pen.restore();
    this.legend(pen, height);
    this.words();
  }

  axes(pen, reach, unit) {
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.setLineDash([2, 3]);
    this.frame.axes.forEach((name, axis) => {
      const end = [0, 0, 0];
      end[axis] = 1.04 * reach;
      const [x, y] = this.seen(end, unit);
      pen.strokeStyle = "#8c8c8c";
      pen.lineWidth = 1;
      line(pen, -x, -y, x, y);
      pen.fillStyle = "#595959";
      pen.fillText(name, 1.06 * x, 1.06 * y + (y > 0 ? 8 : -8));
    });
    pen.setLineDash([]);
  }

  // Classes at one place share a name.
  names(pen, unit) {
    const places = new Map();
    this.frame.w.forEach((p, k) => {
      const [x, y] = this.seen(p, unit);
      const length = Math.hypot(x, y) || 1;
      const at = [x + (17 * x) / length, y + (17 * y) / length];
      const key = at.map((c) => Math.round(c / 9)).join();
      if (!places.has(key)) places.set(key, { at, names: [] });
      places.get(key).names.push(this.classes.name[k]);
    });
    for (const { at, names } of places.values()) {
      label(pen, together(names, this.classes.name), ...at);
    }
  }

  legend(pen, height) {
    pen.textAlign = "left";
    pen.textBaseline = "middle";
    GROUPS.forEach((group, g) => {
      pen.strokeStyle = pen.fillStyle = group.colour;
      mark(pen, group.mark, 10, height - 12 - 16 * (1 - g), 4, true);
      pen.fillStyle = INK;
      pen.fillText(`group ${"AB"[g]}`, 20, height - 12 - 16 * (1 - g));
    });
  }

  words() {
    if (!this.frame.axes.length) {
      this.note.textContent = "All vectors are zero.";
      return;
    }
    const share = short(100 * this.frame.share, 3);
    this.note.textContent =
      `Lines with filled marks: classifier rows; open marks: features, scaled to the same total norm. ` +
      `These directions hold ${share} % of the squared norms. Drag or use arrow keys to turn. ${this.classes.note}`;
  }
}

// B1–B5, or A2, A5.
function together(names, all) {
  const first = all.indexOf(names[0]);
  const last = names[names.length - 1];
  if (names.length > 2 && all[first + names.length - 1] === last) return `${names[0]}–${last}`;
  return names.slice(0, 3).join(", ") + (names.length > 3 ? ", …" : "");
}
