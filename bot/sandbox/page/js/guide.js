// A guided first incident: three short steps above the messages, from the first words to resolved. Each is over when what it
// asks for has really happened, whoever did it and however; it is remembered by this browser. Called by app.js and world.js.

import { html, useEffect, useState } from "./vendor/htm-preact-standalone.js";
import { Icon } from "./icons.js";

const KEPT = "muster-sandbox-guide";
const READ_MS = 1000; // so long the diagnosis has to be in sight
const STEPS = ["Say what is broken", "Read the diagnosis", "Take it to the end"];
const DONE = STEPS.length;
const NEVER = { opened: false, read: false, acknowledged: false, ticked: false, over: false };

// Kept: {shown, from_s, known, room, skipped, seen}. `known` are the rooms that were there before, `seen` is what has happened.
function kept() {
  try {
    const guide = JSON.parse(localStorage.getItem(KEPT));
    return guide && Array.isArray(guide.known) && Array.isArray(guide.skipped) && guide.seen ? guide : null;
  } catch {
    return null; // nothing that this page wrote, or a browser that keeps nothing
  }
}

function keep(client, guide) {
  client.set({ guide });
  try {
    localStorage.setItem(KEPT, JSON.stringify(guide));
  } catch {
    // it is remembered until the page is left
  }
}

const roomsOf = (state) => [...state.channels.values()].filter((channel) => /^inc-\d/.test(channel.name ?? ""));
const begun = (client) => ({ shown: true, from_s: Math.floor(client.now_s()), known: roomsOf(client.state).map((room) => room.id), room: null, skipped: [], seen: NEVER });

// As it is now: what was drawn may be older, and a click in between must not be undone.
const current = (client) => client.state.guide ?? kept() ?? begun(client);

export function startGuide(client) {
  keep(client, begun(client));
  if (window.matchMedia("(max-width: 1099px)").matches) client.go({ panel: "none" }, { replace: true }); // the panel lies over it
}

// What the card of the room says by its buttons: {ts, actions}, or null while there is none.
function cardOf(state, room) {
  const items = state.lists.get(room)?.items ?? [];
  const parts = items.filter((message) => message.bot_id && message.blocks?.some((block) => block.block_id === "incident" || block.block_id?.startsWith("step:")));
  if (!parts.length) return null;
  const elements = parts.flatMap((message) => message.blocks.flatMap((block) => [...(block.elements ?? []), block.accessory].filter(Boolean)));
  return { ts: parts[0].ts, actions: new Set(elements.map((element) => element.action_id)) };
}

const doneSteps = ({ room, seen }) => [Boolean(room), seen.opened && seen.read, seen.over];
const stepOf = (guide) => doneSteps(guide).findIndex((done, step) => !done && !guide.skipped.includes(step));

// The guide after what the page knows now; the same object when nothing is new.
function followed(client, guide) {
  const { state } = client;
  const rooms = roomsOf(state);
  if (guide.room && !guide.seen.over && !rooms.length && !state.users.get(state.me)?.is_guest) return begun(client); // another workspace: begin anew
  const fresh = guide.skipped.includes(0) ? rooms : rooms.filter((room) => Number(room.last_ts) >= guide.from_s && !guide.known.includes(room.id));
  const room = guide.room ?? fresh.at(-1)?.id ?? null;
  const { seen } = guide;
  const card = cardOf(state, room);
  const now = {
    ...seen,
    opened: seen.opened || (room !== null && state.route.channel === room),
    acknowledged: seen.acknowledged || Boolean(card && !card.actions.has("acknowledge")),
    ticked: seen.ticked || Boolean(card?.actions.has("untick")),
    over: seen.over || Boolean(card && !card.actions.has("resolve")),
  };
  const same = room === guide.room && Object.keys(now).every((name) => now[name] === seen[name]);
  return same ? guide : { ...guide, room, seen: now };
}

// Whether somebody has to choose the runbook before anything is diagnosed.
const asksWhich = (card) => Boolean(card && [...card.actions].some((action) => action?.startsWith("choose_runbook")));

// The words over the results; where a runbook has none, the title of the card.
function diagnosisIn(ts) {
  const article = document.querySelector(`main.channel article[data-ts="${ts}"]`);
  return [...(article?.querySelectorAll("strong") ?? [])].find((strong) => strong.textContent === "Diagnosis") ?? article?.querySelector(".header-block") ?? null;
}

// Calls `onRead` once the diagnosis has been in sight for a while, with nothing lying over it.
function useReading(ts, wanted, blocks, onRead) {
  useEffect(() => {
    const found = wanted && ts ? diagnosisIn(ts) : null;
    if (!found) return undefined;
    let timer;
    const inSight = () => {
      const { left, top, width, height } = found.getBoundingClientRect();
      return found.isConnected && found.contains(document.elementFromPoint(left + width / 2, top + height / 2));
    };
    const watcher = new IntersectionObserver(([entry]) => {
      clearInterval(timer);
      if (entry.isIntersecting) timer = setInterval(() => { if (!document.hidden && inSight()) onRead(); }, READ_MS);
    });
    watcher.observe(found);
    return () => {
      clearInterval(timer);
      watcher.disconnect();
    };
  }, [ts, wanted, blocks]);
}

