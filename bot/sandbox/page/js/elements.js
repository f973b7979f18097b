// Block Kit's interactive elements, in messages and in modals. Called by blocks.js.
// A `surface` is where they live: {kind: "message" | "modal", scope, value(blockId, element), setValue(blockId, element, value),
// act(blockId, element, payload) -> Promise, failed: Map(actionKey -> words)}. Values have the shapes of Slack's view.state.values.

import { html, useEffect, useRef, useState } from "./vendor/htm-preact-standalone.js";
import { ConfirmDialog, Menu, Picker } from "./dialog.js";
import { Icon } from "./icons.js";
import { insideLink, plainWords, safeUrl, textObject } from "./mrkdwn.js";

const option = (key) => ({ from: (element) => element[`initial_${key}`] ?? null, key: `selected_${key}` });

// How each kind keeps its value: the key in state.values, and where the first value comes from.
const STATE = {
  plain_text_input: { key: "value", from: (element) => element.initial_value ?? null },
  email_text_input: { key: "value", from: (element) => element.initial_value ?? null },
  url_text_input: { key: "value", from: (element) => element.initial_value ?? null },
  number_input: { key: "value", from: (element) => element.initial_value ?? null },
  static_select: option("option"),
  radio_buttons: option("option"),
  users_select: option("user"),
  channels_select: option("channel"),
  conversations_select: option("conversation"),
  datepicker: option("date"),
  timepicker: option("time"),
  datetimepicker: option("date_time"),
  checkboxes: { key: "selected_options", from: (element) => element.initial_options ?? [] },
  multi_static_select: { key: "selected_options", from: (element) => element.initial_options ?? [] },
  multi_users_select: { key: "selected_users", from: (element) => element.initial_users ?? [] },
  multi_channels_select: { key: "selected_channels", from: (element) => element.initial_channels ?? [] },
  multi_conversations_select: { key: "selected_conversations", from: (element) => element.initial_conversations ?? [] },
};

export const hasState = (element) => element.type in STATE;
export const valueKey = (element) => STATE[element.type].key;
export const actionKey = (blockId, element) => `${blockId} ${element.action_id}`;

export function initialValue(element, currentChannel) {
  const { key, from } = STATE[element.type];
  const first = element.default_to_current_conversation && from(element) === null ? currentChannel ?? null : from(element);
  return { type: element.type, [key]: first };
}

export function isEmpty(element, value) {
  const held = value?.[valueKey(element)];
  return held === null || held === undefined || held === "" || (Array.isArray(held) && !held.length);
}

// What Slack's client refuses before it sends a form. null when there is nothing to say.
export function clientError(element, value) {
  const held = value?.[valueKey(element)];
  if (isEmpty(element, value)) return null;
  if (element.min_length && held.length < element.min_length) return `Please enter at least ${element.min_length} characters.`;
  if (element.type === "email_text_input" && !/^[^@\s]+@[^@\s]+\.[^@\s]+$/.test(held)) return "Please enter a valid email address.";
  if (element.type === "url_text_input" && !/^https?:\/\/\S+$/i.test(held)) return "Please enter a valid URL.";
  if (element.type === "number_input") {
    if (!/^-?\d+(\.\d+)?$/.test(held)) return "Please enter a valid number.";
    if (!element.is_decimal_allowed && held.includes(".")) return "Please enter a whole number.";
    if (element.min_value !== undefined && Number(held) < Number(element.min_value)) return `Please enter a number of at least ${element.min_value}.`;
    if (element.max_value !== undefined && Number(held) > Number(element.max_value)) return `Please enter a number of at most ${element.max_value}.`;
  }
  return null;
}

// Runs an element's action: asks its confirm first, shows that it is under way, and what went wrong.
function useAct(surface, blockId, element) {
  const [asking, setAsking] = useState(null);
  const [busy, setBusy] = useState(false);
  const alive = useRef(true);
  useEffect(() => () => { alive.current = false; }, []);
  const send = async (payload) => {
    setBusy(true);
    await surface.act(blockId, element, payload);
    if (alive.current) setBusy(false);
  };
  const start = (payload, undo) => {
    if (busy) return;
    const confirm = payload.selected_option?.confirm ?? element.confirm;
    if (confirm) setAsking({ confirm, payload, undo });
    else send(payload);
  };
  const dialog = asking && html`<${ConfirmDialog}
    title=${plainWords(asking.confirm.title)} text=${textObject(asking.confirm.text, surface.scope)}
    confirm=${plainWords(asking.confirm.confirm)} deny=${plainWords(asking.confirm.deny)} danger=${asking.confirm.style === "danger"}
    onDeny=${() => { asking.undo?.(); setAsking(null); }}
    onConfirm=${() => { setAsking(null); send(asking.payload); }} />`;
  const failed = surface.failed.get(actionKey(blockId, element));
  const trouble = failed && html`<span class="act-failed" role="alert"><${Icon} name="warn" />${failed}</span>`;
  return { start, busy, around: html`${dialog}${trouble}` };
}

