// The tab of diagnoses: a file is sent, and what the server finds is shown as it comes.

import { answer, copied } from "./asking.js";
import { PARAMETERS } from "./controls.js";
import { drawSlack } from "./slack.js";

const at = (id) => document.getElementById(id);
const BEGIN = { E_W: 1, E_H: 5, lambda_W: 0.001, lambda_H: 0.001 };

export class Diagnose {
  constructor() {
    this.file = null;
    this.running = null;
    this.found = null;
    at("file").addEventListener("change", (event) => event.target.files[0] && this.take(event.target.files[0]));
    at("diagnosed").addEventListener("change", () => this.parameters());
    at("question").addEventListener("submit", (event) => {
      event.preventDefault();
      this.ask();
    });
    at("cancel").addEventListener("click", () => this.running?.abort());
    at("copy-diagnosis").addEventListener("click", () => copied(this.python, at("copied-diagnosis")));
    at("save").addEventListener("click", () => this.save());
    new ResizeObserver(() => this.draw()).observe(at("answer"));
    this.parameters();
  }

  // Fields of the model that is chosen.
  parameters() {
    const names = PARAMETERS.filter(({ name, only }) => only === at("diagnosed").value && name in BEGIN);
    at("parameters").replaceChildren(
      ...names.map(({ name, words }) => {
        const label = document.createElement("label");
        label.title = words;
        label.append(`${name.replace("lambda", "λ")} `);
        const field = document.createElement("input");
        Object.assign(field, { type: "text", name, value: String(BEGIN[name]), inputMode: "decimal" });
        label.append(field);
        return label;
      }),
    );
  }

  take(file) {
    this.file = file;
    at("again").disabled = false;
    this.ask();
  }

  async ask() {
    if (!this.file) return;
    this.running?.abort();
    const running = (this.running = new AbortController());
    this.begin();
    try {
      const most = Number(at("diagnose").dataset.mostBytes);
      if (this.file.size > most) throw new Error(tooLarge(this.file.size, most));
      const response = await answer(`/api/diagnosis?${this.query()}`, {
        method: "POST",
        body: this.file,
        signal: running.signal,
      });
      for await (const event of lines(response.body)) if (this.running === running) this.tell(event);
    } catch (error) {
      if (this.running !== running) return; // another file has taken its place
      this.refuse(error.name === "AbortError" ? cancelled(this.found) : error.message);
    }
    if (this.running === running) this.end();
  }

  query() {
    const query = new URLSearchParams({ file: this.file.name, reading: at("reading").value });
    for (const field of at("parameters").querySelectorAll("input")) query.set(field.name, field.value.trim());
    return query;
  }

  begin() {
    this.found = null;
    at("refused").hidden = at("answer").hidden = true;
    at("working").hidden = false;
    at("doing").textContent = `reading ${this.file.name}`;
    at("cancel").disabled = false;
  }

  end() {
    this.running = null;
    at("working").hidden = at("looking").hidden = true;
    at("cancel").disabled = true;
    at("file").value = ""; // the same file, mended, can be chosen again
  }

  tell(event) {
    if (event.error) throw new Error(event.error);
    if (event.event === "read") this.python = event.python;
    if (event.event === "progress") {
      const doing = event.doing === "starting" ? "starting" : `${event.done} solves done; now: ${event.doing}`;
      at("doing").textContent = `${doing}; ${event.seconds.toFixed(0)} s`;
    }
    if (event.event === "error") this.refuse(event.message);
    if (event.event === "diagnosis") this.show(event);
  }

  refuse(message) {
    at("refused").textContent = message;
    at("refused").hidden = false;
  }

  show({ text, record }) {
    if (!this.found) at("text").textContent = text; // remedies, which come later, stand beside it
    this.found = record;
    at("subject").textContent = this.file.name;
    const remedies = record.remedies.map((remedy) => {
      const box = document.createElement("p");
      box.className = "remedy";
      const kind = document.createElement("b");
      kind.textContent = `By ${remedy.kind}: `;
      box.append(kind, remedy.message);
      return box;
    });
    at("remedies").replaceChildren(...remedies);
    at("looking").hidden = remedies.length === 2;
    at("answer").hidden = false;
    this.draw();
  }

  draw() {
    if (!this.found || at("answer").hidden) return;
    const { slack, names, counts } = this.found;
    const low = (k) => slack[k] ?? Infinity;
    const order = [...slack.keys()].sort((a, b) => low(b) - low(a) || counts[b] - counts[a]);
    drawSlack(at("slacks"), order.map((k) => slack[k]), order.map((k) => names[k]));
  }

  save() {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([JSON.stringify(this.found, null, 2)], { type: "application/json" }));
    link.download = "diagnosis.json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }
}

const cancelled = (found) =>
  found ? "Cancelled: what is shown was found before." : "Cancelled before anything was found.";

const tooLarge = (size, most) =>
  `the file has ${size} bytes, and at most ${most} are taken here: give class,count rows, or run ` +
  "lpmjax diagnose FILE, which streams files of any size.";

// The lines of JSON of a stream, one by one.
async function* lines(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    for (const part of parts) yield JSON.parse(part);
  }
  if (rest) yield JSON.parse(rest);
}
