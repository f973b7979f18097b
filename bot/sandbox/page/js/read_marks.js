// How far each person has read each channel, kept by the browser: the sandbox itself does not count what is unread.
// One key per person and channel, so that two windows as two people do not overwrite each other. Called by workspace.js.

const at = (user, channel) => `muster-sandbox read ${user} ${channel}`;

export function readMark(user, channel) {
  return Number(localStorage.getItem(at(user, channel)) ?? 0);
}

export function setReadMark(user, channel, ts) {
  if (ts && Number(ts) > readMark(user, channel)) localStorage.setItem(at(user, channel), ts);
}
