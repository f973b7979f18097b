// Where the page starts, and its frame: sidebar, channel, thread, world. Everything else is called from here.

import { html, render, useEffect, useMemo, useState } from "./vendor/htm-preact-standalone.js";
import { Client } from "./client.js";
import { Composer } from "./composer.js";
import { Dialog, Picker } from "./dialog.js";
import { Guide } from "./guide.js";
import { Icon } from "./icons.js";
import { Avatar, MessageList, ThreadPane } from "./messages.js";
import { Link, mrkdwn, unescapeSlack } from "./mrkdwn.js";
import { withEmoji } from "./emoji.js";
import { Phones, Ringing, rings } from "./phones.js";
import { Sidebar, channelMark, channelTitle } from "./sidebar.js";
import { Home, Views } from "./views.js";
import { World } from "./world.js";
import { readRoute } from "./workspace.js";

function Members({ client, channel, scope, onClose }) {
  const [chosen, setChosen] = useState([]);
  const members = channel.members ?? [];
  const others = [...scope.users.values()].filter((user) => !members.includes(user.id));
  return html`<${Dialog} title=${`Members of #${channel.name}`} onClose=${onClose} footer=${html`
    ${channel.is_member && html`<button type="button" class="button" onClick=${() => { client.membership("leave", { channel: channel.id }); onClose(); }}>Leave channel</button>`}
    <button type="button" class="button primary" disabled=${!chosen.length} onClick=${() => { client.membership("invite", { channel: channel.id, users: chosen }); onClose(); }}>Invite</button>`}>
    <ul class="members">${members.map((id) => {
      const user = scope.users.get(id) ?? { id, real_name: id };
      return html`<li key=${id}><${Avatar} user=${user} /><span><strong>${user.real_name || user.name}</strong><small>${user.title ?? ""}</small></span>${user.is_bot && html`<span class="badge">APP</span>`}</li>`;
    })}</ul>
    ${channel.is_member && others.length > 0 && html`<div class="input-block"><div class="input-label">Invite people</div><${Picker} label="People" placeholder="Choose people" multiple
      groups=${[{ options: others.map((user) => ({ key: user.id, text: user.real_name || user.name, description: user.title })) }]} selected=${chosen} onChange=${setChosen} /></div>`}
  <//>`;
}

function PhonesButton({ client, open, onClick }) {
  const ringing = client.state.paging.calls.some(rings);
  return html`<button type="button" class=${`button world-button${open ? " pressed" : ""}${ringing ? " phone-rings" : ""}`} aria-pressed=${open ? "true" : "false"} aria-label="Phones" onClick=${onClick}><${Icon} name="phone" /><span>Phones</span></button>`;
}

function ChannelHead({ client, channel, scope, onSidebar, onWorld, worldOpen, onPhones, phonesOpen }) {
  const [members, setMembers] = useState(false);
  const person = channel.is_im ? scope.users.get(channel.im_user) : null;
  const topic = channel.topic || channel.purpose || "";
  return html`<header class="channel-head">
    <div class="channel-line">
      <button type="button" class="icon-button only-narrow" aria-label="Channels" onClick=${onSidebar}><${Icon} name="menu" /></button>
      <h1 class="channel-name">${person ? html`<${Avatar} user=${person} size="avatar-small" />` : html`<${Icon} name=${channelMark(channel)} />`}<span>${channelTitle(channel, scope)}</span></h1>
      <div class="channel-topic" title=${person ? null : unescapeSlack(topic)}>${person ? person.title : mrkdwn(topic.replaceAll("\n", " "), scope)}</div>
      ${!person && html`<button type="button" class="button members-button" aria-label=${`${(channel.members ?? []).length} members`} onClick=${() => setMembers(true)}><${Icon} name="people" />${(channel.members ?? []).length}</button>`}
      ${client.state.paging && html`<${PhonesButton} client=${client} open=${phonesOpen} onClick=${onPhones} />`}
      <button type="button" class=${`button world-button${worldOpen ? " pressed" : ""}`} aria-pressed=${worldOpen ? "true" : "false"} aria-label="World" onClick=${onWorld}><${Icon} name="globe" /><span>World</span></button>
    </div>
    ${channel.bookmarks?.length > 0 && html`<ul class="bookmarks" aria-label="Bookmarks">${channel.bookmarks.map((bookmark) => html`<li key=${bookmark.id}>${bookmark.emoji ? html`<span>${withEmoji(bookmark.emoji)}</span>` : html`<${Icon} name="link" />`}<${Link} url=${bookmark.link} scope=${scope}>${bookmark.title}<//></li>`)}</ul>`}
    ${members && html`<${Members} client=${client} channel=${channel} scope=${scope} onClose=${() => setMembers(false)} />`}
  </header>`;
}

function Profile({ client, scope }) {
  const user = scope.users.get(client.state.profile);
  if (!user) return null;
  const close = () => client.set({ profile: null });
  return html`<${Dialog} title=${user.real_name || user.name} onClose=${close} footer=${html`<button type="button" class="button" data-autofocus onClick=${close}>Close</button>`}>
    <ul class="members"><li><${Avatar} user=${user} /><span><strong>@${user.name}</strong><small>${user.title ?? ""}</small></span>${user.is_guest && html`<span class="badge">GUEST</span>`}</li></ul>
  <//>`;
}

