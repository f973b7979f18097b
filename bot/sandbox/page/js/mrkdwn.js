// Slack's mrkdwn as DOM nodes. Text only ever becomes text nodes, so HTML in a message is shown and never run.
// Called by blocks.js and messages.js. `scope` is what names need: {users: Map, channels: Map, groups?: [{id, handle, name}], now_s(), openChannel(id), openUser(id)}.

import { h, html } from "./vendor/htm-preact-standalone.js";
import { withEmoji } from "./emoji.js";
import { formatSlackDate, fullMoment } from "./dates.js";

const MAX_DEPTH = 12; // nested *_~ markers in a hostile message must not exhaust the stack

export function unescapeSlack(text) {
  return text.replace(/&(lt|gt|amp);/g, (_, name) => ({ lt: "<", gt: ">", amp: "&" })[name]);
}

// Only addresses that a browser opens harmlessly; "javascript:" and friends are shown as text.
export function safeUrl(url) {
  return /^(https?:|mailto:|tel:)/i.test(url.trim()) ? url.trim() : null;
}

// A permalink or slack:// address that points into this workspace: {channel, ts, thread} or null.
export function insideLink(url) {
  const found = /\/archives\/([CDG][A-Z0-9]+)(?:\/p(\d{10})(\d{6}))?/.exec(url) ?? /^slack:\/\/channel\?.*\bid=([CDG][A-Z0-9]+)/.exec(url);
  if (!found) return null;
  return { channel: found[1], ts: found[2] ? `${found[2]}.${found[3]}` : null, thread: /[?&]thread_ts=(\d+\.\d+)/.exec(url)?.[1] ?? null };
}

export function Link({ url, scope, children }) {
  const inside = insideLink(url);
  if (inside && scope.channels.has(inside.channel)) {
    return html`<button type="button" class="linklike" onClick=${() => scope.openChannel(inside.channel, inside)}>${children}</button>`;
  }
  const safe = safeUrl(url);
  if (!safe) return html`<span class="unsafe-link" title="This address is not opened">${children}</span>`;
  return html`<a href=${safe} target="_blank" rel="noopener noreferrer">${children}</a>`;
}

export function UserMention({ id, scope, label }) {
  const user = scope.users.get(id);
  const name = user ? user.real_name || user.name : label || id;
  return html`<button type="button" class=${`mention${id === scope.me ? " mention-me" : ""}`} title=${user?.title || name} onClick=${() => scope.openUser(id)}>@${name}</button>`;
}

export function GroupMention({ id, scope, label }) {
  const group = scope.groups?.find((each) => each.id === id);
  return html`<span class="mention" title=${group?.name ?? id}>${group ? `@${group.handle}` : label || "@group"}</span>`;
}

export function ChannelLink({ id, scope, label }) {
  const channel = scope.channels.get(id);
  if (!channel) return html`<span class="mention">${label ? `#${label}` : "🔒 private channel"}</span>`;
  return html`<button type="button" class="mention" onClick=${() => scope.openChannel(id)}>${channel.is_private ? "🔒" : "#"}${channel.name}</button>`;
}

export function Moment({ at_s, format, fallback, url, scope }) {
  const words = Number.isFinite(at_s) ? formatSlackDate(at_s, format, scope.now_s()) : fallback;
  const node = html`<time title=${Number.isFinite(at_s) ? fullMoment(at_s) : fallback}>${words}</time>`;
  return url ? html`<${Link} url=${url} scope=${scope}>${node}<//>` : node;
}

