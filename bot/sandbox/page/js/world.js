// The right side: the clock and its time travel, the switches that break things, and the ledger of every call. Called by app.js.

import { html, useEffect, useState } from "./vendor/htm-preact-standalone.js";
import { clockTime, fullMoment } from "./dates.js";
import { Icon } from "./icons.js";

const STEPS = [["+1 min", 60], ["+5 min", 300], ["+15 min", 900], ["+1 h", 3600]];
const LEDGER_POLL_MS = 2000;
const SHOWN = 120;
const STANDS = { paused: "Paused.", rang: "Stopped: a phone rings.", over: "The night is over." };
const WHOLE_NIGHT_S = 8 * 3600;

// Eight hours in about a minute. The sandbox plays it, so every window sees the same night.
function Night({ client }) {
  const [stopWhenRinging, setStop] = useState(true);
  const { night } = client.state;
  if (!night) return null;
  const left = `${Math.floor(night.left_s / 3600)} h ${String(Math.floor((night.left_s % 3600) / 60)).padStart(2, "0")} min left`;
  const begun = night.running || (night.left_s > 0 && night.left_s < WHOLE_NIGHT_S);
  return html`<div class="night">
    <button type="button" class="button" aria-pressed=${night.running ? "true" : "false"} onClick=${() => client.playNight(night.running ? "stop" : "play", stopWhenRinging)}><${Icon} name="moon" />${night.running ? "Pause the night" : begun ? "Go on with the night" : "Night"}</button>
    <small>${night.running ? left : [STANDS[night.ended], begun ? left : "8 hours in about a minute"].filter(Boolean).join(" ")}</small>
    <label class="choice"><input type="checkbox" aria-label="Stop when a phone rings" checked=${stopWhenRinging} disabled=${night.running} onChange=${(event) => setStop(event.currentTarget.checked)} /><span>Stop when a phone rings</span></label>
  </div>`;
}

function Clock({ client }) {
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => tick((count) => count + 1), 1000);
    return () => clearInterval(timer);
  }, []);
  const now_s = client.now_s();
  const ahead_s = Math.round(client.state.clockOffset_s);
  return html`<section class="card"><h3>Time</h3>
    <div class="clock"><time title=${fullMoment(now_s)}>${clockTime(now_s, { seconds: true })}</time>
      <small>${ahead_s < 30 ? "as on this machine" : `${Math.floor(ahead_s / 3600) ? `${Math.floor(ahead_s / 3600)} h ` : ""}${Math.round((ahead_s % 3600) / 60)} min ahead`}</small></div>
    <div class="steps">${STEPS.map(([label, advance_s]) => html`<button type="button" class="button" onClick=${() => client.advance(advance_s)}>${label}</button>`)}</div>
    <${Night} client=${client} />
  </section>`;
}

const optionOf = (option) => (typeof option === "string" ? { value: option, title: option } : option);
// The first option of a switch is the good one.

function Switches({ client }) {
  const { switches } = client.state;
  if (!switches) return null;
  return html`<section class="card"><h3>The world</h3>${Object.entries(switches).map(([name, { value, options, title }]) => html`
    <fieldset key=${name} class="switch"><legend>${title ?? name}</legend><div class="segments">
      ${options.map(optionOf).map((option, index) => html`<button key=${option.value} type="button" class=${`segment${option.value === value ? (index ? " on broken" : " on") : ""}`}
        aria-pressed=${option.value === value ? "true" : "false"} onClick=${() => client.setSwitch(name, option.value)}>${(option.title ?? option.value).replaceAll("_", " ")}</button>`)}
    </div></fieldset>`)}</section>`;
}

const failedCall = (row) => Boolean(row.error) || row.status === null || row.status >= 400;
const SHORT = { application: "app", pagerduty: "pager", twilio: "phone" };

function Call({ row }) {
  const [open, setOpen] = useState(false);
  const delivery = !row.provider || row.kind;
  const took_ms = row.duration_ms ?? (row.end_at && row.start_at ? (row.end_at - row.start_at) * 1000 : null);
  const name = delivery ? row.kind : row.path ? `${row.method} ${row.path}` : row.method;
  return html`<li class=${`call${failedCall(row) ? " call-failed" : ""}`}>
    <button type="button" class="call-line" aria-expanded=${open ? "true" : "false"} onClick=${() => setOpen(!open)}>
      <span class=${`from from-${delivery ? "bot" : row.provider}`}>${delivery ? "→ bot" : SHORT[row.provider] ?? row.provider}</span>
      <span class="call-name">${name}</span>
      <span class="call-status">${row.status ?? "none"}${row.attempt > 1 ? ` ×${row.attempt}` : ""}</span>
      <span class="call-took">${took_ms === null ? "" : `${Math.max(1, Math.round(took_ms))} ms`}</span>
      ${(row.error || row.note) && html`<span class="call-error">${[row.error, row.note].filter(Boolean).join(" · ")}</span>`}
    </button>
    ${open && html`<pre tabindex="0">${JSON.stringify(row, null, 1)}</pre>`}
  </li>`;
}

function Ledger({ client }) {
  const [from, setFrom] = useState("all");
  useEffect(() => {
    const timer = setInterval(() => { if (!document.hidden && client.state.connection === "open") client.loadLedger(); }, LEDGER_POLL_MS);
    return () => clearInterval(timer);
  }, []);
  const rows = client.state.ledger.map((row) => ({ ...row, from: !row.provider || row.kind ? "bot" : row.provider }));
  const names = ["all", ...new Set(rows.map((row) => row.from))];
  const shown = rows.filter((row) => from === "all" || row.from === from).slice(-SHOWN).reverse();
  return html`<section class="card ledger"><h3>Ledger <small>newest first</small></h3>
    ${names.length > 2 && html`<div class="segments">${names.map((name) => html`<button key=${name} type="button" class=${`segment${name === from ? " on" : ""}`} aria-pressed=${name === from ? "true" : "false"} onClick=${() => setFrom(name)}>${name === "bot" ? "→ bot" : SHORT[name] ?? name}</button>`)}</div>`}
    ${client.state.ledgerTrouble && html`<p class="empty" role="alert">${client.state.ledgerTrouble}</p>`}
    ${shown.length ? html`<ol class="calls">${shown.map((row) => html`<${Call} key=${`${row.from}${row.n}`} row=${row} />`)}</ol>` : html`<p class="empty">Nothing has been called yet.</p>`}
  </section>`;
}

export function World({ client, onClose }) {
  return html`<aside class="pane world" aria-label="World">
    <header class="pane-head"><h2>World</h2><button type="button" class="icon-button" aria-label="Close the world panel" onClick=${onClose}><${Icon} name="close" /></button></header>
    <div class="world-body"><${Clock} client=${client} /><${Switches} client=${client} /><${Ledger} client=${client} /></div>
  </aside>`;
}
