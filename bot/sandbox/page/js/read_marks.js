// How far each person has read each channel, kept by the browser: the sandbox itself does not count what is unread.
// One key per person and channel, so that two windows as two people do not overwrite each other, and two of one person agree.
// Called by workspace.js.

const PREFIX = "muster-sandbox read ";
const at = (user, channel) => `${PREFIX}${user} ${channel}`;

export function readMark(user, channel) {
  return Number(localStorage.getItem(at(user, channel)) ?? 0);
}

export function setReadMark(user, channel, ts) {
  if (ts && Number(ts) > readMark(user, channel)) localStorage.setItem(at(user, channel), ts);
}

// Marks after `now_s` are of a workspace whose time had been moved on and that has been started again since.
export function dropMarksAfter(now_s) {
  for (const name of Object.keys(localStorage)) {
    if (name.startsWith(PREFIX) && Number(localStorage.getItem(name)) > now_s + 1) localStorage.removeItem(name);
  }
}

// Calls back with (user, channel) when another window of this browser has read something. Returns how to stop.
export function onReadElsewhere(heard) {
  const stored = ({ key, newValue }) => {
    if (newValue === null || !key?.startsWith(PREFIX)) return;
    const [user, channel] = key.slice(PREFIX.length).split(" ");
    heard(user, channel);
  };
  window.addEventListener("storage", stored);
  return () => window.removeEventListener("storage", stored);
}