// What stands between "<" and ">": a mention, a channel, a date, a broadcast, a link. null when it is none of them.
function entity(body, scope) {
  const [target, label] = splitOnce(body, "|");
  if (/^@[UW][A-Z0-9]+$/.test(target)) return h(UserMention, { id: target.slice(1), label, scope });
  if (/^#[CDG][A-Z0-9]+$/.test(target)) return h(ChannelLink, { id: target.slice(1), label, scope });
  if (/^!(here|channel|everyone)$/.test(target)) return html`<span class="mention mention-me">@${target.slice(1)}</span>`;
  if (target.startsWith("!subteam^")) return h(GroupMention, { id: target.slice("!subteam^".length), label, scope });
  if (target.startsWith("!date^")) {
    const [, at, format, url] = target.split("^");
    return h(Moment, { at_s: /^\d+$/.test(at) ? Number(at) : NaN, format: unescapeSlack(format ?? ""), fallback: label ?? "", url, scope });
  }
  if (/^[a-z][a-z0-9+.-]*:/i.test(target)) {
    const url = unescapeSlack(target);
    return h(Link, { url, scope }, withEmoji(unescapeSlack(label || target.replace(/^mailto:/, ""))));
  }
  return null;
}

function splitOnce(text, separator) {
  const at = text.indexOf(separator);
  return at < 0 ? [text, null] : [text.slice(0, at), text.slice(at + 1)];
}

const FORMATS = { "*": "strong", _: "em", "~": "s" };
const WORD = /[\p{L}\p{N}]/u;

const NO_OPENING = -1;
const NONE_ON_LINE = -2;

// Where the marker that opens at `start` closes, or one of the two above: on the same line, not beside a space, not inside a word or an entity.
function closing(text, start, marker) {
  if (start > 0 && WORD.test(text[start - 1])) return NO_OPENING;
  if (!text[start + 1] || /\s/.test(text[start + 1]) || text[start + 1] === marker) return NO_OPENING;
  for (let i = start + 1; i < text.length && text[i] !== "\n"; i += 1) {
    if (text[i] === "<") {
      const end = text.indexOf(">", i);
      if (end > 0) i = end;
    } else if (text[i] === "`") {
      const end = text.indexOf("`", i + 1);
      if (end > 0) i = end;
    } else if (text[i] === marker && !/\s/.test(text[i - 1]) && !(text[i + 1] && WORD.test(text[i + 1]))) {
      return i;
    }
  }
  return NONE_ON_LINE;
}

function inline(text, scope, depth = 0) {
  const nodes = [];
  const hopeless = {}; // marker -> up to where it is known that nothing closes it; keeps a text full of marks linear
  let plain = "";
  const flush = () => {
    if (plain) nodes.push(withEmoji(unescapeSlack(plain)));
    plain = "";
  };
  for (let i = 0; i < text.length; i += 1) {
    const char = text[i];
    if (char === "<") {
      const end = text.indexOf(">", i);
      const node = end > 0 ? entity(text.slice(i + 1, end), scope) : null;
      if (node) {
        flush();
        nodes.push(node);
        i = end;
        continue;
      }
    } else if (char === "`") {
      const end = text.indexOf("`", i + 1);
      if (end > i + 1 && !text.slice(i, end).includes("\n")) {
        flush();
        nodes.push(html`<code>${unescapeSlack(text.slice(i + 1, end))}</code>`);
        i = end;
        continue;
      }
    } else if (FORMATS[char] && depth < MAX_DEPTH && !(i < hopeless[char])) {
      const end = closing(text, i, char);
      if (end === NONE_ON_LINE) {
        const line = text.indexOf("\n", i);
        hopeless[char] = line < 0 ? text.length : line;
      } else if (end > 0) {
        flush();
        nodes.push(h(FORMATS[char], null, inline(text.slice(i + 1, end), scope, depth + 1)));
        i = end;
        continue;
      }
    } else if (char === "\n") {
      flush();
      nodes.push(html`<br />`);
      continue;
    } else if (char === "h" && !WORD.test(text[i - 1] ?? " ")) {
      const bare = /^https?:\/\/[^\s<>|`]+[^\s<>|`.,;:!?)'"*_~]/.exec(text.slice(i, i + 2100));
      if (bare) {
        flush();
        const url = unescapeSlack(bare[0]);
        nodes.push(h(Link, { url, scope }, url));
        i += bare[0].length - 1;
        continue;
      }
    }
    plain += char;
  }
  flush();
  return nodes;
}

// Lines, with those that begin with ">" gathered into quotes.
function lines(text, scope) {
  const parts = [];
  for (const line of text.split("\n")) {
    const quoted = /^(?:>|&gt;) ?(.*)$/.exec(line);
    const last = parts.at(-1);
    if (last && last.quote === Boolean(quoted)) last.lines.push(quoted ? quoted[1] : line);
    else parts.push({ quote: Boolean(quoted), lines: [quoted ? quoted[1] : line] });
  }
  return parts.map((part) => {
    const nodes = inline(part.lines.join("\n"), scope);
    return part.quote ? html`<blockquote>${nodes}</blockquote>` : nodes;
  });
}

// A mrkdwn text as nodes: ``` blocks first (nothing inside them is markup), then quotes, then the inline marks.
export function mrkdwn(text, scope) {
  return text.split(/```\n?([\s\S]*?)\n?```\n?/g).map((part, index) => {
    if (index % 2) return html`<pre class="preformatted">${unescapeSlack(part)}</pre>`;
    return part ? lines(index ? part : part.replace(/\n$/, ""), scope) : null;
  });
}

// A text object ({type: plain_text | mrkdwn, text}) as nodes. plain_text is shown to the letter, emoji names aside.
export function textObject(object, scope) {
  if (!object) return null;
  if (typeof object === "string") return withEmoji(object);
  if (object.type === "mrkdwn") return mrkdwn(object.text ?? "", scope);
  return object.emoji === false ? object.text : withEmoji(object.text ?? "");
}

// The words alone, for labels, titles and options of native controls.
export function plainWords(object) {
  if (!object) return "";
  if (typeof object === "string") return withEmoji(object);
  return withEmoji(unescapeSlack(object.text ?? "").replace(/<[@#!]?[^|>]*\|([^>]*)>/g, "$1"));
}
