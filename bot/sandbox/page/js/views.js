// Views: the modals that views.open, push and update have put before this person (the last of the stack is shown), and the
// Home tab that views.publish has. Called by app.js.

import { html, useEffect, useMemo, useRef, useState } from "./vendor/htm-preact-standalone.js";
import { Blocks, missing, statefulElements } from "./blocks.js";
import { Dialog } from "./dialog.js";
import { actionKey, clientError, initialValue } from "./elements.js";
import { Icon } from "./icons.js";
import { plainWords } from "./mrkdwn.js";
import { useSurface } from "./surface.js";

// What was typed outlives a reload of the page: kept per view in this tab only, until the view is closed (workspace.js). Another window knows what the workspace does,
// which is what was last sent from the form.
const store = (view) => `view ${view.id}`;
function recalled(view, stateful) {
  const kept = {};
  for (const { blockId, element } of stateful) {
    const sent = view.state?.values?.[blockId]?.[element.action_id];
    if (sent?.type === element.type && JSON.stringify(sent) !== JSON.stringify(initialValue(element))) kept[actionKey(blockId, element)] = sent;
  }
  try {
    return { ...kept, ...JSON.parse(sessionStorage.getItem(store(view)) ?? "{}") };
  } catch (error) {
    console.warn("What was typed in this form could not be read back", error);
    return kept;
  }
}

function allValues(stateful, value) {
  const values = {};
  for (const { blockId, element } of stateful) (values[blockId] ??= {})[element.action_id] = value(blockId, element);
  return values;
}

function Modal({ view, client, scope, depth }) {
  const [errors, setErrors] = useState({});
  const [trouble, setTrouble] = useState(null);
  const [busy, setBusy] = useState(false);
  const sending = useRef(false); // two presses within one frame are one
  const blocks = view.blocks ?? [];
  const stateful = useMemo(() => statefulElements(blocks), [blocks]);
  const surface = useSurface({
    id: view.id, kind: "modal", scope, blocks, errors, kept: useMemo(() => recalled(view, stateful), []), currentChannel: client.state.route.channel,
    onValues: (values) => sessionStorage.setItem(store(view), JSON.stringify(values)),
    send: (blockId, element, payload, value) => client.viewAction(view, blockId, element, payload, allValues(stateful, value)),
  });

  const submit = async (event) => {
    event.preventDefault();
    if (sending.current) return;
    const found = Object.fromEntries(missing(stateful, surface.value).map((blockId) => [blockId, "Please complete this required field."]));
    for (const { blockId, element } of stateful) {
      const words = clientError(element, surface.value(blockId, element));
      if (words) found[blockId] ??= words;
    }
    setErrors(found);
    if (Object.keys(found).length) return;
    sending.current = true;
    setBusy(true);
    setTrouble(null);
    const answer = await client.submitView(view, allValues(stateful, surface.value));
    sending.current = false;
    setBusy(false);
    setErrors(answer.errors ?? {});
    setTrouble(answer.trouble ?? null);
  };
  const close = (options) => client.closeView(view, options);
  useEffect(() => {
    document.querySelector(".dialog-view .has-error :is(input, textarea, .picker-button)")?.focus();
  }, [errors]);
  const elsewhere = Object.entries(errors).filter(([blockId]) => !blocks.some((block) => block.type === "input" && block.block_id === blockId));
  const form = `${view.id}-form`;
  const footer = html`
    <button type="button" class="button" onClick=${() => close()}>${plainWords(view.close) || (view.submit ? "Cancel" : "Close")}</button>
    ${view.submit && html`<button type="submit" form=${form} class=${`button primary${busy ? " busy" : ""}`} disabled=${busy} aria-busy=${busy ? "true" : null}>${plainWords(view.submit)}</button>`}`;
  const back = depth > 1 && html`<button type="button" class="icon-button" aria-label="Back" title="Back" onClick=${() => close()}><${Icon} name="back" /></button>`;
  return html`<${Dialog} title=${plainWords(view.title)} before=${back} onClose=${() => close({ clear: true })} footer=${footer} className="dialog-view">
    <form id=${form} onSubmit=${submit} noValidate>
      ${trouble && html`<p class="form-trouble" role="alert">${trouble}</p>`}
      ${elsewhere.map(([blockId, words]) => html`<p class="form-trouble" role="alert">${blockId}: ${words}</p>`)}
      <${Blocks} blocks=${blocks} surface=${surface} />
    </form>
  <//>`;
}

export function Views({ client, scope }) {
  const { views } = client.state;
  const view = views.at(-1);
  return view ? html`<${Modal} key=${view.id} view=${view} client=${client} scope=${scope} depth=${views.length} />` : null;
}

function Published({ view, client, scope }) {
  const stateful = statefulElements(view.blocks);
  const surface = useSurface({
    id: view.id, kind: "home", scope, blocks: view.blocks,
    send: (blockId, element, payload, value) => client.viewAction(view, blockId, element, payload, allValues(stateful, value)),
  });
  return html`<${Blocks} blocks=${view.blocks} surface=${surface} />`;
}

export function Home({ client, scope, onSidebar }) {
  const { home, homeTab } = client.state;
  const app = [...scope.users.values()].find((user) => user.is_bot);
  return html`
    <header class="channel-head"><div class="channel-line">
      <button type="button" class="icon-button only-narrow" aria-label="Channels" onClick=${onSidebar}><${Icon} name="menu" /></button>
      <h1 class="channel-name"><${Icon} name="home" /><span>Home</span></h1>
      <div class="channel-topic">${app?.real_name ?? "The app"}</div>
    </div></header>
    <div class="home" tabindex="0" role="region" aria-label="Home">
      ${home ? html`<${Published} key=${home.id} view=${home} client=${client} scope=${scope} />`
        : html`<p class="empty">${app?.real_name ?? "The app"} has put nothing here for you.${homeTab ? "" : " Its manifest has no Home tab."}</p>`}
    </div>`;
}
