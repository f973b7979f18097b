// The phones of the people who were called or texted, their mail, and PagerDuty: what reached them, and what they do. Called by app.js.

import { html } from "./vendor/htm-preact-standalone.js";
import { clockTime } from "./dates.js";
import { Icon } from "./icons.js";

const STATES = {
  queued: "Being dialled", ringing: "Rings", "in-progress": "In a call", completed: "The call has ended", "no-answer": "Nobody answered",
  busy: "Busy or declined", failed: "Could not be connected", canceled: "The caller gave up",
};
const EARLIER = 3;

export const rings = (call) => call.status === "ringing";
const isOpen = (call) => call.status === "queued" || rings(call) || call.status === "in-progress";
const nameOf = (thing) => thing.who || thing.to;
const at = (moment_s) => clockTime(moment_s, { seconds: true });

// One phone for each number, those that ring first, then the one that was reached last.
function phonesOf({ calls, texts }) {
  const phones = new Map();
  for (const thing of [...calls, ...texts]) {
    const phone = phones.get(thing.to) ?? { number: thing.to, name: nameOf(thing), calls: [], texts: [], last_s: 0 };
    (thing.transcript ? phone.calls : phone.texts).push(thing);
    phone.last_s = Math.max(phone.last_s, thing.at);
    phones.set(thing.to, phone);
  }
  const urgency = (phone) => (phone.calls.some(rings) ? 2 : phone.calls.some(isOpen) ? 1 : 0);
  return [...phones.values()].sort((first, second) => urgency(second) - urgency(first) || second.last_s - first.last_s);
}

function Call({ call, name, client }) {
  const act = (what, key) => client.phone(call.sid, what, key);
  return html`<div class=${`phone-call phone-${call.status}`}>
    <p class="phone-state"><strong>${STATES[call.status] ?? call.status}</strong><small>${at(call.at)}</small></p>
    ${isOpen(call) && call.text && html`<p class="phone-says">“${call.text}”</p>`}
    ${rings(call) && html`<div class="phone-keys" role="group" aria-label=${`The phone of ${name} rings`}>
      <button type="button" class="button primary" onClick=${() => act("answer")}>Answer</button>
      <button type="button" class="button danger" onClick=${() => act("decline")}>Decline</button>
      <button type="button" class="button" onClick=${() => act("voicemail")}>Mailbox</button></div>`}
    ${call.status === "in-progress" && html`<div class="phone-keys" role="group" aria-label=${`${name} is in a call`}>
      <button type="button" class="button primary" onClick=${() => act("press", "1")}>Press 1</button>
      <button type="button" class="button" onClick=${() => act("decline")}>Hang up</button></div>`}
    ${call.transcript.length > 0 && html`<details class="phone-transcript" open=${isOpen(call)}><summary>Transcript</summary>
      <ol>${call.transcript.map((line, index) => html`<li key=${index} class=${`line-${line.who}`}><time>${at(line.at)}</time><span>${line.who === "call" ? `“${line.text}”` : line.text}</span></li>`)}</ol></details>`}
  </div>`;
}

function Phone({ phone, client }) {
  const ringing = phone.calls.some(rings);
  return html`<li class=${`card phone${ringing ? " phone-rings" : ""}`}>
    <div class="phone-head"><span class="phone-mark"><${Icon} name="phone" /></span><h3>${phone.name}</h3>${phone.name !== phone.number && html`<small>${phone.number}</small>`}</div>
    ${phone.calls.slice(-EARLIER).reverse().map((call) => html`<${Call} key=${call.sid} call=${call} name=${phone.name} client=${client} />`)}
    ${phone.texts.length > 0 && html`<ul class="phone-texts" aria-label=${`Text messages to ${phone.name}`}>${phone.texts.slice(-EARLIER).reverse().map((text) => html`<li key=${text.sid}><p>${text.body}</p><small>${at(text.at)} · ${text.status}</small></li>`)}</ul>`}
  </li>`;
}

function Pager({ incident, client }) {
  const open = incident.status !== "resolved";
  return html`<li class=${`pager pager-${incident.status}`}>
    <p class="pager-line"><strong>${incident.status}</strong><small>${at(incident.at)}${incident.triggers > 1 ? ` · sent ${incident.triggers} times` : ""}${incident.by ? ` · ${incident.by}` : ""}</small></p>
    <p>${incident.summary}</p><code>${incident.key}</code>
    ${open && html`<div class="phone-keys">
      ${incident.status === "triggered" && html`<button type="button" class="button primary" onClick=${() => client.pagerduty(incident.key, "acknowledge")}>Acknowledge in PagerDuty</button>`}
      <button type="button" class="button" onClick=${() => client.pagerduty(incident.key, "resolve")}>Resolve in PagerDuty</button></div>`}
  </li>`;
}

function Mail({ mail }) {
  return html`<li><details class="mail"><summary><strong>${mail.subject || "No subject"}</strong>
      <small>${mail.to.map((to, index) => mail.who[index] || to).join(", ")} · ${at(mail.at)}${mail.bounced ? " · came back" : ""}</small></summary><pre tabindex="0">${mail.text}</pre></details></li>`;
}

export function Phones({ client, onClose }) {
  const { paging } = client.state;
  const phones = phonesOf(paging);
  return html`<aside class="pane world phones" aria-label="Phones">
    <header class="pane-head"><h2>Phones</h2><button type="button" class="icon-button" aria-label="Close the phones" onClick=${onClose}><${Icon} name="close" /></button></header>
    <div class="world-body">
      ${phones.length ? html`<ul class="phone-list" aria-label="Phones">${phones.map((phone) => html`<${Phone} key=${phone.number} phone=${phone} client=${client} />`)}</ul>`
        : html`<p class="empty">Nobody has been called yet. A phone appears here when it rings.</p>`}
      <section class="card"><h3>PagerDuty</h3>${paging.pagerduty.length ? html`<ul class="pagers">${[...paging.pagerduty].reverse().map((incident) => html`<${Pager} key=${incident.id} incident=${incident} client=${client} />`)}</ul>` : html`<p class="phone-none">Nothing has been sent.</p>`}</section>
      <section class="card"><h3>Mail</h3>${paging.mails.length ? html`<ul class="mails">${[...paging.mails].reverse().map((mail) => html`<${Mail} key=${mail.n} mail=${mail} />`)}</ul>` : html`<p class="phone-none">Nothing has been sent.</p>`}</section>
    </div>
  </aside>`;
}

// Over everything, while a phone rings and the phones are not in sight; and for whoever does not see it, always.
export function Ringing({ client, shown, onShow }) {
  const names = [...new Set((client.state.paging?.calls ?? []).filter(rings).map(nameOf))];
  const words = names.length ? `The phone of ${names.join(" and of ")} rings.` : "";
  return html`<div class="unseen" role="status" aria-live="assertive">${words}</div>
    ${words && !shown && html`<div class="ringing"><span class="phone-mark"><${Icon} name="phone" /></span><span aria-hidden="true">${words}</span>
      <button type="button" class="button primary" onClick=${onShow}>Show the phones</button></div>`}`;
}
