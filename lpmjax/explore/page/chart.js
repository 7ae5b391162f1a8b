// A canvas in CSS pixels, its axes, and what tells areas apart without colour.

import { short } from "./numbers.js";

export const INK = "#1a1a1a";
export const GROUPS = [
  { colour: "#1f5a94", mark: "circle" },
  { colour: "#c4560a", mark: "square" },
];

// Cleared, at the resolution of the screen.
export function prepared(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.font = "12px system-ui, sans-serif";
  return { pen, width, height };
}

// A scale from [low, high] onto [first, last] pixels, and back.
export function scale(low, high, first, last, log = false) {
  const to = log ? Math.log : (x) => x;
  const from = log ? Math.exp : (x) => x;
  const slope = (last - first) / (to(high) - to(low));
  const at = (x) => first + (to(x) - to(low)) * slope;
  at.inverse = (pixel) => from(to(low) + (pixel - first) / slope);
  at.ticks = log ? decades(low, high) : steps(low, high);
  return at;
}

function decades(low, high) {
  const ticks = [];
  for (let k = Math.ceil(Math.log10(low) - 1e-9); k <= Math.log10(high) + 1e-9; k++) ticks.push(Number(`1e${k}`));
  return ticks;
}

function steps(low, high) {
  const raw = (high - low) / 5;
  const unit = 10 ** Math.floor(Math.log10(raw));
  const step = unit * [1, 2, 5, 10].find((x) => x * unit >= raw);
  const ticks = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) ticks.push(k * step);
  return ticks;
}

export function axes(pen, box, x, y, names) {
  pen.strokeStyle = INK;
  pen.fillStyle = INK;
  pen.lineWidth = 1;
  pen.strokeRect(box.left, box.top, box.right - box.left, box.bottom - box.top);
  pen.textBaseline = "top";
  pen.textAlign = "center";
  for (const tick of x ? x.ticks : []) {
    line(pen, x(tick), box.bottom, x(tick), box.bottom + 4);
    pen.fillText(short(tick), x(tick), box.bottom + 6);
  }
  if (names.x) pen.fillText(names.x, (box.left + box.right) / 2, box.bottom + 21);
  pen.textBaseline = "middle";
  pen.textAlign = "right";
  for (const tick of y ? y.ticks : []) {
    line(pen, box.left - 4, y(tick), box.left, y(tick));
    pen.fillText(short(tick), box.left - 6, y(tick));
  }
  pen.save();
  pen.translate(10, (box.top + box.bottom) / 2);
  pen.rotate(-Math.PI / 2);
  pen.textAlign = "center";
  if (names.y) pen.fillText(names.y, 0, 0);
  pen.restore();
}

export function line(pen, x1, y1, x2, y2) {
  pen.beginPath();
  pen.moveTo(x1, y1);
  pen.lineTo(x2, y2);
  pen.stroke();
}

export function mark(pen, kind, x, y, radius, filled) {
  pen.beginPath();
  if (kind === "circle") pen.arc(x, y, radius, 0, 2 * Math.PI);
  else pen.rect(x - 0.9 * radius, y - 0.9 * radius, 1.8 * radius, 1.8 * radius);
  if (filled) pen.fill();
  else pen.stroke();
}

// Text that can be read on anything.
export function label(pen, text, x, y) {
  pen.lineWidth = 3;
  pen.lineJoin = "round";
  pen.strokeStyle = "#fff";
  pen.strokeText(text, x, y);
  pen.fillStyle = INK;
  pen.fillText(text, x, y);
}

// Stripes ("/") or dots (".") on a background: areas differ in grey as well.
export function hatched(pen, background, ink, kind) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 8;
  const brush = tile.getContext("2d");
  brush.fillStyle = background;
  brush.fillRect(0, 0, 8, 8);
  brush.strokeStyle = brush.fillStyle = ink;
  brush.lineWidth = 1;
  if (kind === ".") {
    mark(brush, "circle", 2, 2, 1, true);
    mark(brush, "circle", 6, 6, 1, true);
  } else {
    for (const shift of [-8, 0, 8]) line(brush, shift - 1, 9, shift + 9, -1);
  }
  return pen.createPattern(tile, "repeat");
}
