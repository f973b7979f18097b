// The live event stream (Server-sent events), kept open for as long as the page looks at one user. Called by workspace.js.
// When the connection drops the browser opens it again by itself and says what it had last (Last-Event-ID): the sandbox goes
// on from there, so nothing is missing. When that cannot be (it was too long ago, or the sandbox was started again) the browser
// gives up, and this asks for the whole state until the sandbox answers: the caller loads everything anew from it.

import { get } from "./api.js";

const RETRY_MS = [250, 500, 1000, 2000];

export class Stream {
  // onEvent(event) with event.type; onLost() once per loss; onResumed() when it goes on; onBack(state) when it must begin anew
  // (this stream is over then).
  constructor({ user, after, onEvent, onLost, onResumed, onBack }) {
    Object.assign(this, { user, after, onEvent, onLost, onResumed, onBack });
    this.tries = 0;
    this.closed = false;
    this.lost = false;
    this.source = new EventSource(`/sandbox/stream?${new URLSearchParams({ user, after: String(after) })}`);
    this.source.onmessage = (event) => {
      const id = Number(event.lastEventId || NaN);
      if (id <= this.after) return; // repeated
      if (!Number.isNaN(id)) this.after = id;
      this.onEvent(JSON.parse(event.data));
    };
    this.source.onopen = () => {
      if (!this.lost) return;
      this.lost = false;
      this.onResumed();
    };
    this.source.onerror = () => {
      if (this.closed) return;
      if (!this.lost) this.onLost();
      this.lost = true;
      if (this.source.readyState === EventSource.CLOSED) this.retry();
    };
  }

  retry() {
    const wait_ms = RETRY_MS[Math.min(this.tries, RETRY_MS.length - 1)];
    this.tries += 1;
    this.timer = setTimeout(async () => {
      let state;
      try {
        state = await get("state", { user: this.user });
      } catch {
        if (!this.closed) this.retry();
        return;
      }
      if (!this.closed) this.onBack(state);
    }, wait_ms);
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
    this.source.close();
  }
}
