// What opens over the page: dialogs (native <dialog>, so focus stays inside and Esc works), the confirm of an element,
// drop-down menus, and the picker behind every kind of Slack select. Knows nothing of Slack's API.

import { html, useEffect, useLayoutEffect, useRef, useState } from "./vendor/htm-preact-standalone.js";
import { Icon } from "./icons.js";

let counter = 0;
export function useId(prefix) {
  const id = useRef(null);
  if (!id.current) id.current = `${prefix}-${(counter += 1)}`;
  return id.current;
}

// `before` stands in front of the title: the way back, where there is one.
export function Dialog({ title, onClose, children, footer, before = null, className = "", closeLabel = "Close" }) {
  const ref = useRef(null);
  const id = useId("dialog");
  useLayoutEffect(() => {
    const dialog = ref.current;
    const focused = document.activeElement;
    dialog.showModal();
    const wanted = dialog.querySelector("[data-autofocus]") ?? dialog.querySelector(".dialog-body :is(input, textarea, select, .picker-button)") ?? dialog.querySelector(".dialog-foot .primary, .dialog-foot .danger");
    wanted?.focus();
    return () => {
      dialog.close();
      if (focused?.isConnected) focused.focus();
    };
  }, []);
  const dismissed = (event) => {
    if (event.target !== ref.current) return; // a dialog or a popover inside this one
    event.preventDefault();
    onClose();
  };
  return html`<dialog ref=${ref} class=${`dialog ${className}`} aria-labelledby=${id} onCancel=${dismissed}>
    <header class="dialog-head">
      ${before}
      <h2 id=${id}>${title}</h2>
      <button type="button" class="icon-button" aria-label=${closeLabel} onClick=${onClose}><${Icon} name="close" /></button>
    </header>
    <div class="dialog-body">${children}</div>
    ${footer && html`<footer class="dialog-foot">${footer}</footer>`}
  </dialog>`;
}

export function ConfirmDialog({ title, text, confirm, deny, danger, onConfirm, onDeny }) {
  return html`<${Dialog} title=${title} onClose=${onDeny} className="dialog-confirm" footer=${html`
    <button type="button" class="button" onClick=${onDeny}>${deny}</button>
    <button type="button" class=${`button ${danger ? "danger" : "primary"}`} data-autofocus onClick=${onConfirm}>${confirm}</button>`}>
    <div class="confirm-text">${text}</div>
  <//>`;
}

// A popover beside its button: below or above, left or right aligned, whichever half of the window the button is in.
function place(popover, button) {
  const at = button.getBoundingClientRect();
  const { style } = popover;
  const below = at.bottom < window.innerHeight * 0.6;
  style.top = below ? `${at.bottom + 4}px` : "auto";
  style.bottom = below ? "auto" : `${window.innerHeight - at.top + 4}px`;
  const left = at.left < window.innerWidth * 0.55;
  style.left = left ? `${Math.max(8, at.left)}px` : "auto";
  style.right = left ? "auto" : `${Math.max(8, window.innerWidth - at.right)}px`;
  style.maxHeight = `${Math.max(160, (below ? window.innerHeight - at.bottom : at.top) - 16)}px`;
}

// ↑ ↓ Home End among the focusable entries of a popover.
function moveFocus(event, root, selector) {
  const entries = [...root.querySelectorAll(selector)];
  const now = entries.indexOf(document.activeElement);
  const next = { ArrowDown: now + 1, ArrowUp: now < 0 ? entries.length - 1 : now - 1, Home: 0, End: entries.length - 1 }[event.key];
  if (next === undefined || !entries.length) return;
  if ((event.key === "Home" || event.key === "End") && document.activeElement.tagName === "INPUT") return;
  event.preventDefault();
  entries[(next + entries.length) % entries.length].focus();
}

// What a popover shows is taken away once it is closed, not before: the browser gives the focus back only out of what is there.

// items: [{label, description?, danger?, href?, onSelect}]
export function Menu({ label, items, children, className = "icon-button", disabled = false, onOpen }) {
  const id = useId("menu");
  const button = useRef(null);
  const popover = useRef(null);
  const [open, setOpen] = useState(false);
  useEffect(() => {
    if (open) popover.current.querySelector("[role=menuitem]")?.focus();
  }, [open]);
  const choose = (item) => {
    popover.current.hidePopover();
    item.onSelect?.();
  };
  return html`
    <button ref=${button} type="button" class=${className} aria-label=${label} title=${label} aria-haspopup="menu" aria-expanded=${open ? "true" : "false"} popovertarget=${id} disabled=${disabled}>${children}</button>
    <div ref=${popover} id=${id} popover="auto" class="menu" role="menu" aria-label=${label}
      onBeforetoggle=${(event) => {
        if (event.newState === "open") {
          place(popover.current, button.current);
          onOpen?.();
          setOpen(true);
        }
        button.current.parentElement.classList.toggle("open", event.newState === "open"); // what shows on hovering stays while the menu is open
      }}
      onToggle=${(event) => event.newState === "closed" && setOpen(false)}
      onKeyDown=${(event) => moveFocus(event, popover.current, "[role=menuitem]")}>
      ${open && items.map((item) => (item.href
        ? html`<a role="menuitem" class="menu-item" href=${item.href} target="_blank" rel="noopener noreferrer" onClick=${() => choose(item)}>${item.label}</a>`
        : html`<button type="button" role="menuitem" class=${`menu-item${item.danger ? " menu-danger" : ""}`} onClick=${() => choose(item)}>
            ${item.label}${item.description && html`<small>${item.description}</small>`}
          </button>`))}
    </div>`;
}

