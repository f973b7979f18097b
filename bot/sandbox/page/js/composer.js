// The input line: Enter sends, Shift+Enter breaks the line, "/" completes commands, "@" people, "#" channels, ":" emoji. Called by
// app.js and messages.js.

import { html, useEffect, useLayoutEffect, useRef, useState } from "./vendor/htm-preact-standalone.js";
import { Menu, useId } from "./dialog.js";
import { EMOJI } from "./emoji.js";
import { Icon } from "./icons.js";

const drafts = new Map(); // "user channel thread" -> what is typed there and not sent; for this window only

// What could be meant by the word before the cursor: [{insert, label, hint, description}].
const MOST = 8;
const EVERYBODY = [["channel", "Tell everybody in this channel"], ["here", "Tell everybody in this channel who is active"]];

function completions(text, cursor, { commands, groups, scope, thread }) {
  const before = text.slice(0, cursor);
  if (/^\/\S*$/.test(before) && !thread) {
    return commands
      .filter((command) => command.command.startsWith(before.toLowerCase()))
      .map((command) => ({ from: 0, insert: `${command.command} `, label: command.command, hint: command.usage_hint, description: command.description }));
  }
  const face = /(?:^|\s):([a-z0-9_+-]{2,30})$/.exec(before);
  if (face) {
    const names = [...EMOJI.keys()].filter((name) => name.includes(face[1])).sort((first, second) => first.indexOf(face[1]) - second.indexOf(face[1]) || first.length - second.length);
    return names.slice(0, MOST).map((name) => ({ from: cursor - face[1].length - 1, insert: `:${name}: `, label: `${EMOJI.get(name)} :${name}:`, description: "" }));
  }
  const word = /(?:^|\s)([@#])([\p{L}\p{N}_. -]{0,30})$/u.exec(before);
  if (!word) return [];
  const needle = word[2].toLowerCase();
  const from = cursor - word[2].length - 1;
  const pool = word[1] === "@"
    ? [
        ...[...scope.users.values()].map((user) => ({ label: `@${user.name}`, description: user.real_name, words: `${user.name} ${user.real_name}` })),
        ...groups.map((group) => ({ label: `@${group.handle}`, description: group.name, words: `${group.handle} ${group.name}` })),
        ...EVERYBODY.map(([name, description]) => ({ label: `@${name}`, description, words: name })),
      ]
    : [...scope.channels.values()].filter((channel) => !channel.is_im && !channel.is_mpim).map((channel) => ({ label: `#${channel.name}`, description: "", words: channel.name }));
  return pool.filter((each) => each.words.toLowerCase().includes(needle)).slice(0, MOST).map((each) => ({ from, insert: `${each.label} `, ...each }));
}

export function Composer({ client, channel, thread = null, scope }) {
  const draft = `${client.state.me} ${channel.id} ${thread ?? ""}`;
  const [text, setText] = useState(drafts.get(draft) ?? "");
  const [cursor, setCursor] = useState(0);
  const [wanted, setPicked] = useState(0);
  const [dismissed, setDismissed] = useState(false);
  const box = useRef(null);
  const caret = useRef(null); // where the cursor belongs once the completed words are drawn
  const id = useId("complete");
  const name = channel.is_im ? scope.users.get(channel.im_user)?.real_name ?? "this person" : `#${channel.name}`;
  const label = thread ? "Reply…" : `Message ${name}`;

  useEffect(() => {
    setText(drafts.get(draft) ?? "");
    setDismissed(false);
  }, [draft]);
  useLayoutEffect(() => {
    const { current } = box;
    current.style.height = "auto";
    current.style.height = `${Math.min(current.scrollHeight, 200)}px`;
    if (caret.current !== null) current.setSelectionRange(caret.current, caret.current);
    caret.current = null;
  }, [text]);

  const put = (value, at = value.length) => {
    drafts.set(draft, value);
    setText(value);
    setCursor(at);
    setPicked(0);
    setDismissed(false);
  };
  const offered = dismissed ? [] : completions(text, cursor, { commands: client.state.commands, groups: client.state.groups, scope, thread });
  const open = offered.length > 0;
  const picked = Math.min(wanted, Math.max(0, offered.length - 1)); // the cursor may have moved to where less is offered
  useEffect(() => {
    if (open) document.getElementById(`${id}-${picked}`)?.scrollIntoView({ block: "nearest" });
  }, [open, picked]);
  const exact = open && text.slice(offered[picked].from, cursor) === offered[picked].label; // nothing left to complete: Enter sends

  const send = async () => {
    const words = text.trim();
    if (!words) return;
    put("");
    if (!(await client.say(channel.id, words, thread)) && !drafts.get(draft)) put(words);
  };
  const complete = (choice) => {
    caret.current = choice.from + choice.insert.length;
    put(text.slice(0, choice.from) + choice.insert + text.slice(cursor).replace(/^ /, ""), caret.current);
    box.current.focus();
  };
  const pressed = (event) => {
    if (event.isComposing) return;
    if (open && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      event.preventDefault();
      setPicked((picked + (event.key === "ArrowDown" ? 1 : -1) + offered.length) % offered.length);
    } else if (open && (event.key === "Tab" || (event.key === "Enter" && !event.shiftKey && !exact))) {
      event.preventDefault();
      complete(offered[picked]);
    } else if (open && event.key === "Escape") {
      event.preventDefault();
      setDismissed(true);
    } else if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      send();
    }
  };
  const moved = (event) => setCursor(event.target.selectionStart);

  const shortcuts = client.state.shortcuts.filter((shortcut) => shortcut.type === "global")
    .map((shortcut) => ({ label: shortcut.name, description: shortcut.description, onSelect: () => client.shortcut(shortcut, { channel: channel.id }) }));

  return html`<form class="composer" onSubmit=${(event) => { event.preventDefault(); send(); }}>
    ${open && html`<ul class="completions" role="listbox" id=${id} aria-label="Suggestions">${offered.map((choice, index) => html`
      <li id=${`${id}-${index}`} role="option" aria-selected=${index === picked ? "true" : "false"} class=${index === picked ? "picked" : ""}
        onMouseDown=${(event) => { event.preventDefault(); complete(choice); }}>
        <strong>${choice.label}</strong>${choice.hint && html` <span class="hint">${choice.hint}</span>`}<small>${choice.description}</small></li>`)}</ul>`}
    <textarea ref=${box} rows="1" value=${text} placeholder=${label} aria-label=${label} aria-autocomplete="list"
      aria-controls=${open ? id : null} aria-activedescendant=${open ? `${id}-${picked}` : null} spellcheck=${false}
      onInput=${(event) => put(event.target.value, event.target.selectionStart)} onKeyDown=${pressed} onKeyUp=${moved} onClick=${moved}></textarea>
    <div class="composer-foot">
      ${!thread && shortcuts.length > 0 && html`<${Menu} label="Shortcuts" items=${shortcuts}><${Icon} name="plus" /><//>`}
      ${!thread && html`<button type="button" class="icon-button slash" aria-label="Slash commands" title="Slash commands" onClick=${() => { put("/"); box.current.focus(); }}>/</button>`}
      <span class="composer-hint">Enter sends · Shift+Enter for a new line</span>
      <button type="submit" class="icon-button send" aria-label="Send" title="Send" disabled=${!text.trim()}><${Icon} name="send" /></button>
    </div>
  </form>`;
}
