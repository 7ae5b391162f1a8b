// Requests to the server.

// The answer, or an Error with what the server says of a request that it refuses.
export async function answer(path, options = {}) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("no answer: has lpmjax explore ended?");
  }
  if (!response.ok) {
    const said = await response.json().catch(() => ({}));
    throw new Error(said.error ?? `the server says ${response.status}`);
  }
  return response;
}

// The answer as an object, or an Error with what the library says of the question.
export async function found(path) {
  const said = await (await answer(path)).json();
  if (said.error) throw new Error(said.error);
  return said;
}

// One question at a time, and after it the latest: `ask()` may be called as often as a slider moves.
export class Latest {
  constructor(work) {
    this.work = work;
    this.busy = false;
    this.again = false;
  }

  async ask() {
    this.again = true;
    if (this.busy) return;
    this.busy = true;
    while (this.again) {
      this.again = false;
      await this.work();
    }
    this.busy = false;
  }
}

export async function copied(text, place) {
  try {
    await navigator.clipboard.writeText(text);
    place.textContent = "copied";
  } catch {
    window.prompt("Copy it from here:", text);
    return;
  }
  setTimeout(() => (place.textContent = ""), 2000);
}