// groups: [{label?, options: [{key, text, description?, mark?}]}]; selected: keys. With `multiple` it stays open and
// calls onDone once when it closes changed.
export function Picker({ label, placeholder, groups, selected, multiple = false, max = Infinity, clearable = false, onChange, onDone, invalid, describedBy, autofocus }) {
  const id = useId("picker");
  const button = useRef(null);
  const popover = useRef(null);
  const [open, setOpen] = useState(false);
  const [filter, setFilter] = useState("");
  const atOpen = useRef("");
  const all = groups.flatMap((group) => group.options);
  const chosen = selected.map((key) => all.find((option) => option.key === key) ?? { key, text: key });
  useEffect(() => {
    if (open) popover.current.querySelector("input, [aria-selected=true], [role=option]")?.focus();
  }, [open]);

  const toggle = (key) => {
    if (!multiple) {
      popover.current.hidePopover();
      button.current.focus();
      onChange([key]);
    } else if (selected.includes(key)) onChange(selected.filter((other) => other !== key));
    else if (selected.length < max) onChange([...selected, key]);
  };
  const needle = filter.trim().toLowerCase();
  const shown = groups
    .map((group) => ({ ...group, options: group.options.filter((option) => `${option.text} ${option.description ?? ""}`.toLowerCase().includes(needle)) }))
    .filter((group) => group.options.length);

  return html`<div class=${`picker${invalid ? " picker-invalid" : ""}`}>
    <button ref=${button} type="button" class="picker-button" aria-haspopup="listbox" aria-expanded=${open ? "true" : "false"} popovertarget=${id}
      aria-label=${`${label}: ${chosen.map((option) => option.text).join(", ") || placeholder}`} aria-describedby=${describedBy} aria-invalid=${invalid ? "true" : null} data-autofocus=${autofocus ? "" : null}>
      <span class=${`picker-text${chosen.length ? "" : " picker-placeholder"}`}>${!chosen.length ? placeholder : multiple ? `${chosen.length} selected` : chosen[0].text}</span>
      <${Icon} name="down" />
    </button>
    ${clearable && !multiple && chosen.length > 0 && html`<button type="button" class="icon-button picker-clear" aria-label=${`Clear ${label}`} onClick=${() => onChange([])}><${Icon} name="close" /></button>`}
    ${multiple && chosen.length > 0 && html`<ul class="chips">${chosen.map((option) => html`<li key=${option.key} class="chip">${option.text}
      <button type="button" aria-label=${`Remove ${option.text}`} onClick=${() => { onChange(selected.filter((key) => key !== option.key)); onDone?.(selected.filter((key) => key !== option.key)); }}><${Icon} name="close" /></button></li>`)}</ul>`}
    <div ref=${popover} id=${id} popover="auto" class="menu picker-menu"
      onBeforetoggle=${(event) => {
        const opening = event.newState === "open";
        if (opening) {
          place(popover.current, button.current);
          popover.current.style.minWidth = `${button.current.offsetWidth}px`;
          atOpen.current = selected.join("\n");
          setFilter("");
          setOpen(true);
        } else if (multiple && atOpen.current !== selected.join("\n")) onDone?.(selected);
      }}
      onToggle=${(event) => event.newState === "closed" && setOpen(false)}
      onKeyDown=${(event) => moveFocus(event, popover.current, "[role=option]")}>
      ${open && all.length > 7 && html`<input type="text" class="picker-filter" placeholder="Find…" aria-label=${`Find in ${label}`} value=${filter}
        onInput=${(event) => setFilter(event.target.value)}
        onKeyDown=${(event) => {
          if (event.key === "Enter" && shown[0]) {
            event.preventDefault();
            toggle(shown[0].options[0].key);
          }
        }} />`}
      ${open && html`<div role="listbox" aria-label=${label} aria-multiselectable=${multiple ? "true" : null}>
        ${shown.map((group) => html`<div role="group" aria-label=${group.label ?? label}>
          ${group.label && html`<div class="picker-group" aria-hidden="true">${group.label}</div>`}
          ${group.options.map((option) => html`<button key=${option.key} type="button" role="option" class="menu-item" aria-selected=${selected.includes(option.key) ? "true" : "false"} onClick=${() => toggle(option.key)}>
            <span class="picker-check">${selected.includes(option.key) && html`<${Icon} name="check" />`}</span>
            <span>${option.text}${option.description && html`<small>${option.description}</small>`}</span>
          </button>`)}
        </div>`)}
      </div>`}
      ${open && !shown.length && html`<p class="picker-none">Nothing matches.</p>`}
    </div>
  </div>`;
}
