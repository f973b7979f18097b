// Block Kit as Slack draws it. Called by messages.js (surface "message") and views.js (surface "modal").
// What is not known here, or what throws while it is drawn, is shown as raw JSON in a box: never as nothing.

import { Component, h, html } from "./vendor/htm-preact-standalone.js";
import { emoji, withEmoji } from "./emoji.js";
import { Element, Picture, Raw, hasState, isEmpty } from "./elements.js";
import { ChannelLink, GroupMention, Link, Moment, UserMention, plainWords, textObject } from "./mrkdwn.js";

function Section({ block, surface }) {
  return html`<div class="section">
    <div class="section-text">
      ${block.text && html`<div>${textObject(block.text, surface.scope)}</div>`}
      ${block.fields && html`<div class="fields">${block.fields.map((field) => html`<div class="field">${textObject(field, surface.scope)}</div>`)}</div>`}
    </div>
    ${block.accessory && html`<div class="accessory"><${Element} element=${block.accessory} blockId=${block.block_id} surface=${surface} /></div>`}
  </div>`;
}

const Header = ({ block }) => h(`h${Math.min(6, (block.level ?? 1) + 1)}`, { class: "header-block" }, textObject(block.text, null));

const Divider = () => html`<hr />`;

const TEXTS = new Set(["mrkdwn", "plain_text"]);

function Context({ block, surface }) {
  return html`<div class="context">${block.elements.map((element) => (element.type === "image"
    ? html`<${Picture} url=${element.image_url} alt=${element.alt_text} className="context-image" />`
    : TEXTS.has(element.type) ? html`<span>${textObject(element, surface.scope)}</span>` : html`<${Raw} what=${`Element “${element.type}”`} thing=${element} />`))}</div>`;
}

const Actions = ({ block, surface }) => html`<div class="actions">${block.elements.map((element, index) => html`<${Element} key=${element.action_id ?? index} element=${element} blockId=${block.block_id} surface=${surface} />`)}</div>`;

const Image = ({ block }) => html`<figure class="image">${block.title && html`<figcaption>${plainWords(block.title)}</figcaption>`}<${Picture} url=${block.image_url} alt=${block.alt_text} className="image-block" /></figure>`;

// The film itself would come from elsewhere: its title leads there.
const Video = ({ block, surface }) => html`<figure class="video">
  <figcaption><${Link} url=${block.title_url ?? block.video_url} scope=${surface.scope}><strong>${plainWords(block.title)}</strong><//>
    <small>${[block.provider_name, block.author_name].filter(Boolean).join(" · ")}</small></figcaption>
  ${block.description && html`<div class="context">${textObject(block.description, surface.scope)}</div>`}
  <${Link} url=${block.title_url ?? block.video_url} scope=${surface.scope}><${Picture} url=${block.thumbnail_url} alt=${`▶ ${block.alt_text}`} className="image-block" /><//>
</figure>`;