function Button({ element, blockId, surface }) {
  const { start, busy, around } = useAct(surface, blockId, element);
  const words = textObject(element.text, surface.scope);
  const inside = element.url ? insideLink(element.url) : null;
  const url = element.url && !(inside && surface.scope.channels.has(inside.channel)) ? safeUrl(element.url) : null;
  const className = `button${element.style ? ` ${element.style}` : ""}${busy ? " busy" : ""}`;
  const press = () => {
    start({ value: element.value, text: element.text });
    if (!url && inside) surface.scope.openChannel(inside.channel, inside);
  };
  const control = url
    ? html`<a class=${className} href=${url} target="_blank" rel="noopener noreferrer" aria-label=${element.accessibility_label} onClick=${press}>${words}</a>`
    : html`<button type="button" class=${className} aria-label=${element.accessibility_label} aria-busy=${busy ? "true" : null} onClick=${press}>${words}</button>`;
  return html`<span class="element">${control}${around}</span>`;
}

function Overflow({ element, blockId, surface }) {
  const { start, around } = useAct(surface, blockId, element);
  const items = element.options.map((option) => ({
    label: plainWords(option.text),
    description: option.description && plainWords(option.description),
    href: option.url && safeUrl(option.url),
    onSelect: () => start({ selected_option: option }),
  }));
  return html`<span class="element"><${Menu} label="More actions" items=${items} className="button overflow"><${Icon} name="more" /><//>${around}</span>`;
}

const asOptions = (options) => options.map((option) => ({ key: option.value, text: plainWords(option.text), description: option.description && plainWords(option.description) }));

function people(scope) {
  return [{ options: [...scope.users.values()].map((user) => ({ key: user.id, text: user.real_name || user.name, description: user.title || (user.is_bot ? "App" : "") })) }];
}

function conversations(scope, element) {
  const include = element.filter?.include ?? (element.type.includes("channels") ? ["public"] : ["public", "private", "im"]);
  return [{
    options: [...scope.channels.values()]
      .filter((channel) => !channel.is_archived && include.includes(channel.is_im ? "im" : channel.is_private ? "private" : "public"))
      .map((channel) => ({ key: channel.id, text: channel.is_im ? scope.users.get(channel.im_user)?.real_name ?? channel.id : `${channel.is_private ? "🔒 " : "#"}${channel.name}` })),
  }];
}

function Select({ element, blockId, surface, field }) {
  const { start, around } = useAct(surface, blockId, element);
  const multiple = element.type.startsWith("multi_");
  const isStatic = element.type.endsWith("static_select");
  const all = isStatic ? element.options ?? element.option_groups.flatMap((group) => group.options) : [];
  const groups = isStatic
    ? element.option_groups?.map((group) => ({ label: plainWords(group.label), options: asOptions(group.options) })) ?? [{ options: asOptions(element.options) }]
    : element.type.includes("users") ? people(surface.scope) : conversations(surface.scope, element);
  const key = valueKey(element);
  const held = surface.value(blockId, element);
  const raw = multiple ? held[key] : held[key] === null ? [] : [held[key]];
  const selected = isStatic ? raw.map((option) => option.value) : raw;
  const shaped = (keys) => {
    const values = isStatic ? keys.map((value) => all.find((option) => option.value === value)).filter(Boolean) : keys;
    return { [key]: multiple ? values : values[0] ?? null };
  };
  const keep = (keys) => surface.setValue(blockId, element, { type: element.type, ...shaped(keys) });
  return html`<span class="element"><${Picker}
    label=${field?.label ?? (plainWords(element.placeholder) || "Choose")} placeholder=${plainWords(element.placeholder) || (multiple ? "Select options" : "Select an option")}
    groups=${groups} selected=${selected} multiple=${multiple} max=${element.max_selected_items} clearable=${Boolean(field?.optional)}
    invalid=${Boolean(field?.error)} describedBy=${field?.describedBy} autofocus=${element.focus_on_load}
    onChange=${(keys) => {
      keep(keys);
      if (!multiple && keys.length && surface.dispatches(blockId, element)) start(shaped(keys), () => surface.setValue(blockId, element, held));
    }}
    onDone=${(keys) => { if (surface.dispatches(blockId, element)) start(shaped(keys)); }} />${around}</span>`;
}

function Choices({ element, blockId, surface, field }) {
  const { start, around } = useAct(surface, blockId, element);
  const single = element.type === "radio_buttons";
  const held = surface.value(blockId, element);
  const chosen = single ? (held.selected_option ? [held.selected_option] : []) : held.selected_options;
  const name = `${surface.id}-${blockId}-${element.action_id}`;
  const toggle = (option, checked) => {
    const rest = chosen.filter((other) => other.value !== option.value);
    const value = single ? { selected_option: option } : { selected_options: element.options.filter((each) => (each.value === option.value ? checked : rest.some((other) => other.value === each.value))) };
    surface.setValue(blockId, element, { type: element.type, ...value });
    if (surface.dispatches(blockId, element)) start(value, () => surface.setValue(blockId, element, held));
  };
  return html`<div class="element choices" role=${single ? "radiogroup" : "group"} aria-label=${field?.label ?? "Choices"} aria-describedby=${field?.describedBy}>
    ${element.options.map((option) => html`<label key=${option.value} class="choice">
      <input type=${single ? "radio" : "checkbox"} name=${name} checked=${chosen.some((other) => other.value === option.value)} onChange=${(event) => toggle(option, event.target.checked)} />
      <span>${textObject(option.text, surface.scope)}${option.description && html`<small>${textObject(option.description, surface.scope)}</small>`}</span>
    </label>`)}${around}</div>`;
}

