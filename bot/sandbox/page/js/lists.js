// Lists of messages, as plain values: in the order of ts, each ts once. Called by workspace.js and events.js.

const byTs = (first, second) => Number(first.ts) - Number(second.ts);

export const isReply = (message) => Boolean(message.thread_ts) && message.thread_ts !== message.ts;

// In the channel itself: everything but replies, and replies that were sent to the channel too.
export const inChannel = (message) => !isReply(message) || message.subtype === "thread_broadcast";

// Slack's own lines ("has joined the channel"): drawn quietly, never unread.
export const isSystem = (message) => /^(channel|group)_/.test(message.subtype ?? "");

// How many of these somebody has not seen: after their mark, not their own, not in a thread.
export function countUnread(items, me, mark) {
  return items.filter((item) => Number(item.ts) > mark && item.user !== me && !item.local && !isSystem(item) && inChannel(item)).length;
}

// A list with all of these messages in their places, in one go: what is added replaces what has the same ts.
export function merged(items, added) {
  const id = (message) => `${message.ephemeral ? "e" : "m"}${message.ts}`;
  return [...new Map([...items, ...added].map((message) => [id(message), message])).values()].sort(byTs);
}

// A list with this message in its place; one with the same ts is replaced.
export function placed(items, message) {
  const at = items.findIndex((item) => item.ts === message.ts && Boolean(item.ephemeral) === Boolean(message.ephemeral));
  if (at >= 0) return items.map((item, index) => (index === at ? message : item));
  const last = items.at(-1);
  return last && Number(last.ts) > Number(message.ts) ? [...items, message].sort(byTs) : [...items, message];
}