function Input({ block, surface }) {
  const error = surface.errors?.[block.block_id];
  const id = `${surface.id}-${block.block_id}`;
  const label = plainWords(block.label);
  const field = { label, error, optional: block.optional, describedBy: [block.hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(" ") || null };
  return html`<div class=${`input-block${error ? " has-error" : ""}`} data-block-id=${block.block_id}>
    <div class="input-label">${label}${block.optional && html` <span class="optional">(optional)</span>`}</div>
    <${Element} element=${block.element} blockId=${block.block_id} surface=${surface} field=${field} />
    ${error && html`<p class="input-error" id=${`${id}-error`} role="alert">${withEmoji(error)}</p>`}
    ${block.hint && html`<p class="input-hint" id=${`${id}-hint`}>${textObject(block.hint, surface.scope)}</p>`}
  </div>`;
}

function styled(node, style) {
  if (!style) return node;
  let out = node;
  if (style.code) out = html`<code>${out}</code>`;
  if (style.bold) out = html`<strong>${out}</strong>`;
  if (style.italic) out = html`<em>${out}</em>`;
  if (style.strike) out = html`<s>${out}</s>`;
  if (style.underline) out = html`<u>${out}</u>`;
  return out;
}

const LEAVES = {
  text: (leaf) => leaf.text.split("\n").flatMap((line, index) => (index ? [html`<br />`, line] : [line])),
  link: (leaf, scope) => html`<${Link} url=${leaf.url} scope=${scope}>${leaf.text || leaf.url}<//>`,
  user: (leaf, scope) => html`<${UserMention} id=${leaf.user_id} scope=${scope} />`,
  usergroup: (leaf, scope) => html`<${GroupMention} id=${leaf.usergroup_id} scope=${scope} />`,
  team: (leaf) => html`<span class="mention">${leaf.team_id}</span>`,
  channel: (leaf, scope) => html`<${ChannelLink} id=${leaf.channel_id} scope=${scope} />`,
  emoji: (leaf) => emoji(leaf.name, leaf.skin_tone) ?? `:${leaf.name}:`,
  broadcast: (leaf) => html`<span class="mention mention-me">@${leaf.range}</span>`,
  date: (leaf, scope) => html`<${Moment} at_s=${leaf.timestamp} format=${leaf.format} fallback=${leaf.fallback ?? ""} url=${leaf.url} scope=${scope} />`,
  color: (leaf) => html`<code>${leaf.value}</code>`,
};

const leaves = (elements, scope) => elements.map((leaf) => (LEAVES[leaf.type] ? styled(LEAVES[leaf.type](leaf, scope), leaf.style) : html`<${Raw} what=${`Text “${leaf.type}”`} thing=${leaf} />`));

function richPart(part, scope) {
  if (part.type === "rich_text_section") return html`<div class="rich-section">${leaves(part.elements, scope)}</div>`;
  if (part.type === "rich_text_preformatted") return html`<pre class="preformatted">${part.elements.map((leaf) => leaf.text ?? leaf.url ?? "").join("")}</pre>`;
  if (part.type === "rich_text_quote") return html`<blockquote>${leaves(part.elements, scope)}</blockquote>`;
  if (part.type === "rich_text_list") {
    const items = part.elements.map((item) => html`<li>${leaves(item.elements, scope)}</li>`);
    const className = `rich-list indent-${Math.min(part.indent ?? 0, 6)}`;
    return part.style === "ordered" ? html`<ol class=${className} start=${(part.offset ?? 0) + 1}>${items}</ol>` : html`<ul class=${className}>${items}</ul>`;
  }
  return html`<${Raw} what=${`Text “${part.type}”`} thing=${part} />`;
}

const RichText = ({ block, surface }) => html`<div class="rich-text">${block.elements.map((part) => richPart(part, surface.scope))}</div>`;

function Table({ block, surface }) {
  const cell = (content) => (content.type === "rich_text" ? content.elements.map((part) => richPart(part, surface.scope)) : content.text);
  const [head, ...rows] = block.rows;
  return html`<div class="table-wrap" tabindex="0" role="region" aria-label="Table"><table>
    <thead><tr>${head.map((content) => html`<th scope="col">${cell(content)}</th>`)}</tr></thead>
    <tbody>${rows.map((row) => html`<tr>${row.map((content) => html`<td>${cell(content)}</td>`)}</tr>`)}</tbody>
  </table></div>`;
}

const BLOCKS = { section: Section, header: Header, divider: Divider, context: Context, actions: Actions, image: Image, input: Input, rich_text: RichText, table: Table, video: Video };

// One block; a fault while drawing it (a shape that Slack would have refused) falls back to the raw box.
class Block extends Component {
  componentDidCatch() {
    this.setState({ broken: this.props.block });
  }

  render({ block, surface }, { broken }) {
    const Kind = BLOCKS[block?.type];
    if (!Kind || broken === block) return html`<${Raw} what=${`Block “${block?.type}”`} thing=${block} />`;
    return html`<${Kind} block=${block} surface=${surface} />`;
  }
}

export function Blocks({ blocks, surface }) {
  return html`<div class="blocks">${blocks.map((block, index) => html`<${Block} key=${block.block_id ?? index} block=${block} surface=${surface} />`)}</div>`;
}

// Every element of these blocks that keeps a value: [{blockId, element, required}].
export function statefulElements(blocks) {
  const found = [];
  for (const block of blocks) {
    const elements = block.type === "input" ? [block.element] : block.type === "actions" ? block.elements : [block.accessory];
    for (const element of Array.isArray(elements) ? elements : []) {
      if (element && hasState(element)) found.push({ blockId: block.block_id, element, required: block.type === "input" && !block.optional });
    }
  }
  return found;
}

// Which blocks an untouched required field leaves unanswered.
export function missing(stateful, value) {
  return stateful.filter(({ required, blockId, element }) => required && isEmpty(element, value(blockId, element))).map(({ blockId }) => blockId);
}
