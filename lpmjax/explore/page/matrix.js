// A matrix of the drawn classes as a heat map, light where it is large.

import { hatched, INK, prepared } from "./chart.js";
import { short } from "./numbers.js";

// cividis: even steps in lightness, the same to colour-blind readers
const PALETTE = ["#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#e1cc55", "#fee838"];
const WRITTEN = 10;
const NAMED = 24;

const channels = PALETTE.map((hex) => [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16)));

function colour(share) {
  const place = share * (PALETTE.length - 1);
  const k = Math.min(Math.floor(place), PALETTE.length - 2);
  const mixed = channels[k].map((from, c) => Math.round(from + (place - k) * (channels[k + 1][c] - from)));
  return `rgb(${mixed.join()})`;
}

const written = (x) => (Math.abs(x) < 5e-4 ? "0" : Math.abs(x) < 0.095 ? x.toPrecision(1) : short(x, 2));

export function drawMatrix(canvas, note, rows, classes) {
  const { pen, width, height } = prepared(canvas);
  if (!rows) {
    note.textContent = "No optimum to draw.";
    return;
  }
  const n = rows.length;
  const known = rows.flat().filter((x) => x !== null);
  const low = Math.min(...known, 0);
  const high = Math.max(...known, low);
  const share = (x) => (high > low ? (x - low) / (high - low) : 0);
  const side = Math.min(width - 110, height - 24);
  const left = 34;
  const cell = side / n;
  const blank = hatched(pen, "#ffffff", "#767676", "/");
  pen.textBaseline = "middle";
  rows.forEach((row, i) => {
    row.forEach((x, j) => {
      pen.fillStyle = x === null ? blank : colour(share(x));
      pen.fillRect(left + j * cell, 4 + i * cell, cell + 0.4, cell + 0.4);
      if (n > WRITTEN) return;
      pen.textAlign = "center";
      pen.fillStyle = x === null || share(x) > 0.5 ? INK : "#fff";
      pen.font = `${Math.min(11, cell / 3)}px system-ui, sans-serif`;
      if (x !== null) pen.fillText(written(x), left + (j + 0.5) * cell, 4 + (i + 0.5) * cell);
    });
  });
  pen.fillStyle = INK;
  pen.font = `${Math.min(12, cell)}px system-ui, sans-serif`;
  classes.name.slice(0, NAMED).forEach((name, k) => {
    pen.textAlign = "right";
    pen.fillText(name, left - 4, 4 + (k + 0.5) * cell);
    pen.textAlign = "center";
    if (cell > 17 || k % 2 === 0) pen.fillText(name, left + (k + 0.5) * cell, 4 + side + 9);
  });
  if (high > low) bar(pen, left + side + 14, side, low, high);
  const undefinedSome = known.length < n * n ? "Hatched: undefined, for a classifier is zero. " : "";
  note.textContent = `${high > low ? "" : "All zero. "}${undefinedSome}${classes.note}`;
}

function bar(pen, left, side, low, high) {
  for (let k = 0; k < side; k++) {
    pen.fillStyle = colour(1 - k / side);
    pen.fillRect(left, 4 + k, 12, 1.5);
  }
  pen.fillStyle = INK;
  pen.font = "12px system-ui, sans-serif";
  pen.textAlign = "left";
  [["bottom", 0], ["middle", 0.5], ["top", 1]].forEach(([baseline, share]) => {
    pen.textBaseline = baseline;
    pen.fillText(short(low + share * (high - low), 3), left + 17, 4 + side * (1 - share));
  });
}
