// The phase diagram, with the point that is looked at.

import { axes, hatched, INK, label, mark, prepared, scale } from "./chart.js";
import { clamp } from "./numbers.js";

const FILLS = {
  separated: ["#ffffff", null],
  merged: ["#fbe3b9", "/"],
  annihilated: ["#cfa9c4", "."],
  undetermined: ["#808080", null],
};
const STYLES = { R0: [], R1: [6, 4] };

export class Diagram {
  // `moved(x, R)` is called when the point is dragged or moved by arrow keys.
  constructor(canvas, note, moved) {
    this.canvas = canvas;
    this.note = note;
    this.moved = moved;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.drag(event);
    });
    canvas.addEventListener("pointermove", (event) => event.buttons && this.drag(event));
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  show(data, point) {
    this.data = data;
    this.point = point;
    this.draw();
  }

  move(point) {
    this.point = point;
    if (this.data) this.draw();
  }

  drag(event) {
    if (!this.x) return;
    const inside = (at, range) => clamp(at, ...range);
    this.moved(
      inside(this.x.inverse(event.offsetX), this.data.x.range),
      inside(this.y.inverse(event.offsetY), this.data.y.range),
    );
  }

  key(event) {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!step || !this.data) return;
    event.preventDefault();
    const moved = (x, range, by) => clamp(x * (range[1] / range[0]) ** (by / 100), ...range);
    this.moved(moved(this.point.x, this.data.x.range, step[0]), moved(this.point.R, this.data.y.range, step[1]));
  }

  draw() {
    const { pen, width, height } = prepared(this.canvas);
    const box = { left: 62, top: 8, right: width - 12, bottom: height - 42 };
    const { data, point } = this;
    this.x = scale(...data.x.range, box.left, box.right, true);
    this.y = scale(...data.y.range, box.bottom, box.top, true);
    this.cells(pen, box);
    this.curves(pen, box);
    axes(pen, box, this.x, this.y, { x: data.x.name, y: data.y.name });
    this.names(pen, box);
    this.here(pen, point);
    this.words();
  }

  cells(pen, box) {
    const { cells, phases } = this.data;
    const up = (box.bottom - box.top) / cells.length;
    const fills = phases.map((name) => {
      const [colour, kind] = FILLS[name];
      return kind ? hatched(pen, colour, "#8a6a3a", kind) : colour;
    });
    cells.forEach((row, i) => {
      const across = (box.right - box.left) / row.length;
      for (let first = 0, last; first < row.length; first = last) {
        for (last = first; row[last] === row[first]; last++);
        pen.fillStyle = fills[row[first]];
        pen.fillRect(box.left + first * across, box.bottom - (i + 1) * up, (last - first) * across, up + 0.5);
      }
    });
  }

  curves(pen, box) {
    pen.save();
    pen.beginPath();
    pen.rect(box.left, box.top, box.right - box.left, box.bottom - box.top);
    pen.clip();
    pen.strokeStyle = INK;
    pen.lineWidth = 2;
    for (const curve of this.data.curves) {
      pen.setLineDash(STYLES[curve.name]);
      pen.beginPath();
      curve.x.forEach((x, k) => {
        const height = clamp(this.y(curve.y[k]), -1e4, 1e4);
        if (k) pen.lineTo(this.x(x), height);
        else pen.moveTo(this.x(x), height);
      });
      pen.stroke();
    }
    pen.restore();
  }

  // In the middle of each area, if there is room.
  names(pen, box) {
    const { cells, phases } = this.data;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    const [across, up] = [(box.right - box.left) / cells[0].length, (box.bottom - box.top) / cells.length];
    phases.forEach((name, code) => {
      const { room, i, j } = middle(cells, String(code), up / across);
      if (room * across > 30) label(pen, name, box.left + (j + 0.5) * across, box.bottom - (i + 0.5) * up);
    });
  }

  here(pen, point) {
    const { x, y } = this.data;
    const inside = point.x >= x.range[0] && point.x <= x.range[1] && point.R >= y.range[0] && point.R <= y.range[1];
    const at = [this.x(clamp(point.x, ...x.range)), this.y(clamp(point.R, ...y.range))];
    pen.fillStyle = "#fff";
    mark(pen, "circle", ...at, 9, true);
    pen.strokeStyle = INK;
    pen.lineWidth = 2;
    mark(pen, "circle", ...at, 7, false);
    pen.fillStyle = INK;
    if (inside) mark(pen, "circle", ...at, 3, true);
    this.inside = inside;
  }

  words() {
    const words = { R0: "solid line: R₀", R1: "dashed line: R₁" };
    const named = [...new Set(this.data.curves.map((curve) => words[curve.name]))];
    const exact = named.length ? `${named.join(", ")}, exact. ` : "";
    const outside = this.inside ? "" : "The point is outside of the diagram. ";
    const open = this.data.uncertified;
    const rest = open ? `${open} cells are not certified and grey. ` : "";
    const size = `${this.data.cells[0].length} × ${this.data.cells.length}`;
    this.note.textContent = `${outside}${exact}${rest}Areas: a sweep of ${size} cells.`;
  }
}

// The middle of a row of the area, far from its other rows' ends; `tall`: height of a cell over its width.
function middle(cells, code, tall) {
  let best = { room: 0 };
  cells.forEach((row, i) => {
    for (const run of row.matchAll(new RegExp(`${code}+`, "g"))) {
      const j = run.index + (run[0].length >> 1);
      let away = 0;
      while (cells[i - away - 1]?.[j] === code && cells[i + away + 1]?.[j] === code) away++;
      const room = Math.min(run[0].length / 2, 2 * tall * away);
      if (room > best.room) best = { room, i, j };
    }
  });
  return best;
}
