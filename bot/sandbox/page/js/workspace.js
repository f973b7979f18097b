// The page's state: what the control API answers and the stream says, and where this window is. Components draw it; client.js
// adds what a person does. No DOM here, apart from the address bar (#user=U…&channel=C…&thread=TS&home=1&panel=world|phones|none;
// message=TS leads to one message) and what the browser keeps (read marks, which forms were open).

import { get } from "./api.js";
import { HANDLERS } from "./events.js";
import { countUnread, inChannel, isReply, merged, placed } from "./lists.js";
import { dropMarksAfter, onReadElsewhere, readMark, setReadMark } from "./read_marks.js";
import { Stream } from "./stream.js";

const PAGE = 50;
const LONG_PAGE = 120; // for counting what is unread (shown up to 99+), and for going back
const WHOLE_THREAD = 200; // the most that one answer holds
const key = (channel, ts) => `${channel} ${ts}`;

export function readRoute() {
  const hash = new URLSearchParams(location.hash.slice(1));
  return { user: hash.get("user"), channel: hash.get("channel"), thread: hash.get("thread"), home: hash.get("home"), message: hash.get("message"), panel: hash.get("panel") };
}

// The forms that this tab had open, so that one which is gone after a reload does not go without a word.
const formsOf = (user) => `forms of ${user}`;
function rememberedForms(user) {
  try {
    return JSON.parse(sessionStorage.getItem(formsOf(user)) ?? "[]");
  } catch (error) {
    console.warn("Which forms were open could not be read back", error);
    return [];
  }
}

export class Workspace {
  constructor() {
    this.listeners = new Set();
    this.gone = new Set(); // "channel ts" of deleted messages, so that an answer under way does not bring them back
    this.state = {
      ready: false, trouble: null, connection: "opening", route: readRoute(), team: null, me: null, users: new Map(), channels: new Map(), commands: [], shortcuts: [],
      groups: [], home: null, homeTab: false, profile: null, newAfter: null, views: [], lists: new Map(), threads: new Map(), clockOffset_s: 0, epoch: 0, switches: null, paging: null, night: null, ledgerLast: 0, notes: [],
    };
  }

