// Slack of each class: bars of a few, marks of many.

import { axes, hatched, INK, line, mark, prepared, scale } from "./chart.js";
import { short } from "./numbers.js";

const KEPT = "#1f5a94";
const GONE = "#c4560a";
const BARS = 40;

// `names` of the bars; infinite slack (a budget that does not bind) is null and not drawn.
export function drawSlack(canvas, slack, names) {
  const { pen, width, height } = prepared(canvas);
  const known = slack.filter((x) => x !== null);
  if (!known.length) return;
  const few = slack.length <= BARS;
  const low = Math.min(0, ...known.slice(0, 1e5));
  const high = Math.max(0, ...known.slice(0, 1e5));
  const room = 0.12 * (high - low) || 1;
  const box = { left: 58, top: 24, right: width - (few ? 8 : 22), bottom: height - 40 };
  const y = scale(low - (low < 0 ? room : 0), high + (high > 0 ? room : 0), box.bottom, box.top);
  const log = slack.length > 300;
  const x = scale(log ? 1 : 0.5, slack.length + (log ? 0 : 0.5), box.left, box.right, log);
  const stripes = hatched(pen, "#fff", GONE, "/");
  slack.forEach((value, k) => {
    if (value === null) return;
    pen.strokeStyle = value < 0 ? GONE : KEPT;
    pen.fillStyle = value < 0 ? (few ? stripes : GONE) : KEPT;
    if (few) bar(pen, x, y, k + 1, value);
    else mark(pen, value < 0 ? "square" : "circle", x(k + 1), y(value), 2, value >= 0);
  });
  axes(pen, box, few ? null : x, y, { x: few ? "class" : "class, by decreasing slack", y: "slack" });
  pen.strokeStyle = INK;
  line(pen, box.left, y(0), box.right, y(0));
  if (few) {
    values(pen, x, y, slack);
    classNames(pen, box, x, names);
  }
  legend(pen, few, stripes, slack);
}

function bar(pen, x, y, k, value) {
  const wide = 0.7 * (x(2) - x(1));
  const [from, to] = [y(Math.max(value, 0)), y(Math.min(value, 0))];
  pen.lineWidth = 1.5;
  pen.fillRect(x(k) - wide / 2, from, wide, to - from);
  pen.strokeRect(x(k) - wide / 2, from, wide, to - from);
}

// Once for neighbours of equal slack.
function values(pen, x, y, slack) {
  pen.fillStyle = INK;
  pen.textAlign = "center";
  for (let first = 0, last; first < slack.length; first = last) {
    for (last = first; slack[last] === slack[first] && last < slack.length; last++);
    if (slack[first] === null) continue;
    pen.textBaseline = slack[first] < 0 ? "top" : "bottom";
    const text = short(slack[first], 3);
    if (pen.measureText(text).width > (last - first) * (x(2) - x(1))) continue;
    pen.fillText(text, x((first + last + 1) / 2), y(slack[first]) + (slack[first] < 0 ? 3 : -3));
  }
}

function classNames(pen, box, x, names) {
  const room = x(2) - x(1);
  pen.fillStyle = INK;
  pen.textAlign = "center";
  pen.textBaseline = "top";
  names.forEach((name, k) => {
    const shown = name.length > 8 ? `${name.slice(0, 7)}…` : name;
    if (pen.measureText(shown).width + 6 < room || k % Math.ceil(56 / room) === 0) pen.fillText(shown, x(k + 1), box.bottom + 5);
  });
}

function legend(pen, few, stripes, slack) {
  const entries = [
    ["slack ≥ 0", KEPT, true, slack.some((x) => x !== null && x >= 0)],
    ["slack < 0", GONE, false, slack.some((x) => x !== null && x < 0)],
  ];
  let left = 58;
  pen.textAlign = "left";
  pen.textBaseline = "middle";
  for (const [words, colour, filled, there] of entries) {
    if (!there) continue;
    pen.fillStyle = few && !filled ? stripes : colour;
    pen.strokeStyle = colour;
    mark(pen, filled && !few ? "circle" : "square", left + 6, 11, 5, few || filled);
    if (!filled) mark(pen, "square", left + 6, 11, 5, false);
    pen.fillStyle = INK;
    pen.fillText(words, left + 16, 11);
    left += 90;
  }
}
