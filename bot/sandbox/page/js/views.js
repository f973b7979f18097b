// Modals: what views.open, push and update have put before this person. The last of the stack is shown. Called by app.js.

import { html, useEffect, useMemo, useState } from "./vendor/htm-preact-standalone.js";
import { Blocks, missing, statefulElements } from "./blocks.js";
import { Dialog } from "./dialog.js";
import { clientError } from "./elements.js";
import { plainWords } from "./mrkdwn.js";
import { useSurface } from "./surface.js";

// What was typed outlives a reload of the page: kept per view in this tab only.
const store = (view) => `view ${view.id}`;
function recalled(view) {
  try {
    return JSON.parse(sessionStorage.getItem(store(view)) ?? "{}");
  } catch (error) {
    console.warn("What was typed in this form could not be read back", error);
    return {};
  }
}

function allValues(stateful, value) {
  const values = {};
  for (const { blockId, element } of stateful) (values[blockId] ??= {})[element.action_id] = value(blockId, element);
  return values;
}

function Modal({ view, client, scope }) {
  const [errors, setErrors] = useState({});
  const [trouble, setTrouble] = useState(null);
  const [busy, setBusy] = useState(false);
  const blocks = view.blocks ?? [];
  const stateful = useMemo(() => statefulElements(blocks), [blocks]);
  const surface = useSurface({
    id: view.id, kind: "modal", scope, blocks, errors, kept: recalled(view), currentChannel: client.state.route.channel,
    onValues: (values) => sessionStorage.setItem(store(view), JSON.stringify(values)),
    send: (blockId, element, payload, value) => client.viewAction(view, blockId, element, payload, allValues(stateful, value)),
  });

  const submit = async (event) => {
    event.preventDefault();
    if (busy) return;
    const found = Object.fromEntries(missing(stateful, surface.value).map((blockId) => [blockId, "Please complete this required field."]));
    for (const { blockId, element } of stateful) {
      const words = clientError(element, surface.value(blockId, element));
      if (words) found[blockId] ??= words;
    }
    setErrors(found);
    if (Object.keys(found).length) return;
    setBusy(true);
    setTrouble(null);
    const answer = await client.submitView(view, allValues(stateful, surface.value));
    setBusy(false);
    setErrors(answer.errors ?? {});
    setTrouble(answer.trouble ?? null);
    if (!answer.errors && !answer.trouble) sessionStorage.removeItem(store(view));
  };
  const close = (options) => {
    sessionStorage.removeItem(store(view));
    client.closeView(view, options);
  };
  useEffect(() => {
    document.querySelector(".dialog-view .has-error :is(input, textarea, .picker-button)")?.focus();
  }, [errors]);
  const elsewhere = Object.entries(errors).filter(([blockId]) => !blocks.some((block) => block.type === "input" && block.block_id === blockId));
  const form = `${view.id}-form`;
  const footer = html`
    <button type="button" class="button" onClick=${() => close()}>${plainWords(view.close) || (view.submit ? "Cancel" : "Close")}</button>
    ${view.submit && html`<button type="submit" form=${form} class=${`button primary${busy ? " busy" : ""}`} aria-busy=${busy ? "true" : null}>${plainWords(view.submit)}</button>`}`;
  return html`<${Dialog} title=${plainWords(view.title)} onClose=${() => close({ clear: true })} footer=${footer} className="dialog-view">
    <form id=${form} onSubmit=${submit} noValidate>
      ${trouble && html`<p class="form-trouble" role="alert">${trouble}</p>`}
      ${elsewhere.map(([blockId, words]) => html`<p class="form-trouble" role="alert">${blockId}: ${words}</p>`)}
      <${Blocks} blocks=${blocks} surface=${surface} />
    </form>
  <//>`;
}

export function Views({ client, scope }) {
  const view = client.state.views.at(-1);
  return view ? html`<${Modal} key=${view.id} view=${view} client=${client} scope=${scope} />` : null;
}
