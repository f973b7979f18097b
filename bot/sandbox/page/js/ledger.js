// What Muster sent to each provider and to Slack, and what Slack delivered to Muster: newest first, one line each, live by the
// event stream. The lines come in pages, and only so many are in the document at a time. Called by world.js.

import { html, useEffect, useRef, useState } from "./vendor/htm-preact-standalone.js";
import { get } from "./api.js";
import { clockTime, fullMoment } from "./dates.js";

const PAGE = 50;
const MOST = 200;
const NAMES = { slack: "Slack", clerk: "Clerk", status: "Clerk’s status", vercel: "Vercel", application: "Application", pagerduty: "PagerDuty", twilio: "Telephone", smtp: "Mail", bot: "→ Muster" };
const nameOf = (provider) => NAMES[provider] ?? provider;
const EMPTY = { rows: [], earlier: false, newest: true, counts: {}, trouble: null, loaded: false };

export const errorsIn = (counts) => Object.values(counts).reduce((sum, count) => sum + count.errors, 0);

// The lines that are shown, and the ways to others. `fit` is what is asked for: {provider, errors}.
function useLines(client, fit) {
  const [lines, setLines] = useState(EMPTY);
  const held = useRef(lines);
  const asked = useRef(0);
  const busy = useRef(false);
  const again = useRef(false);
  const latest = useRef(null); // the newest way to ask, with the filter that holds now
  const keep = (next) => {
    held.current = next;
    setLines(next);
  };
  const ask = (between) => get("ledger/page", { limit: PAGE, provider: fit.provider || undefined, errors: fit.errors ? "true" : undefined, ...between });

  // `then(answer, lines)` makes the new lines; an answer that was overtaken by another question is dropped.
  const load = async (between, then) => {
    const number = ++asked.current;
    busy.current = true;
    try {
      const answer = await ask(between);
      if (number === asked.current) keep({ ...then(answer, held.current), counts: answer.counts, trouble: null, loaded: true });
    } catch (error) {
      if (number === asked.current) keep({ ...held.current, trouble: error.message });
    }
    if (number !== asked.current) return;
    busy.current = false;
    if (again.current) latest.current(); // the ledger has grown while the answer was under way
  };
  const newest = () => load({}, (answer) => ({ rows: answer.rows, earlier: answer.more, newest: true }));
  const earlier = () => load({ before: held.current.rows.at(-1).n }, (answer, { rows, newest: atTop }) => {
    const all = [...rows, ...answer.rows];
    return { rows: all.slice(-MOST), earlier: answer.more, newest: atTop && all.length <= MOST };
  });
  const newer = () => {
    again.current = busy.current;
    if (busy.current) return undefined;
    if (!held.current.rows.length) return newest();
    return load({ after: held.current.rows[0].n }, (answer, now) => {
      if (!now.newest) return now; // somebody reads further down: only the counts move
      if (answer.more || answer.last < now.rows[0].n) return { rows: answer.rows, earlier: true, newest: true };
      const all = [...answer.rows, ...now.rows];
      return { rows: all.slice(0, MOST), earlier: now.earlier || all.length > MOST, newest: true };
    });
  };
  latest.current = newer;

  useEffect(() => { if (client.state.connection === "open") newest(); }, [fit.provider, fit.errors, client.state.connection]);
  useEffect(() => { if (client.state.ledgerLast) newer(); }, [client.state.ledgerLast]);
  return { lines, earlier, newest };
}

function Details({ n }) {
  const [text, setText] = useState("…");
  useEffect(() => {
    let gone = false;
    get("ledger/entry", { n }).then(({ entry }) => !gone && setText(JSON.stringify(entry, null, 1)), (error) => !gone && setText(error.message));
    return () => { gone = true; };
  }, [n]);
  return html`<pre tabindex="0" aria-label=${`All of line ${n}`}>${text}</pre>`;
}

function Line({ row }) {
  const [open, setOpen] = useState(false);
  const words = [row.error, row.note].filter(Boolean).join(" · ");
  return html`<li class=${`call${row.failed ? " call-failed" : ""}`}>
    <button type="button" class="call-line" aria-expanded=${open ? "true" : "false"} onClick=${() => setOpen(!open)}>
      <span class="call-top"><time title=${row.at ? fullMoment(row.at) : null}>${row.at ? clockTime(row.at, { seconds: true }) : ""}</time>
        <span class=${`from from-${row.provider}`}>${nameOf(row.provider)}</span>
        <span class="call-status">${row.status ?? "no answer"}${row.attempt > 1 ? ` ×${row.attempt}` : ""}</span>
        <span class="call-took">${row.took_ms === null ? "" : `${Math.max(1, Math.round(row.took_ms))} ms`}</span></span>
      <span class="call-name">${row.action && html`<b>${row.action}</b> `}${row.name}</span>
      ${row.key && html`<span class="call-key" title="What keeps it from happening twice, or whom it is for">${row.key}</span>`}
      ${words && html`<span class="call-error">${words}</span>`}
    </button>
    ${open && html`<${Details} n=${row.n} />`}
  </li>`;
}

export function Ledger({ client, onErrors }) {
  const [provider, setProvider] = useState("");
  const [errors, setErrors] = useState(false);
  const { lines, earlier, newest } = useLines(client, { provider, errors });
  const { rows, counts } = lines;
  const failed = errorsIn(counts);
  useEffect(() => onErrors?.(failed), [failed]);
  const chip = (name, words, on) => html`<button key=${name} type="button" class=${`segment${on ? " on" : ""}`} aria-pressed=${on ? "true" : "false"} onClick=${() => setProvider(name)}>${words}</button>`;
  return html`<section class="card ledger" id="panel-ledger" aria-label="Ledger"><h3>Ledger <small>newest first</small></h3>
    <div class="segments" role="group" aria-label="Whose lines">${chip("", "All", provider === "")}
      ${Object.keys(counts).map((name) => chip(name, html`${nameOf(name)} <small>${counts[name].calls}${counts[name].errors ? html`<span class="errors"> · ${counts[name].errors} failed</span>` : ""}</small>`, provider === name))}</div>
    <label class="choice only-errors"><input type="checkbox" aria-label="Only what failed" checked=${errors} onChange=${(event) => setErrors(event.currentTarget.checked)} /><span>Only what failed (${failed})</span></label>
    ${lines.trouble && html`<p class="empty" role="alert">${lines.trouble}</p>`}
    ${!lines.newest && html`<div class="ledger-more"><button type="button" class="button" onClick=${newest}>Back to the newest</button></div>`}
    ${rows.length ? html`<ol class="calls">${rows.map((row) => html`<${Line} key=${row.n} row=${row} />`)}</ol>`
      : lines.loaded && html`<p class="empty">${provider || errors ? "No such line." : "Nothing has been called yet."}</p>`}
    ${rows.length > 0 && lines.earlier && html`<div class="ledger-more"><button type="button" class="button" onClick=${earlier}>Earlier lines</button></div>`}
  </section>`;
}
