// The live event stream (Server-sent events), kept open for as long as the page looks at one user. Called by client.js.
// When the connection drops it tries again until the sandbox answers, and then says so: the caller loads everything anew and
// opens a new stream after that state, so that nothing is missing, also when the sandbox itself was started again meanwhile.

import { get } from "./api.js";

const RETRY_MS = [250, 500, 1000, 2000];
const TYPES = ["message_changed", "message_deleted", "ephemeral", "channel", "view", "clock", "world", "users", "ledger"];

export class Stream {
  // onEvent(event) with event.type; onLost() once per loss; onBack(state) once the sandbox answers again (this stream is over then).
  constructor({ user, after, onEvent, onLost, onBack }) {
    Object.assign(this, { user, after, onEvent, onLost, onBack });
    this.tries = 0;
    this.closed = false;
    this.source = new EventSource(`/sandbox/stream?${new URLSearchParams({ user, after: String(after) })}`);
    const take = (event) => {
      const id = Number(event.lastEventId || NaN);
      if (id <= this.after) return; // repeated
      if (!Number.isNaN(id)) this.after = id;
      this.onEvent(JSON.parse(event.data));
    };
    this.source.onmessage = take;
    for (const type of TYPES) this.source.addEventListener(type, take);
    // The browser's own retry gives up after an HTTP error and cannot notice a restarted sandbox, so retrying is done here.
    this.source.onerror = () => {
      if (this.closed || this.tries) return;
      this.source.close();
      this.onLost();
      this.retry();
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