  // Everything that draws listens here; one call per change.
  subscribe(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  set(patch) {
    this.state = { ...this.state, ...patch };
    for (const listener of this.listeners) listener();
  }

  now_s() {
    return Date.now() / 1000 + this.state.clockOffset_s;
  }

  go(patch, { replace = false } = {}) {
    const route = { ...this.state.route, ...patch };
    const hash = `#${new URLSearchParams(Object.entries(route).filter(([, value]) => value))}`;
    if (hash !== location.hash) history[replace ? "replaceState" : "pushState"](null, "", hash);
    this.followRoute(route);
  }

  followRoute({ message, ...route }) {
    const before = this.state.route;
    if (message) this.sought = { channel: route.channel, ts: message };
    this.set({ route });
    if (route.user !== before.user) this.start();
    else {
      if (route.channel !== before.channel || route.home !== before.home) this.openedChannel();
      if (route.thread && (route.thread !== before.thread || route.channel !== before.channel)) this.loadThread(route.channel, route.thread);
    }
  }

  // `where` is {ts?, thread?}: a message to show, and the thread it is in.
  openChannel = (channel, where = {}) => {
    const ts = where.thread ?? where.ts; // a reply is found in its thread, which hangs on its first message
    this.sought = ts ? { channel, ts } : null;
    this.go({ channel, thread: where.thread ?? null, home: null });
  };

  // The conversation that is before somebody's eyes.
  looksAt(channel) {
    return channel === this.state.route.channel && !this.state.route.home && !document.hidden;
  }

  openUser = (user) => {
    const direct = [...this.state.channels.values()].find((channel) => channel.is_im && channel.im_user === user);
    if (direct) this.openChannel(direct.id);
    else if (this.state.users.has(user)) this.set({ profile: user });
  };

  setViews(views) {
    for (const { id } of this.state.views) {
      if (!views.some((view) => view.id === id)) sessionStorage.removeItem(`view ${id}`);
    }
    this.set({ views });
    sessionStorage.setItem(formsOf(this.state.me), JSON.stringify(views.map(({ id, title }) => ({ id, title: title?.text ?? "" }))));
  }

  async start() {
    this.stream?.close();
    this.set({ lists: new Map(), threads: new Map(), views: [] });
    const wanted = this.state.route.user;
    let state;
    try {
      state = await get("state", { user: wanted });
    } catch (error) {
      if (wanted && error.status >= 400 && error.status < 500) {
        this.go({ user: null, channel: null, thread: null, home: null }, { replace: true }); // an address of another workspace
        return;
      }
      this.set({ trouble: error.message });
      setTimeout(() => this.start(), 1000);
      return;
    }
    if (this.state.route.user !== wanted) return;
    this.adopt(state);
    const loads = [this.loadWorld()];
    if (this.state.route.thread) loads.push(this.loadThread(this.state.route.channel, this.state.route.thread));
    await Promise.all(loads);
  }

  // A full state, at the start and after every reconnect: the open channel is loaded anew beside it.
  adopt(state) {
    const users = new Map(state.users.map((user) => [user.id, user]));
    const channels = new Map(state.channels.map((channel) => [channel.id, channel]));
    const me = state.me?.id ?? state.me;
    const { message, ...wanted } = this.state.route;
    const route = { ...wanted, user: me };
    if (!channels.has(route.channel)) route.channel = this.homeChannel(channels);
    else if (message) this.sought = { channel: route.channel, ts: message };
    dropMarksAfter(state.now);
    history.replaceState(null, "", `#${new URLSearchParams(Object.entries(route).filter(([, value]) => value))}`);
    this.set({
      ready: true, trouble: null, connection: "open", route, team: state.team, me, users, channels, commands: state.commands ?? [], shortcuts: state.shortcuts ?? [],
      paging: state.paging ?? null, night: state.night ?? null, groups: state.groups ?? [], home: state.home ?? null, homeTab: state.home_tab ?? false, clockOffset_s: state.now - Date.now() / 1000, epoch: this.state.epoch + 1, lists: new Map(), threads: new Map(),
    });
    const views = state.views ?? [];
    for (const { id, title } of rememberedForms(me)) {
      if (views.some((view) => view.id === id)) continue;
      sessionStorage.removeItem(`view ${id}`);
      this.note(`The form “${title}” is closed: it is not open in the workspace any more.`);
    }
    this.setViews(views);
    this.listen(me, state.event_id);
    this.openedChannel();
    this.loadUnread();
  }

  // What happens outside of the stream: the window is looked at again, another window has read something. Returns how to stop.
  watchBrowser() {
    const looked = () => { if (this.state.ready && this.looksAt(this.state.route.channel)) this.markRead(this.state.route.channel); };
    document.addEventListener("visibilitychange", looked);
    const forget = onReadElsewhere((user, channel) => {
      const held = this.state.channels.get(channel);
      const items = this.state.lists.get(channel)?.items;
      if (user === this.state.me && held?.unread) this.patchChannel(channel, { unread: items ? countUnread(items, user, readMark(user, channel)) : 0 });
    });
    return () => {
      document.removeEventListener("visibilitychange", looked);
      forget();
    };
  }

  homeChannel(channels) {
    const all = [...channels.values()].filter((channel) => !channel.is_archived);
    return (all.find((channel) => channel.name === "support" && channel.is_member) ?? all.find((channel) => channel.is_member && !channel.is_im) ?? all[0])?.id ?? null;
  }

  listen(user, after) {
    this.stream?.close();
    this.stream = new Stream({
      user, after,
      onEvent: (event) => this.receive(event),
      onLost: () => this.set({ connection: "lost" }),
      onResumed: () => this.set({ connection: "open" }),
      onBack: (state) => {
        this.adopt(state);
        this.loadWorld();
        if (this.state.route.thread) this.loadThread(this.state.route.channel, this.state.route.thread);
      },
    });
  }

  openedChannel() {
    const { channel, home } = this.state.route;
    if (home) return;
    const held = this.state.channels.get(channel);
    const mark = readMark(this.state.me, channel);
    this.set({ newAfter: mark && (held?.unread || Number(held?.last_ts ?? 0) > mark) ? { channel, ts: mark } : null }); // the first look at a channel is not news
    this.markRead(channel);
    if (channel && !this.state.lists.get(channel)?.loaded) this.loadMessages(channel);
  }

  setList(channel, patch) {
    const lists = new Map(this.state.lists);
    lists.set(channel, { items: [], hasMore: false, loading: false, loaded: false, error: null, ...lists.get(channel), ...patch });
    this.set({ lists });
  }

  async loadMessages(channel, { older = false, limit = older ? LONG_PAGE : PAGE } = {}) {
    const list = this.state.lists.get(channel);
    if (list?.loading) return;
    const before = new Map((list?.items ?? []).map((item) => [item.ts, item]));
    this.setList(channel, { loading: true });
    const { me } = this.state;
    try {
      const oldest = older ? list.items.find((item) => !item.local)?.ts : undefined;
      const { messages, has_more } = await get("messages", { channel, user: me, before: oldest, limit });
      if (this.state.me !== me) return;
      const known = this.state.lists.get(channel)?.items ?? [];
      // What the stream has changed since the question was asked is newer than the answer.
      const changed = new Set(known.filter((item) => before.get(item.ts) !== item).map((item) => item.ts));
      const items = merged(known, messages.filter((message) => inChannel(message) && !changed.has(message.ts) && !this.gone.has(key(channel, message.ts))));
      this.setList(channel, { items, hasMore: has_more, loading: false, loaded: true, error: null });
      for (const reply of messages.filter(isReply)) this.keepReply(channel, reply);
    } catch (error) {
      this.setList(channel, { loading: false, loaded: true, error: error.message });
    }
  }

  async loadThread(channel, ts) {
    const { me } = this.state;
    try {
      for (let before, more = true; more;) {
        const { messages, has_more } = await get("messages", { channel, user: me, thread_ts: ts, before, limit: WHOLE_THREAD });
        if (this.state.me !== me) return;
        for (const message of messages) {
          if (isReply(message)) this.keepReply(channel, message);
          else if (message.ts === ts) this.keepRoot(channel, message);
        }
        before = messages[0]?.ts;
        more = has_more && before !== undefined;
      }
    } catch (error) {
      this.note(error.message);
    }
  }

  keepReply(channel, message) {
    const threads = new Map(this.state.threads);
    const id = key(channel, message.thread_ts);
    threads.set(id, { root: null, replies: [], ...threads.get(id), replies: placed(threads.get(id)?.replies ?? [], message) });
    this.set({ threads });
  }

  keepRoot(channel, message) {
    const threads = new Map(this.state.threads);
    const id = key(channel, message.ts);
    threads.set(id, { replies: [], ...threads.get(id), root: message });
    this.set({ threads });
  }

  thread(channel, ts) {
    const held = this.state.threads.get(key(channel, ts));
    const root = this.state.lists.get(channel)?.items.find((item) => item.ts === ts && !item.ephemeral) ?? held?.root ?? null;
    return { root, replies: held?.replies ?? [] };
  }

  async loadWorld() {
    try {
      const { switches } = await get("world");
      this.set({ switches });
    } catch (error) {
      this.set({ switches: {} });
      this.note(error.message);
    }
  }

  receive(event) {
    HANDLERS[event.type]?.(this, event);
  }

  patchChannel(id, patch) {
    const channels = new Map(this.state.channels);
    channels.set(id, { ...channels.get(id), ...patch });
    this.set({ channels });
  }

  markRead(channel) {
    const held = this.state.channels.get(channel);
    if (!held) return;
    setReadMark(this.state.me, channel, this.state.lists.get(channel)?.items.at(-1)?.ts ?? held.last_ts);
    if (held.unread) this.patchChannel(channel, { unread: 0 });
  }

  // Channels where something was said since this person last looked: their messages are loaded, and the new ones counted.
  loadUnread() {
    const { channels, me, route } = this.state;
    const behind = [...channels.values()].filter((channel) => (route.home || channel.id !== route.channel) && channel.is_member && !channel.is_archived && Number(channel.last_ts ?? 0) > readMark(me, channel.id));
    return Promise.all(behind.map(async (channel) => {
      await this.loadMessages(channel.id, { limit: LONG_PAGE });
      const items = this.state.lists.get(channel.id)?.items ?? [];
      if (this.state.me === me && !this.looksAt(channel.id)) this.patchChannel(channel.id, { unread: countUnread(items, me, readMark(me, channel.id)) });
    }));
  }

  // A short word at the foot of the page, for what went wrong outside any message.
  note(text) {
    const note = { id: Symbol("note"), text };
    this.set({ notes: [...this.state.notes, note] });
    setTimeout(() => this.set({ notes: this.state.notes.filter((held) => held !== note) }), 7000);
  }
}