const INPUT_TYPES = { plain_text_input: "text", email_text_input: "email", url_text_input: "url", number_input: "text" };

function TextInput({ element, blockId, surface, field }) {
  const { start, around } = useAct(surface, blockId, element);
  const typing = useRef(0);
  const held = surface.value(blockId, element).value ?? "";
  const triggers = element.dispatch_action_config?.trigger_actions_on ?? ["on_enter_pressed"];
  const changed = (event) => {
    const value = event.target.value;
    surface.setValue(blockId, element, { type: element.type, value: value === "" ? null : value });
    if (surface.dispatches(blockId, element) && triggers.includes("on_character_entered")) {
      clearTimeout(typing.current);
      typing.current = setTimeout(() => start({ value }), 250);
    }
  };
  const pressed = (event) => {
    if (event.key === "Enter" && !(element.multiline && event.shiftKey) && surface.dispatches(blockId, element) && triggers.includes("on_enter_pressed")) {
      event.preventDefault();
      start({ value: held });
    }
  };
  const common = {
    class: "text-input", value: held, placeholder: plainWords(element.placeholder) || null, maxlength: element.max_length ?? null,
    "aria-label": field?.label, "aria-describedby": field?.describedBy, "aria-invalid": field?.error ? "true" : null,
    "data-autofocus": element.focus_on_load ? "" : null, onInput: changed, onKeyDown: pressed, autocomplete: "off",
  };
  const control = element.multiline
    ? html`<textarea ...${common} rows="4"></textarea>`
    : html`<input ...${common} type=${INPUT_TYPES[element.type]} inputmode=${element.type === "number_input" ? "decimal" : null} />`;
  return html`<span class="element element-wide">${control}${around}</span>`;
}

const local = (at_s) => {
  const date = new Date(at_s * 1000);
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
};

const WHEN = {
  datepicker: { type: "date", key: "selected_date", shown: (held) => held ?? "", read: (text) => text || null },
  timepicker: { type: "time", key: "selected_time", shown: (held) => held ?? "", read: (text) => text || null },
  datetimepicker: { type: "datetime-local", key: "selected_date_time", shown: (held) => (held ? local(held) : ""), read: (text) => (text ? Math.floor(new Date(text).getTime() / 1000) : null) },
};

function When({ element, blockId, surface, field }) {
  const { start, around } = useAct(surface, blockId, element);
  const { type, key, shown, read } = WHEN[element.type];
  const changed = (event) => {
    const value = { [key]: read(event.target.value) };
    surface.setValue(blockId, element, { type: element.type, ...value });
    if (surface.dispatches(blockId, element)) start(value);
  };
  return html`<span class="element"><input class="text-input text-input-when" type=${type} value=${shown(surface.value(blockId, element)[key])} onChange=${changed}
    aria-label=${field?.label ?? (plainWords(element.placeholder) || type)} aria-describedby=${field?.describedBy} aria-invalid=${field?.error ? "true" : null} />${around}</span>`;
}

// An image of this origin is shown; one from elsewhere would be a request to the outside, so it is named instead.
export function Picture({ url, alt, className = "" }) {
  if (url && (url.startsWith("/") || url.startsWith(`${location.origin}/`) || url.startsWith("data:image/"))) return html`<img class=${className} src=${url} alt=${alt} loading="lazy" />`;
  return html`<span class=${`picture-elsewhere ${className}`} title=${url ?? ""}>🖼 ${alt}</span>`;
}

const KINDS = {
  button: Button, workflow_button: null, overflow: Overflow, checkboxes: Choices, radio_buttons: Choices,
  static_select: Select, users_select: Select, channels_select: Select, conversations_select: Select,
  multi_static_select: Select, multi_users_select: Select, multi_channels_select: Select, multi_conversations_select: Select,
  plain_text_input: TextInput, email_text_input: TextInput, url_text_input: TextInput, number_input: TextInput,
  datepicker: When, timepicker: When, datetimepicker: When,
};

export function Raw({ what, thing }) {
  return html`<div class="raw"><span class="raw-title">${what}: shown as it was sent</span><pre tabindex="0">${JSON.stringify(thing, null, 2)}</pre></div>`;
}

// `field` is given for the element of an input block: {label, error, describedBy, optional}.
export function Element({ element, blockId, surface, field }) {
  if (element.type === "image") return html`<${Picture} url=${element.image_url} alt=${element.alt_text} className="accessory-image" />`;
  const Kind = KINDS[element.type];
  if (!Kind) return html`<${Raw} what=${`Element “${element.type}”`} thing=${element} />`;
  return html`<${Kind} element=${element} blockId=${blockId} surface=${surface} field=${field} />`;
}
