// The left side: who I am, channels, direct messages. Called by app.js.

import { html } from "./vendor/htm-preact-standalone.js";
import { Icon } from "./icons.js";
import { Avatar } from "./messages.js";

export const channelMark = (channel) => (channel.is_archived ? "archive" : channel.is_mpim ? "people" : channel.is_private ? "lock" : "hash");

// A channel's name; of a direct message the names of the others.
export function channelTitle(channel, scope) {
  const nameOf = (id) => scope.users.get(id)?.real_name || scope.users.get(id)?.name || id;
  if (channel.is_im) return nameOf(channel.im_user);
  if (channel.is_mpim) return (channel.members ?? []).filter((id) => id !== scope.me).map(nameOf).join(", ");
  return channel.name;
}

const byName = (first, second) => (first.name ?? "").localeCompare(second.name ?? "", undefined, { numeric: true });

function Row({ channel, client, scope, onPick }) {
  const current = channel.id === client.state.route.channel && !client.state.route.home;
  const unread = current && !document.hidden ? 0 : channel.unread ?? 0;
  const person = channel.is_im ? scope.users.get(channel.im_user) : null;
  const name = channelTitle(channel, scope);
  return html`<li><button type="button" class=${`row${current ? " current" : ""}${unread ? " unread" : ""}${channel.is_member === false ? " outside" : ""}`} aria-current=${current ? "page" : null}
    onClick=${() => { client.openChannel(channel.id); onPick(); }}>
    <span class="row-mark">${person ? html`<${Avatar} user=${person} size="avatar-small" />` : html`<${Icon} name=${channelMark(channel)} />`}</span>
    <span class="row-name">${!person && !channel.is_mpim && html`<span class="unseen">${channel.is_private ? "private channel " : "channel "}</span>`}${name}</span>
    ${person?.is_bot && html`<span class="badge">APP</span>`}
    ${unread > 0 && html`<span class="count">${unread > 99 ? "99+" : unread}<span class="unseen"> unread</span></span>`}
  </button></li>`;
}

// Switching who I am is one click on a face; two windows with different #user= are two people.
function WhoAmI({ client, scope }) {
  const me = scope.users.get(scope.me);
  const people = [...scope.users.values()].filter((user) => !user.is_bot);
  return html`<section class="who" aria-label="Who you are">
    <div class="who-now">You are <strong>${me?.real_name || me?.name}</strong>${me?.is_guest && html` <span class="badge">GUEST</span>`}<small>${me?.title !== me?.real_name ? me?.title : ""}</small></div>
    <div class="who-faces" role="group" aria-label="Switch to">${people.map((user) => html`
      <button key=${user.id} type="button" class=${`who-face${user.id === scope.me ? " who-me" : ""}`} aria-pressed=${user.id === scope.me ? "true" : "false"} aria-label=${`Be ${user.real_name || user.name}`}
        title=${`Be ${user.real_name || user.name}${user.is_guest ? " (guest)" : ""}`} onClick=${() => client.go({ user: user.id, thread: null })}><${Avatar} user=${user} /></button>`)}</div>
  </section>`;
}

export function Sidebar({ client, scope, onPick }) {
  const all = [...client.state.channels.values()];
  const live = all.filter((channel) => !channel.is_archived);
  const direct = (channel) => channel.is_im || channel.is_mpim;
  const groups = [
    ["Channels", live.filter((channel) => !direct(channel) && channel.is_member !== false).sort(byName), true],
    ["Direct messages", live.filter(direct), true],
    ["Channels you can join", live.filter((channel) => !direct(channel) && channel.is_member === false).sort(byName), true],
    ["Archived", all.filter((channel) => channel.is_archived).sort(byName), false],
  ];
  return html`<nav class="sidebar" aria-label="Workspace">
    <header class="team"><span class="team-mark" aria-hidden="true">M</span><div><strong>${client.state.team?.name ?? "Muster sandbox"}</strong><small>On your own machine</small></div></header>
    <${WhoAmI} client=${client} scope=${scope} />
    <div class="rows">
      <button type="button" class=${`row${client.state.route.home ? " current" : ""}`} aria-current=${client.state.route.home ? "page" : null} onClick=${() => { client.openHome(); onPick(); }}>
        <span class="row-mark"><${Icon} name="home" /></span><span class="row-name">Home</span></button>
      ${groups.filter(([, channels]) => channels.length).map(([title, channels, open]) => html`
      <details key=${title} open=${open}><summary>${title}</summary><ul>${channels.map((channel) => html`<${Row} key=${channel.id} channel=${channel} client=${client} scope=${scope} onPick=${onPick} />`)}</ul></details>`)}</div>
  </nav>`;
}