function Foot({ client, channel, scope }) {
  if (channel.is_archived) return html`<div class="composer-off">This channel is archived. It can be read, and nothing can be said in it.</div>`;
  if (channel.is_member === false && !channel.is_im) {
    return html`<div class="composer-off">You are looking at <strong>#${channel.name}</strong><button type="button" class="button primary" onClick=${() => client.membership("join", { channel: channel.id })}>Join channel</button></div>`;
  }
  return html`<${Composer} client=${client} channel=${channel} scope=${scope} />`;
}

function App({ client }) {
  const [state, setState] = useState(client.state);
  const [sidebar, setSidebar] = useState(false);
  useEffect(() => client.subscribe(() => setState(client.state)), []);
  useEffect(() => {
    client.start();
    const unwatch = client.watchBrowser();
    const moved = () => client.followRoute(readRoute());
    window.addEventListener("popstate", moved);
    return () => {
      unwatch();
      window.removeEventListener("popstate", moved);
    };
  }, []);

  // What names and dates need. It changes only when they do, so that messages are not drawn again for every unread count.
  const names = [...state.channels.values()].map((channel) => `${channel.id}${channel.name}${channel.is_archived}`).join();
  const scope = useMemo(() => ({ me: state.me, users: state.users, channels: state.channels, groups: state.groups, now_s: () => client.now_s(), openChannel: client.openChannel, openUser: client.openUser }), [state.me, state.users, state.groups, names, state.epoch]);
  const channel = state.channels.get(state.route.channel);
  const unread = [...state.channels.values()].reduce((sum, each) => sum + (each.id === channel?.id && !state.route.home ? 0 : each.unread ?? 0), 0);
  useEffect(() => {
    const place = state.route.home ? "Home" : channel && `${channel.is_im || channel.is_mpim ? "" : "#"}${channelTitle(channel, scope)}`;
    document.title = `${unread ? `(${unread}) ` : ""}${place ? `${place} · ` : ""}Muster sandbox`;
  }, [unread, channel, state.route.home]);

  if (!state.ready) return html`<p class="boot" role="status">${state.trouble ?? "Opening the workspace…"}</p>`;
  const { thread, panel } = state.route;
  const wide = window.matchMedia("(min-width: 1100px)").matches;
  const phonesOpen = panel === "phones" && Boolean(state.paging);
  const worldOpen = panel === "world" || (panel !== "none" && !phonesOpen && wide);
  const toggleWorld = () => client.go({ panel: worldOpen && !thread ? "none" : "world", thread: worldOpen && thread ? null : thread }, { replace: true });
  const togglePhones = () => client.go({ panel: phonesOpen && !thread ? "none" : "phones", thread: null }, { replace: true });
  return html`<div class=${`frame${sidebar ? " show-sidebar" : ""}${thread ? " with-thread" : ""}${worldOpen || phonesOpen ? " with-world" : ""}`}>
    ${state.connection === "lost" && html`<div class="lost" role="alert"><${Icon} name="warn" />Reconnecting… The sandbox does not answer.</div>`}
    <${Sidebar} client=${client} scope=${scope} onPick=${() => setSidebar(false)} />
    ${sidebar && html`<button type="button" class="veil" aria-label="Close the channel list" onClick=${() => setSidebar(false)}></button>`}
    <main class="channel" aria-label="Conversation">
      ${state.route.home ? html`<${Home} client=${client} scope=${scope} onSidebar=${() => setSidebar(true)} />` : channel ? html`
        <${ChannelHead} client=${client} channel=${channel} scope=${scope} onSidebar=${() => setSidebar(true)} onWorld=${toggleWorld} worldOpen=${worldOpen} onPhones=${togglePhones} phonesOpen=${phonesOpen} />
        <${Guide} client=${client} />
        <${MessageList} client=${client} channel=${channel} scope=${scope} />
        <${Foot} client=${client} channel=${channel} scope=${scope} />` : html`<p class="empty">There is no channel to show.</p>`}
    </main>
    ${thread && channel && !state.route.home && html`<${ThreadPane} client=${client} channel=${channel} scope=${scope} ts=${thread} />`}
    ${worldOpen && html`<${World} client=${client} onClose=${() => client.go({ panel: "none" }, { replace: true })} />`}
    ${phonesOpen && html`<${Phones} client=${client} onClose=${() => client.go({ panel: "none" }, { replace: true })} />`}
    <${Ringing} client=${client} shown=${phonesOpen && !thread} onShow=${() => client.go({ panel: "phones", thread: null }, { replace: true })} />
    <${Profile} client=${client} scope=${scope} />
    <${Views} client=${client} scope=${scope} />
    <div class="notes" role="status">${state.notes.map((note) => html`<p key=${note.text} class="note">${note.text}</p>`)}</div>
  </div>`;
}

const root = document.getElementById("app");
root.replaceChildren();
render(html`<${App} client=${new Client()} />`, root);