function Check({ done, children }) {
  return html`<li class=${done ? "done" : ""}><span class="guide-box" aria-hidden="true">${done && html`<${Icon} name="check" />`}</span><span>${children}${done && html`<span class="unseen"> (done)</span>`}</span></li>`;
}

const WORDS = [
  () => "Write “auth not working” in #support. Muster hears it and opens a room.",
  ({ seen }, card, room) => {
    if (!seen.opened) return room?.is_private ? "Its room is private, so nothing in the open names it: it is in your list of channels." : "Muster answered in a thread under your words. Open it and follow the link to the room.";
    return asksWhich(card) ? "Several runbooks fit these words: choose one in the card, and Muster looks at what belongs to it." : "Muster has asked Clerk, Vercel and the application. What it found is in the card under Diagnosis.";
  },
  ({ seen }) => (!seen.acknowledged ? "Press Acknowledge in the card: it stops the escalation." : !seen.ticked ? "Press Done beside a step of the checklist." : "Press Resolve in the card when users are well again."),
];

// Brings a part of the card into sight, once the room is open and drawn.
function useShow(client, guide, card) {
  const [wanted, want] = useState(null);
  const there = Boolean(wanted && card && client.state.route.channel === guide.room);
  useEffect(() => {
    if (!there) return undefined;
    const timer = setTimeout(() => { // after the list has gone to its end
      const article = document.querySelector(`main.channel article[data-ts="${card.ts}"]`);
      (wanted === "diagnosis" ? diagnosisIn(card.ts) : article?.querySelector(".actions") ?? article)?.scrollIntoView({ block: "center" });
      want(null);
    }, 120);
    return () => clearTimeout(timer);
  }, [there, wanted]);
  return (what) => {
    want(what);
    if (client.state.route.channel !== guide.room || client.state.route.thread) client.openChannel(guide.room);
  };
}

function Panel({ client, guide }) {
  const { state } = client;
  const step = stepOf(guide);
  const over = step === -1;
  const { room, seen } = guide;
  const card = cardOf(state, room);
  const support = [...state.channels.values()].find((channel) => channel.name === "support");
  const here = state.route.channel === room;
  const show = useShow(client, guide, card);
  const change = (what) => keep(client, { ...current(client), ...what(current(client)) });
  useReading(card?.ts, step === 1 && here && !asksWhich(card), card && state.lists.get(room)?.items, () => change((now) => ({ seen: { ...now.seen, read: true } })));
  const close = () => change(() => ({ shown: false }));
  const words = over ? "That was your first incident, from the first words to resolved." : WORDS[step](guide, card, state.channels.get(room));
  const button = (label, onClick, primary = false) => html`<button type="button" class=${`button${primary ? " primary" : ""}`} onClick=${onClick}>${label}</button>`;
  return html`<section class="guide" aria-label="Your first incident">
    <div class="guide-head"><h2>Your first incident</h2>
      <ol class="guide-steps">${STEPS.map((title, index) => {
        const done = doneSteps(guide)[index];
        return html`<li key=${title} class=${`${done ? "done" : ""}${index === step ? " now" : ""}`} aria-current=${index === step ? "step" : null}><span class="guide-number" aria-hidden="true">${done ? html`<${Icon} name="check" />` : index + 1}</span><span class="guide-title">${title}${done && html`<span class="unseen"> (done)</span>`}</span></li>`;
      })}</ol>
      <button type="button" class="icon-button" aria-label="Close the guide" title="Close the guide; World starts it again" onClick=${close}><${Icon} name="close" /></button></div>
    <p class="guide-words">${words}${over && html` Break something under <em>World</em> and write <kbd>clerk down</kbd>; be somebody else with the faces on the left.`}</p>
    ${step === 1 && html`<ul class="guide-checks"><${Check} done=${seen.opened}>Follow the link<//><${Check} done=${seen.read}>Read the diagnosis<//></ul>`}
    ${step === 2 && html`<ul class="guide-checks"><${Check} done=${seen.acknowledged}>Acknowledge<//><${Check} done=${seen.ticked}>Tick a step<//><${Check} done=${seen.over}>Resolve<//></ul>`}
    <div class="guide-actions">
      ${step === 0 && support && state.route.channel !== support.id && button("Go to #support", () => client.openChannel(support.id), true)}
      ${step === 1 && room && (here ? button("Show the diagnosis", () => show("diagnosis")) : button("Open the room", () => client.openChannel(room)))}
      ${step === 2 && room && button("Show the card", () => show("card"))}
      ${over ? html`${button("Close", close, true)}${button("Once more", () => startGuide(client))}` : html`<button type="button" class="linklike" onClick=${() => change((now) => ({ skipped: [...now.skipped, step] }))}>Skip this step</button>`}
    </div>
    <div class="unseen" role="status" aria-live="polite">${over ? words : `Step ${step + 1} of ${DONE}: ${STEPS[step]}. ${words}`}</div>
  </section>`;
}

export function Guide({ client }) {
  const guide = current(client);
  useEffect(() => {
    const now = current(client);
    if (!now.shown) return;
    const next = followed(client, now);
    if (next !== client.state.guide) keep(client, next);
  });
  return guide.shown ? html`<${Panel} client=${client} guide=${guide} />` : null;
}
