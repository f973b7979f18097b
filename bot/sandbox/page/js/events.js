// What each event of the stream does to the page's state. Called by workspace.js (and client.js, for the clock it moved itself).

import { inChannel, isReply, isSystem, placed } from "./lists.js";
import { readMark } from "./read_marks.js";

const key = (channel, ts) => `${channel} ${ts}`;

export const HANDLERS = {
  message(workspace, { channel, message }) {
    if (isReply(message)) workspace.keepReply(channel, message);
    const { me } = workspace.state;
    const known = workspace.state.lists.get(channel)?.items.some((item) => item.ts === message.ts); // loaded, and counted there
    const counts = inChannel(message) && !isSystem(message) && message.user !== me && !known && Number(message.ts) > readMark(me, channel);
    if (inChannel(message) && workspace.state.lists.has(channel)) workspace.setList(channel, { items: placed(workspace.state.lists.get(channel).items, message) });
    const open = workspace.looksAt(channel);
    const held = workspace.state.channels.get(channel);
    if (held) workspace.patchChannel(channel, { last_ts: message.ts, unread: (held.unread ?? 0) + (counts && !open ? 1 : 0) });
    if (open) workspace.markRead(channel);
  },

  ephemeral(workspace, event) {
    HANDLERS.message(workspace, { ...event, message: { ...event.message, ephemeral: true } });
  },

  message_changed(workspace, { channel, message }) {
    if (isReply(message)) workspace.keepReply(channel, message);
    else if (workspace.state.threads.has(key(channel, message.ts))) workspace.keepRoot(channel, message);
    const list = workspace.state.lists.get(channel);
    if (list?.items.some((item) => item.ts === message.ts)) workspace.setList(channel, { items: placed(list.items, message) });
  },

  message_deleted(workspace, { channel, ts, message, deleted_ts }) {
    const gone = ts ?? deleted_ts ?? message?.ts;
    workspace.gone.add(key(channel, gone));
    const list = workspace.state.lists.get(channel);
    if (list) workspace.setList(channel, { items: list.items.filter((item) => item.ts !== gone) });
    const threads = new Map([...workspace.state.threads].map(([id, thread]) => [id, { ...thread, replies: thread.replies.filter((reply) => reply.ts !== gone) }]));
    workspace.set({ threads });
  },

  channel(workspace, { channel }) {
    const before = workspace.state.channels.get(channel.id);
    const channels = new Map(workspace.state.channels);
    if (channel.is_private && !channel.is_member) channels.delete(channel.id);
    else channels.set(channel.id, { ...before, ...channel, unread: before?.unread ?? 0 });
    workspace.set({ channels });
    if (!channels.has(workspace.state.route.channel)) workspace.openChannel(workspace.homeChannel(channels));
    if (channel.id === workspace.state.route.channel && before && before.is_member !== channel.is_member) workspace.loadMessages(channel.id);
  },

  view(workspace, { action, view, view_id }) {
    const id = view?.id ?? view_id;
    const others = workspace.state.views.filter((held) => held.id !== id);
    if (action === "closed") workspace.setViews(others);
    else if (others.length === workspace.state.views.length) workspace.setViews([...others, view]);
    else workspace.setViews(workspace.state.views.map((held) => (held.id === id ? view : held)));
  },

  home(workspace, { view }) {
    workspace.set({ home: view });
  },

  clock(workspace, { now }) {
    workspace.set({ clockOffset_s: now - Date.now() / 1000, epoch: workspace.state.epoch + 1 });
  },

  world(workspace, { switches }) {
    if (switches) workspace.set({ switches });
    else workspace.loadWorld();
  },

  // The ledger has grown up to this line; who shows it asks for what is new (ledger.js).
  ledger(workspace, { last }) {
    workspace.set({ ledgerLast: last });
  },

  paging(workspace, { paging }) {
    workspace.set({ paging });
  },

  night(workspace, { night }) {
    workspace.set({ night });
  },

  users(workspace, { users }) {
    if (users) workspace.set({ users: new Map(users.map((user) => [user.id, user])) });
  },
};
