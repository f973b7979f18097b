// The right side: the clock and its time travel, the switches that break things, and the ledger of every call. Called by app.js.

import { html, useEffect, useRef, useState } from "./vendor/htm-preact-standalone.js";
import { post } from "./api.js";
import { clockTime, fullMoment } from "./dates.js";
import { startGuide } from "./guide.js";
import { Icon } from "./icons.js";
import { Ledger } from "./ledger.js";

const STEPS = [["+1 min", 60], ["+5 min", 300], ["+15 min", 900], ["+1 h", 3600]];
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
  return html`<section class="card" id="panel-time"><h3>Time</h3>
    <div class="clock"><time title=${fullMoment(now_s)}>${clockTime(now_s, { seconds: true })}</time>
      <small>${ahead_s < 30 ? "as on this machine" : `${Math.floor(ahead_s / 3600) ? `${Math.floor(ahead_s / 3600)} h ` : ""}${Math.round((ahead_s % 3600) / 60)} min ahead`}</small></div>
    <div class="steps">${STEPS.map(([label, advance_s]) => html`<button type="button" class="button" onClick=${() => client.advance(advance_s)}>${label}</button>`)}</div>
    <${Night} client=${client} />
  </section>`;
}

// An option in other words, where its own name does not say it.
const WORDS = {
  ok: "ok", unauthorized: "refuses the token", token_revoked: "refuses the token", key_revoked: "refuses the key", html: "a web page instead",
  incident_io: "incident.io", statuspage: "Statuspage", feed: "RSS only", hidden: "not shown to the token", shared: "shared by the team",
};
const wordsOf = (option) => WORDS[option] ?? option.replaceAll("_", " ");
// The first option of a switch is the good one; the sandbox says when another one is no trouble either.
const isGood = ({ good, value, options }) => good ?? value === options[0];

export const notGood = (switches) => Object.values(switches ?? {}).filter((each) => !isGood(each)).length;

function Switch({ name, it, onTurn }) {
  return html`<fieldset class=${`switch${isGood(it) ? "" : " not-good"}`}><legend>${it.title ?? name}</legend><div class="segments">
    ${it.options.map((option) => html`<button key=${option} type="button" class=${`segment${option === it.value ? (isGood(it) ? " on" : " on broken") : ""}`}
      aria-pressed=${option === it.value ? "true" : "false"} onClick=${() => onTurn(name, option)}>${wordsOf(option)}</button>`)}
  </div></fieldset>`;
}

function Switches({ client }) {
  const { switches } = client.state;
  if (!switches || !Object.keys(switches).length) return null;
  const groups = new Map();
  for (const [name, it] of Object.entries(switches)) groups.set(it.group ?? "Other", [...(groups.get(it.group ?? "Other") ?? []), [name, it]]);
  return html`<section class="card" id="panel-switches"><h3>The world</h3>
    ${[...groups].map(([group, members]) => {
      const bad = members.filter(([, it]) => !isGood(it)).length;
      return html`<div key=${group} class="switches"><h4>${group}${bad > 0 && html` <span class="not-good-mark"><${Icon} name="warn" />${bad} not good</span>`}</h4>
        ${members.map(([name, it]) => html`<${Switch} key=${name} name=${name} it=${it} onTurn=${client.setSwitch.bind(client)} />`)}</div>`;
    })}</section>`;
}

async function allGood(client) {
  try {
    await post("world", { all_good: true }); // the stream tells how they are then
  } catch (error) {
    client.note(error.message);
  }
}

// Always in sight: how the world is, the way back, and the ways to the parts of the panel.
function Summary({ client, body, errors }) {
  const bad = notGood(client.state.switches);
  const to = (id) => body.current.querySelector(`#${id}`)?.scrollIntoView({ block: "start" });
  return html`<div class="panel-summary">
    <nav class="panel-parts" aria-label="Parts of the panel">
      <button type="button" class="linklike" onClick=${() => to("panel-time")}>Time</button>
      <button type="button" class="linklike" onClick=${() => to("panel-switches")}>Switches</button>
      <button type="button" class="linklike" onClick=${() => to("panel-guide")}>Guide</button>
      <button type="button" class="linklike" onClick=${() => to("panel-ledger")}>Ledger${errors > 0 && html`<span class="errors"> · ${errors} failed</span>`}</button>
    </nav>
    <p class=${`well${bad ? " not-well" : ""}`}><span role="status">${bad ? `${bad} ${bad === 1 ? "switch is" : "switches are"} not good.` : "All is well."}</span>
      <button type="button" class="button" disabled=${!bad} onClick=${() => allGood(client)}>All good again</button></p>
  </div>`;
}

function GuideCard({ client }) {
  return html`<section class="card" id="panel-guide"><h3>Guide</h3>
    <p class="phone-none">Three short steps through a first incident, from the first words to resolved.</p>
    <button type="button" class="button" onClick=${() => startGuide(client)}>Start the guide</button></section>`;
}

export function World({ client, onClose }) {
  const body = useRef(null);
  const [errors, setErrors] = useState(0);
  return html`<aside class="pane world" aria-label="World">
    <header class="pane-head"><h2>World</h2><button type="button" class="icon-button" aria-label="Close the world panel" onClick=${onClose}><${Icon} name="close" /></button></header>
    <${Summary} client=${client} body=${body} errors=${errors} />
    <div class="world-body" ref=${body}><${Clock} client=${client} /><${Switches} client=${client} /><${GuideCard} client=${client} /><${Ledger} client=${client} onErrors=${setErrors} /></div>
  </aside>`;
}
