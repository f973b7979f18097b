// The list of messages, one message, the thread beside it. Called by app.js.

import { Component, html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./vendor/htm-preact-standalone.js";
import { Blocks } from "./blocks.js";
import { isReply, isSystem } from "./lists.js";
import { Composer } from "./composer.js";
import { clockTime, dayDivider, fullMoment, sameDay } from "./dates.js";
import { Menu } from "./dialog.js";
import { Raw, Picture } from "./elements.js";
import { withEmoji } from "./emoji.js";
import { Icon } from "./icons.js";
import { Link, mrkdwn, safeUrl } from "./mrkdwn.js";
import { useSurface } from "./surface.js";

const GROUPED_WITHIN_S = 300; // Slack draws one name over what somebody says within five minutes
const REACTIONS = ["eyes", "+1", "white_check_mark", "raised_hands", "pushpin", "memo"];
const NONE = [];

function initials(name) {
  const words = name.split(/[\s_-]+/).filter(Boolean);
  return (words.length > 1 ? words[0][0] + words[1][0] : name.slice(0, 2)).toUpperCase();
}

// The square's colour and ink: white or black, whichever reads better on it (WCAG's relative luminance).
function coloured(hex) {
  if (!/^[0-9a-f]{6}$/i.test(hex ?? "")) return null;
  const [red, green, blue] = [0, 2, 4].map((at) => (parseInt(hex.slice(at, at + 2), 16) / 255) ** 2.2);
  const light = 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  return { backgroundColor: `#${hex}`, color: light > 0.183 ? "#15101a" : "#fff" };
}

export function Avatar({ user, size = "" }) {
  const name = user?.real_name || user?.name || "?";
  return html`<span class=${`avatar ${size}${user?.is_bot ? " avatar-bot" : ""}`} style=${user?.is_bot ? null : coloured(user?.color)} data-initials=${user?.is_bot ? name[0].toUpperCase() : initials(name)} aria-hidden="true"></span>`;
}

const SLACKBOT = { id: "USLACKBOT", name: "slackbot", real_name: "Slackbot", is_bot: true };
const author = (message, scope) => scope.users.get(message.user) ?? scope.users.get(message.bot) ?? (message.user === "USLACKBOT" ? SLACKBOT : { id: message.user ?? "?", real_name: message.username ?? message.user ?? message.bot ?? "Unknown" });

function Attachment({ attachment, surface }) {
  const colour = /^#?[0-9a-f]{6}$/i.test(attachment.color ?? "") ? { borderLeftColor: attachment.color.startsWith("#") ? attachment.color : `#${attachment.color}` } : {};
  return html`<div class="attachment" style=${colour}>
    ${attachment.pretext && html`<div>${mrkdwn(attachment.pretext, surface.scope)}</div>`}
    ${attachment.author_name && html`<div class="context">${attachment.author_name}</div>`}
    ${attachment.title && html`<div><strong>${attachment.title_link ? html`<${Link} url=${attachment.title_link} scope=${surface.scope}>${attachment.title}<//>` : attachment.title}</strong></div>`}
    ${attachment.blocks ? html`<${Blocks} blocks=${attachment.blocks} surface=${surface} />` : html`<div>${mrkdwn(attachment.text ?? attachment.fallback ?? "", surface.scope)}</div>`}
    ${attachment.fields?.length > 0 && html`<div class="fields">${attachment.fields.map((field) => html`<div class="field"><strong>${field.title}</strong><br />${mrkdwn(field.value ?? "", surface.scope)}</div>`)}</div>`}
    ${attachment.image_url && html`<${Picture} url=${attachment.image_url} alt=${attachment.fallback ?? attachment.title ?? "Picture"} className="image-block" />`}
    ${attachment.footer && html`<div class="context">${attachment.footer}</div>`}
  </div>`;
}

const weight = (bytes) => (bytes === undefined ? null : bytes < 1000 ? `${bytes} B` : bytes < 1e6 ? `${Math.round(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);

function File({ file }) {
  const url = file.url_private ?? file.permalink;
  if (file.mimetype?.startsWith("image/")) return html`<${Picture} url=${url} alt=${file.title || file.name} className="image-block" />`;
  return html`<a class="file" href=${safeUrl(new URL(url ?? "", location.href).href)} target="_blank" rel="noopener noreferrer"><${Icon} name="file" /><strong>${file.title || file.name}</strong> <small>${[file.pretty_type ?? file.filetype, weight(file.size)].filter(Boolean).join(" · ")}</small></a>`;
}

function Body({ message, channel, scope, client }) {
  // What a person typed carries a rich_text block too, but only as plain words: its marks (*bold*, `code`) are in the text.
  const blocks = message.client_msg_id && message.text ? NONE : message.blocks ?? NONE;
  const surface = useSurface({
    id: `m${message.ts.replace(".", "-")}`, kind: "message", scope, blocks, currentChannel: channel,
    send: (blockId, element, payload) => client.click(message, channel, blockId, element, payload),
  });
  const edited = message.edited && html` <span class="edited" title=${message.edited.ts ? fullMoment(Number(message.edited.ts)) : "edited"}>(edited)</span>`;
  return html`<div class="message-body">
    ${blocks.length ? html`<${Blocks} blocks=${blocks} surface=${surface} />` : message.text && html`<div class="message-text">${mrkdwn(message.text, scope)}${edited}</div>`}
    ${blocks.length > 0 && edited}
    ${(message.attachments ?? []).map((attachment) => html`<${Attachment} attachment=${attachment} surface=${surface} />`)}
    ${(message.files ?? []).map((file) => html`<${File} file=${file} />`)}
    ${!blocks.length && !message.text && !message.attachments?.length && !message.files?.length && html`<${Raw} what="Message" thing=${message} />`}
    ${message.reactions?.length > 0 && html`<div class="reactions">${message.reactions.map((reaction) => html`<button key=${reaction.name} type="button" class=${`reaction${reaction.users?.includes(scope.me) ? " reacted" : ""}`} aria-pressed=${reaction.users?.includes(scope.me) ? "true" : "false"} onClick=${() => client.react(message, channel, reaction.name)} title=${(reaction.users ?? []).map((id) => scope.users.get(id)?.real_name ?? id).join(", ")}>${withEmoji(`:${reaction.name}:`)} ${reaction.count ?? reaction.users?.length}</button>`)}</div>`}
  </div>`;
}

function Tools({ message, channel, client, inThread }) {
  const { shortcuts } = client.state;
  if (message.ephemeral) return null;
  const items = shortcuts.filter((shortcut) => shortcut.type === "message").map((shortcut) => ({
    label: shortcut.name, description: shortcut.description,
    onSelect: () => client.shortcut(shortcut, { channel, message_ts: message.ts }),
  }));
  const faces = REACTIONS.map((name) => ({ label: `${withEmoji(`:${name}:`)} ${name.replaceAll("_", " ")}`, onSelect: () => client.react(message, channel, name) }));
  return html`<div class="message-tools" role="group" aria-label="Message actions">
    <${Menu} label="Add a reaction" items=${faces}><${Icon} name="smile" /><//>
    ${!inThread && html`<button type="button" class="icon-button" aria-label="Reply in thread" title="Reply in thread" onClick=${() => client.go({ channel, thread: message.ts })}><${Icon} name="reply" /></button>`}
    ${items.length > 0 && html`<${Menu} label="More message actions" items=${items}><${Icon} name="more" /><//>`}
  </div>`;
}

// Drawn again only when something of its own changed: a channel may hold thousands.
class Message extends Component {
  shouldComponentUpdate(next) {
    const { props } = this;
    return ["message", "compact", "scope", "inThread", "channel"].some((name) => props[name] !== next[name]);
  }

  componentDidCatch(error) {
    this.setState({ broken: String(error) });
  }

  // A button that was pressed is often gone in the next version of its message. Who works by keyboard goes on at its place.
  getSnapshotBeforeUpdate() {
    return this.base?.contains(document.activeElement) ? this.controls().indexOf(document.activeElement) : null;
  }

  componentDidUpdate(props, state, place) {
    if (place === null || document.activeElement !== document.body) return;
    const controls = this.controls();
    controls[Math.min(Math.max(place, 0), controls.length - 1)]?.focus({ preventScroll: true });
  }

  controls() {
    return [...this.base.querySelectorAll("button:enabled, a[href], input:enabled")].filter((control) => control.checkVisibility());
  }

  render({ message, compact, channel, scope, client, inThread }, { broken }) {
    const user = author(message, scope);
    const at_s = Number(message.ts);
    const replies = message.reply_count ?? 0;
    return html`<article class=${`message${compact ? " compact" : ""}${message.ephemeral ? " ephemeral" : ""}${isSystem(message) ? " system" : ""}`} data-ts=${message.ts} aria-label=${`${user.real_name || user.name}, ${clockTime(at_s)}`}>
      <div class="message-side">${compact ? html`<time class="message-time">${clockTime(at_s)}</time>` : html`<${Avatar} user=${user} />`}</div>
      <div class="message-main">
        ${message.ephemeral && html`<div class="only-you"><${Icon} name="eye" />Only visible to you</div>`}
        ${!compact && html`<div class="message-head">
          <button type="button" class="author" onClick=${() => client.openUser(user.id)}>${user.real_name || user.name}</button>
          ${user.is_bot && html`<span class="badge">APP</span>`}${user.is_guest && html`<span class="badge">GUEST</span>`}
          <time class="message-time" title=${fullMoment(at_s)}>${clockTime(at_s)}</time>
        </div>`}
        ${broken ? html`<${Raw} what="Message" thing=${message} />` : html`<${Body} message=${message} channel=${channel} scope=${scope} client=${client} />`}
        ${!inThread && replies > 0 && html`<button type="button" class="thread-link" onClick=${() => client.go({ channel, thread: message.ts })}>
          ${(message.reply_users ?? []).slice(0, 3).map((id) => html`<${Avatar} user=${scope.users.get(id)} size="avatar-small" />`)}
          <span>${replies} ${replies === 1 ? "reply" : "replies"}</span></button>`}
      </div>
      <${Tools} message=${message} channel=${channel} client=${client} inThread=${inThread} />
    </article>`;
  }
}

// `newAfter` is the ts up to which this person had read when they came; null draws no line.
export function MessageRows({ messages, channel, scope, client, newAfter = null, inThread = false }) {
  const rows = [];
  let before = null;
  let lineDue = newAfter !== null;
  for (const message of messages) {
    const at_s = Number(message.ts);
    if (lineDue && at_s > newAfter && message.user !== scope.me && !isSystem(message)) {
      lineDue = false;
      rows.push(html`<div key="new" class="day day-new" role="separator"><span>New</span></div>`);
      before = before && { ts: before.ts };
    }
    if (!inThread && (!before || !sameDay(Number(before.ts), at_s))) {
      rows.push(html`<div key=${`day-${message.ts}`} class="day" role="separator"><span>${dayDivider(at_s, scope.now_s())}</span></div>`);
      before = null;
    }
    const quiet = isSystem(message);
    const compact = quiet || Boolean(before) && before.user === message.user && before.bot === message.bot && Boolean(before.ephemeral) === Boolean(message.ephemeral) && !before.reply_count && at_s - Number(before.ts) < GROUPED_WITHIN_S;
    rows.push(html`<${Message} key=${`${message.ephemeral ? "e" : "m"}${message.ts}`} message=${message} compact=${compact} channel=${channel} scope=${scope} client=${client} inThread=${inThread} />`);
    before = quiet ? { ts: message.ts } : message; // what follows one of Slack's own lines begins anew, with name and face
  }
  return rows;
}

const NEAR_TOP_PX = 600;

// Keeps the foot in sight while the reader is there, and the reader's place when older messages come in above. `onNearTop` is
// called when somebody scrolls up towards what is not loaded yet.
function useStick(ref, items, channel, me, onNearTop) {
  const was = useRef({ channel: null, bottom: true, height: 0, top: 0, first: null });
  const [behind, setBehind] = useState(false);
  const [far, setFar] = useState(false);
  const nearTop = useRef(onNearTop);
  nearTop.current = onNearTop;
  const toEnd = () => {
    ref.current.scrollTop = ref.current.scrollHeight;
    setBehind(false);
  };
  useLayoutEffect(() => {
    const box = ref.current;
    const held = was.current;
    const first = items[0]?.ts ?? null;
    const last = items.at(-1);
    const mine = last && last.ts !== held.last && (last.user === me || last.local);
    if (held.channel !== channel || held.bottom || mine) toEnd();
    else if (held.first !== null && first !== held.first && Number(first) < Number(held.first)) box.scrollTop = held.top + (box.scrollHeight - held.height);
    else if (last?.ts !== held.last) setBehind(true);
    Object.assign(held, { channel, height: box.scrollHeight, top: box.scrollTop, first, last: last?.ts, bottom: box.scrollHeight - box.scrollTop - box.clientHeight < 60 });
  }, [items, channel]);
  useEffect(() => {
    const box = ref.current;
    const scrolled = () => {
      const below_px = box.scrollHeight - box.scrollTop - box.clientHeight;
      const bottom = below_px < 60;
      const upwards = box.scrollTop < was.current.top;
      Object.assign(was.current, { bottom, top: box.scrollTop, height: box.scrollHeight });
      setFar(below_px > box.clientHeight);
      if (bottom) setBehind(false);
      if (upwards && box.scrollTop < NEAR_TOP_PX) nearTop.current();
    };
    box.addEventListener("scroll", scrolled, { passive: true });
    const resized = new ResizeObserver(() => { if (was.current.bottom) box.scrollTop = box.scrollHeight; });
    resized.observe(box);
    if (box.firstElementChild) resized.observe(box.firstElementChild);
    return () => {
      box.removeEventListener("scroll", scrolled);
      resized.disconnect();
    };
  }, []);
  return { behind, far, toEnd };
}

export function MessageList({ client, channel, scope, children }) {
  const box = useRef(null);
  const list = client.state.lists.get(channel.id);
  const items = list?.items ?? NONE;
  const older = (much) => { if (list?.hasMore && !list.loading) client.loadMessages(channel.id, { older: true, ...much }); };
  const { behind, far, toEnd } = useStick(box, items, channel.id, client.state.me, () => older());
  const { newAfter } = client.state;
  const reached = !list?.hasMore || Number(items[0]?.ts) <= newAfter?.ts; // what is new may begin further up than what is loaded
  const mark = newAfter?.channel === channel.id && reached ? newAfter.ts : null;
  const rows = useMemo(() => MessageRows({ messages: items, channel: channel.id, scope, client, newAfter: mark }), [items, channel.id, scope, mark]);
  useEffect(() => {
    const { sought } = client;
    if (!sought || sought.channel !== channel.id || !list?.loaded) return;
    const found = box.current.querySelector(`[data-ts="${CSS.escape(sought.ts)}"]`);
    if (!found && list.hasMore && !list.error && Number(items[0]?.ts) > Number(sought.ts)) {
      older({ limit: 200 }); // the most that one answer holds
      return;
    }
    client.sought = null;
    found?.scrollIntoView({ block: "center" });
    found?.classList.add("sought");
    if (!found) client.note("That message is not here any more.");
  });
  return html`<div class="list-wrap">
    <div ref=${box} class="list" role="log" aria-label=${`Messages in ${channel.name ?? "this conversation"}`} tabindex="0">
      <div class="list-inner">
        ${children}
        ${list?.hasMore && html`<div class="older"><button type="button" class="button" aria-busy=${list.loading ? "true" : null} onClick=${() => older()}>Show older messages</button></div>`}
        ${list?.error && html`<p class="empty" role="alert">${list.error}</p>`}
        ${list?.loaded && !items.length && !list.error && html`<p class="empty">Nothing here yet. Say the first word.</p>`}
        ${!list?.loaded && html`<p class="empty">Loading…</p>`}
        ${rows}
      </div>
    </div>
    ${(behind || far) && html`<button type="button" class=${`new-messages${behind ? "" : " to-newest"}`} onClick=${toEnd}>${behind ? "New messages" : "Jump to newest"} <${Icon} name="down" /></button>`}
  </div>`;
}

export function ThreadPane({ client, channel, scope, ts }) {
  const box = useRef(null);
  const { root, replies } = client.thread(channel.id, ts);
  useLayoutEffect(() => {
    box.current.scrollTop = box.current.scrollHeight;
  }, [replies.length, ts]);
  return html`<aside class="pane thread-pane" aria-label="Thread">
    <header class="pane-head"><h2>Thread <small>${channel.is_im ? "" : `#${channel.name}`}</small></h2>
      <button type="button" class="icon-button" aria-label="Close thread" onClick=${() => client.go({ thread: null })}><${Icon} name="close" /></button></header>
    <div ref=${box} class="list" tabindex="0" role="log" aria-label="Messages of the thread"><div class="list-inner">
      ${root && html`<${MessageRows} messages=${[root]} channel=${channel.id} scope=${scope} client=${client} inThread />`}
      <div class="thread-count">${replies.filter(isReply).length || "No"} ${replies.length === 1 ? "reply" : "replies"}</div>
      <${MessageRows} messages=${replies} channel=${channel.id} scope=${scope} client=${client} inThread />
    </div></div>
    ${channel.is_member && !channel.is_archived && html`<${Composer} client=${client} channel=${channel} thread=${ts} scope=${scope} />`}
  </aside>`;
}
